"""The rules of DCASE Task 2, year by year: what is measured of a machine, and how it is averaged.

2020: AUC and pAUC an id; arithmetic means over ids, then over types.

2021: AUC and pAUC a section and domain, each of that domain's clips alone.

2022 on: the AUC of a domain is that of its normals against the anomalies of both, so that a
score which merely tells the domains apart loses; one pAUC of everything.

From 2021 on averages are harmonic, over all sections at once, each figure clamped to the
smallest step of a double: one that is 0 sinks the whole.  `pauc` of 2021, and `auc` in all
of these years, are harmonic means of the two domains' (the evaluators have no such figure).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from enum import StrEnum

import numpy as np

from asd_monitor.evaluation.clip_names import Domain
from asd_monitor.metrics import auc, harmonic_mean, partial_auc


class Rules(StrEnum):
    """A year of the challenge."""

    Y2020 = "2020"
    Y2021 = "2021"
    Y2022 = "2022"
    Y2023 = "2023"
    Y2024 = "2024"
    Y2025 = "2025"
    Y2026 = "2026"

    @property
    def has_domains(self) -> bool:
        """Whether source and target are told apart, and a machine is a section."""
        return self is not Rules.Y2020

    @property
    def splits_anomalies(self) -> bool:
        """Whether a domain is measured with its own anomalies alone."""
        return self is Rules.Y2021


@dataclass(frozen=True, slots=True)
class Figures:
    """Figures of merit of a machine, a type or all; None: not measured by these rules."""

    auc: float
    pauc: float
    auc_source: float | None = None
    auc_target: float | None = None
    pauc_source: float | None = None
    pauc_target: float | None = None
    official: float | None = None

    def to_json(self) -> dict[str, float]:
        """Return by name what was measured."""
        named = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        return {name: value for name, value in named.items() if value is not None}

    @property
    def score(self) -> float:
        """The one figure to compare by: the official one, in 2020 the AUC."""
        return self.auc if self.official is None else self.official


def figures_of(
    rules: Rules,
    anomalous: Sequence[bool],
    domains: Sequence[Domain | None],
    scores: Sequence[float],
) -> Figures:
    """Return what the rules measure of one id or section.

    Clips (n,) are anomalous or not and of a domain; scores are high for anomalies.  Raises
    ValueError where a class that is needed has no clip.
    """
    if not rules.has_domains:
        return Figures(auc(anomalous, scores), partial_auc(anomalous, scores))
    found = {
        domain: [
            at
            for at, (wrong, of) in enumerate(zip(anomalous, domains, strict=True))
            if of is domain or (wrong and not rules.splits_anomalies)
        ]
        for domain in Domain
    }
    parts = {
        domain: ([anomalous[at] for at in rows], [scores[at] for at in rows])
        for domain, rows in found.items()
    }
    source, target = (auc(*parts[domain]) for domain in Domain)
    both = harmonic_mean([source, target])
    if rules.splits_anomalies:
        first, second = (partial_auc(*parts[domain]) for domain in Domain)
        return Figures(
            auc=both,
            pauc=harmonic_mean([first, second]),
            auc_source=source,
            auc_target=target,
            pauc_source=first,
            pauc_target=second,
            official=harmonic_mean([source, target, first, second]),
        )
    part = partial_auc(anomalous, scores)
    return Figures(
        auc=both,
        pauc=part,
        auc_source=source,
        auc_target=target,
        official=harmonic_mean([source, target, part]),
    )


def of_type(rules: Rules, machines: Sequence[Figures]) -> Figures:
    """Return the mean over the ids or sections of a type."""
    return _averaged(rules, machines)


def of_all(rules: Rules, types: Mapping[str, Sequence[Figures]]) -> Figures:
    """Return the mean over everything, from the ids or sections of each type."""
    if rules.has_domains:
        return _averaged(rules, [figures for each in types.values() for figures in each])
    return _averaged(rules, [of_type(rules, each) for each in types.values()])


def _averaged(rules: Rules, figures: Sequence[Figures]) -> Figures:
    # the harmonic mean over all cells is that of the sections' own: each has as many cells
    mean = harmonic_mean if rules.has_domains else _arithmetic
    measured = [each.to_json() for each in figures]
    return Figures(**{name: mean([each[name] for each in measured]) for name in measured[0]})


def _arithmetic(values: Sequence[float]) -> float:
    return float(np.mean(values))


@dataclass(frozen=True, slots=True)
class Decisions:
    """How well a threshold decides, in one domain (or where there are none)."""

    precision: float
    recall: float
    f1: float


def decisions_of(anomalous: Sequence[bool], decided: Sequence[bool]) -> Decisions:
    """Return precision, recall and F1; 0 where nothing is found or decided."""
    hits = sum(a and d for a, d in zip(anomalous, decided, strict=True))
    precision = hits / max(sum(decided), 1)
    recall = hits / max(sum(anomalous), 1)
    f1 = 2 * precision * recall / (precision + recall) if hits else 0.0
    return Decisions(precision, recall, f1)


def score_file(kind: str, machine: str, rules: Rules, domain: Domain | None = None) -> str:
    """Return what the file of anomaly scores is called; ``domain`` counts in 2021 alone."""
    return f"anomaly_score_{kind}_{machine}{_part(rules, domain)}.csv"


def decision_file(kind: str, machine: str, rules: Rules, domain: Domain | None = None) -> str:
    """Return what the file of decisions is called (2021 on)."""
    return f"decision_result_{kind}_{machine}{_part(rules, domain)}.csv"


def _part(rules: Rules, domain: Domain | None) -> str:
    if not rules.has_domains:
        return ""
    return f"_{domain}_test" if rules.splits_anomalies and domain else "_test"
