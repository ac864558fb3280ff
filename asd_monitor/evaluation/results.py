"""Results of an evaluation: scores of every clip, figures of merit, and their files."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asd_monitor import __version__
from asd_monitor.evaluation.clip_names import Domain
from asd_monitor.evaluation.dcase_data_set import DcaseMachine, LabelledClip
from asd_monitor.evaluation.dcase_rules import (
    Decisions,
    Figures,
    decision_file,
    decisions_of,
    figures_of,
    of_all,
    of_type,
    score_file,
)
from asd_monitor.evaluation.dcase_years import Rules
from asd_monitor.evaluation.regime_names import RegimeName
from asd_monitor.model_store.atomic_files import os_errors_reported
from asd_monitor.model_training.adaptation_result import Adaptation

FUSED = "fused"
STATISTICS = "statistics"
AUTOENCODER = "autoencoder"


@dataclass(frozen=True, slots=True)
class MachineResult:
    """The results of one id or section."""

    machine: DcaseMachine
    rules: Rules
    train_s: float
    threshold: float  # decision threshold of the fused score
    scores: dict[str, tuple[float, ...]]  # of each test clip, fused and by view
    baselines: dict[str, tuple[float, ...]]  # of each test clip, by baseline
    notices: tuple[str, ...]
    adaptation: Adaptation | None = None  # None: the encoder was not to be adapted

    def figures(self, name: str = FUSED) -> Figures:
        """Return the figures of the fused score, of a baseline or of one view."""
        clips = self.machine.test
        return figures_of(
            self.rules,
            [clip.anomalous for clip in clips],
            [clip.domain for clip in clips],
            self.scores_of(name),
        )

    def scores_of(self, name: str) -> tuple[float, ...]:
        """Return the score of each test clip by the fused score, a baseline or one view."""
        return self.baselines[name] if name in self.baselines else self.scores[name]

    @property
    def decided(self) -> list[bool]:
        """Whether the fused score of each test clip lies above the threshold."""
        return [score > self.threshold for score in self.scores[FUSED]]

    def decisions(self, domain: Domain) -> Decisions:
        """Return the figures of the decisions on the clips of a domain."""
        rows = [
            (clip.anomalous, decided)
            for clip, decided in zip(self.machine.test, self.decided, strict=True)
            if clip.domain is domain
        ]
        return decisions_of([label for label, _ in rows], [decided for _, decided in rows])

    def to_json(self) -> dict[str, Any]:
        """Return the entry of ``results.json``."""
        entry: dict[str, Any] = {**self.figures().to_json(), "train_s": round(self.train_s, 3)}
        if self.rules.has_domains:
            entry["threshold"] = self.threshold
            for domain in Domain:
                found = self.decisions(domain)
                entry |= {
                    f"precision_{domain}": found.precision,
                    f"recall_{domain}": found.recall,
                    f"f1_{domain}": found.f1,
                }
        return entry


@dataclass(frozen=True, slots=True)
class Results:
    """The results of all ids or sections."""

    rules: Rules
    regime: RegimeName
    machines: tuple[MachineResult, ...]  # by type, then id
    notices: tuple[str, ...] = ()

    @property
    def types(self) -> list[str]:
        """The machine types, sorted."""
        return sorted({result.machine.type for result in self.machines})

    @property
    def views(self) -> list[str]:
        """The views that every machine has."""
        every = [set(result.scores) for result in self.machines]
        common = set.intersection(*every) - {FUSED}
        return [name for name in self.machines[0].scores if name in common]

    @property
    def baselines(self) -> list[str]:
        """The baselines that were evaluated."""
        return list(self.machines[0].baselines)

    def of_type(self, kind: str, name: str = FUSED) -> Figures:
        """Return the mean over the ids or sections of a type."""
        return of_type(self.rules, self._by_type(name)[kind])

    def mean(self, name: str = FUSED) -> Figures:
        """Return the mean over all ids or sections, by the rules."""
        return of_all(self.rules, self._by_type(name))

    def _by_type(self, name: str) -> dict[str, list[Figures]]:
        return {
            kind: [r.figures(name) for r in self.machines if r.machine.type == kind]
            for kind in self.types
        }

    def to_json(self) -> dict[str, Any]:
        """Return the content of ``results.json``."""
        part = "sections" if self.rules.has_domains else "ids"
        return {
            "rules": str(self.rules),
            "regime": str(self.regime),
            "machines": {
                kind: {
                    **self.of_type(kind).to_json(),
                    part: {
                        result.machine.id: result.to_json()
                        for result in self.machines
                        if result.machine.type == kind
                    },
                }
                for kind in self.types
            },
            "mean": self.mean().to_json(),
            "baselines": {
                name: {
                    **self.mean(name).to_json(),
                    "machines": {kind: self.of_type(kind, name).to_json() for kind in self.types},
                }
                for name in self.baselines
            },
            "views": {view: self.mean(view).to_json() for view in self.views},
            "package": __version__,
        }

    def write(self, folder: Path, report: str) -> None:
        """Write ``results.json``, the report and the challenge's CSV files.

        Raises:
            OperationError: the folder cannot be written.

        """
        with os_errors_reported(folder, "cannot be written", "choose another folder with --output"):
            text = json.dumps(self.to_json(), indent=1, allow_nan=False) + "\n"
            (folder / "results.json").write_text(text, "utf-8")
            (folder / "report.html").write_text(report, "utf-8")
            for result in self.machines:
                _write_tables(folder, result)


def _write_tables(folder: Path, result: MachineResult) -> None:
    machine, rules = result.machine, result.rules
    rows = list(zip(machine.test, result.scores[FUSED], result.decided, strict=True))
    parts: list[tuple[Domain | None, list[tuple[LabelledClip, float, bool]]]] = [(None, rows)]
    if rules.splits_anomalies:
        parts = [(domain, [row for row in rows if row[0].domain is domain]) for domain in Domain]
    for domain, rows_of_part in parts:
        scores = [(clip.path.name, repr(score)) for clip, score, _ in rows_of_part]
        _write(folder / score_file(machine.type, machine.id, rules, domain), scores)
        if rules.has_domains:
            decided = [(clip.path.name, str(int(label))) for clip, _, label in rows_of_part]
            _write(folder / decision_file(machine.type, machine.id, rules, domain), decided)


def _write(path: Path, rows: list[tuple[str, str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)
