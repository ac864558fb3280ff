"""The figures of merit of DCASE Task 2, year by year, and how they are averaged.

2020: AUC and partial AUC of an id; arithmetic means over ids, then over types.

2021: AUC and partial AUC of a section and domain, of the clips of that domain alone.

2022 and later: the AUC of a domain is that of its normal clips against the anomalous clips of
both, so that a score that merely separates the domains loses; one partial AUC of all clips.

From 2021 on averages are harmonic, over all sections at once, each figure limited from below to
the machine epsilon: a single figure of 0 makes the mean almost 0.  `pauc` of 2021, and `auc` in
all of these years, are the harmonic means of the two domains (not official figures).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np

from asd_monitor.evaluation.clip_names import Domain
from asd_monitor.evaluation.dcase_years import Rules
from asd_monitor.metrics import auc, harmonic_mean, partial_auc


@dataclass(frozen=True, slots=True)
class Figures:
    """Figures of merit of a machine, a type or all; None: not defined by these rules."""

    auc: float
    pauc: float
    auc_source: float | None = None
    auc_target: float | None = None
    pauc_source: float | None = None
    pauc_target: float | None = None
    official: float | None = None

    def to_json(self) -> dict[str, float]:
        """Return the figures that are defined, by name."""
        named = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        return {name: value for name, value in named.items() if value is not None}

    @property
    def score(self) -> float:
        """The figure for comparisons: the official score, in 2020 the AUC."""
        return self.auc if self.official is None else self.official

    def by_column(self) -> dict[str, float]:
        """Return the figures of a table, by the heading of the column."""
        if self.official is None:
            return {"AUC": self.auc, "pAUC": self.pauc}
        named = {
            "AUC source": self.auc_source,
            "AUC target": self.auc_target,
            "pAUC": self.pauc,
            "official": self.official,
        }
        return {name: value for name, value in named.items() if value is not None}


def figures_of(
    rules: Rules,
    anomalous: Sequence[bool],
    domains: Sequence[Domain | None],
    scores: Sequence[float],
) -> Figures:
    """Return the figures of one id or section.

    ``anomalous``, ``domains`` and ``scores`` (n,) are those of the clips; scores are high for
    anomalies.  Raises ValueError where a class that is needed has no clip.
    """
    if not rules.has_domains:
        return Figures(auc(anomalous, scores), partial_auc(anomalous, scores))
    rows_of_domain = {
        domain: [
            row
            for row, (label, its_domain) in enumerate(zip(anomalous, domains, strict=True))
            if its_domain is domain or (label and not rules.splits_anomalies)
        ]
        for domain in Domain
    }
    parts = {
        domain: ([anomalous[row] for row in rows], [scores[row] for row in rows])
        for domain, rows in rows_of_domain.items()
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
    """Return the mean over all ids or sections, given by type."""
    if rules.has_domains:
        return _averaged(rules, [figures for each in types.values() for figures in each])
    return _averaged(rules, [of_type(rules, each) for each in types.values()])


def _averaged(rules: Rules, figures: Sequence[Figures]) -> Figures:
    # all sections have as many figures, so that the mean of means is the mean of all figures
    mean = harmonic_mean if rules.has_domains else _arithmetic
    measured = [each.to_json() for each in figures]
    return Figures(**{name: mean([each[name] for each in measured]) for name in measured[0]})


def _arithmetic(values: Sequence[float]) -> float:
    return float(np.mean(values))


@dataclass(frozen=True, slots=True)
class Decisions:
    """Precision, recall and F1 of the decisions by a threshold."""

    precision: float
    recall: float
    f1: float


def decisions_of(anomalous: Sequence[bool], decided: Sequence[bool]) -> Decisions:
    """Return the figures of decisions (n,); 0 where they are undefined."""
    hits = sum(a and d for a, d in zip(anomalous, decided, strict=True))
    precision = hits / max(sum(decided), 1)
    recall = hits / max(sum(anomalous), 1)
    f1 = 2 * precision * recall / (precision + recall) if hits else 0.0
    return Decisions(precision, recall, f1)


def score_file(kind: str, machine: str, rules: Rules, domain: Domain | None = None) -> str:
    """Return the name of the file of anomaly scores; ``domain`` is part of it in 2021 only."""
    return f"anomaly_score_{kind}_{machine}{_part(rules, domain)}.csv"


def decision_file(kind: str, machine: str, rules: Rules, domain: Domain | None = None) -> str:
    """Return the name of the file of decisions (2021 and later)."""
    return f"decision_result_{kind}_{machine}{_part(rules, domain)}.csv"


def _part(rules: Rules, domain: Domain | None) -> str:
    if not rules.has_domains:
        return ""
    return f"_{domain}_test" if rules.splits_anomalies and domain else "_test"
