"""A model an id, fitted on its training clips and tried on its test clips.

A clip's score is the mean of its windows' fused scores.  Means are over ids, then over
types.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from asd_monitor import __version__
from asd_monitor.detector.fit import fit_detector
from asd_monitor.errors import OperationError, UsageError
from asd_monitor.evaluation.dcase import TestedMachine
from asd_monitor.evaluation.metrics import auc, partial_auc
from asd_monitor.evaluation.report import report_html
from asd_monitor.evaluation.scoring import score_recording
from asd_monitor.training.recordings import read_normals, require

LEAST_TRAINING_S = 15.0
FUSED = "fused"


@dataclass(frozen=True, slots=True)
class Areas:
    """The two figures of merit."""

    auc: float
    pauc: float

    def to_json(self) -> dict[str, float]:
        """Return them by name."""
        return {"auc": self.auc, "pauc": self.pauc}


@dataclass(frozen=True, slots=True)
class MachineResult:
    """One id."""

    machine: TestedMachine
    train_s: float
    scores: dict[str, tuple[float, ...]]  # of each test clip, fused and by view
    notices: tuple[str, ...]

    def areas(self, view: str = FUSED) -> Areas:
        """Return the areas by the fused score, or by one view alone."""
        labels = [clip.anomalous for clip in self.machine.test]
        scores = self.scores[view]
        return Areas(auc(labels, scores), partial_auc(labels, scores))


@dataclass(frozen=True, slots=True)
class Results:
    """All ids."""

    machines: tuple[MachineResult, ...]  # by type, then id

    @property
    def types(self) -> list[str]:
        """Names of the types."""
        return sorted({result.machine.type for result in self.machines})

    @property
    def views(self) -> list[str]:
        """Views that every id has."""
        every = [set(result.scores) for result in self.machines]
        common = set.intersection(*every) - {FUSED}
        return [name for name in self.machines[0].scores if name in common]

    def of_type(self, name: str, view: str = FUSED) -> Areas:
        """Return the mean over a type's ids."""
        return _mean([r.areas(view) for r in self.machines if r.machine.type == name])

    def mean(self, view: str = FUSED) -> Areas:
        """Return the mean over the types."""
        return _mean([self.of_type(name, view) for name in self.types])

    def to_json(self) -> dict[str, Any]:
        """Return the content of ``results.json``."""
        return {
            "rules": "2020",
            "regime": "single",
            "machines": {
                name: {
                    **self.of_type(name).to_json(),
                    "ids": {
                        result.machine.id: {
                            **result.areas().to_json(),
                            "train_s": round(result.train_s, 3),
                        }
                        for result in self.machines
                        if result.machine.type == name
                    },
                }
                for name in self.types
            },
            "mean": self.mean().to_json(),
            "views": {view: self.mean(view).to_json() for view in self.views},
            "package": __version__,
        }

    def write(self, folder: Path) -> None:
        """Write ``results.json``, ``report.html`` and the challenge's CSV files.

        Raises:
            OperationError: the folder cannot be written.

        """
        try:
            text = json.dumps(self.to_json(), indent=1, allow_nan=False) + "\n"
            (folder / "results.json").write_text(text, "utf-8")
            (folder / "report.html").write_text(report_html(self), "utf-8")
            for result in self.machines:
                name = f"anomaly_score_{result.machine.type}_{result.machine.id}.csv"
                with (folder / name).open("w", encoding="utf-8", newline="") as file:
                    rows = zip(result.machine.test, result.scores[FUSED], strict=True)
                    writer = csv.writer(file, lineterminator="\n")
                    writer.writerows([clip.path.name, repr(score)] for clip, score in rows)
        except OSError as error:
            raise OperationError(
                f"{error.filename or folder}: cannot be written ({error.strerror}): "
                "choose another folder with --output"
            ) from error


def _mean(areas: Sequence[Areas]) -> Areas:
    return Areas(
        float(np.mean([area.auc for area in areas])), float(np.mean([area.pauc for area in areas]))
    )


def evaluate(
    machines: Sequence[TestedMachine],
    jobs: int = 1,
    tell: Callable[[TestedMachine, int], None] = lambda _machine, _done: None,
) -> Results:
    """Evaluate each machine, ``jobs`` at a time; ``tell`` is given each that is done.

    Raises:
        UsageError: too little sound to learn from, or a clip that cannot be scored.
        OperationError: no permission to read one.

    """
    done: dict[str, MachineResult] = {}
    if min(jobs, len(machines)) <= 1:
        for number, machine in enumerate(machines, 1):
            done[machine.name] = evaluate_machine(machine)
            tell(machine, number)
    else:
        # spawned, because a fork copies whatever threads the linear algebra holds
        with ProcessPoolExecutor(min(jobs, len(machines)), get_context("spawn")) as pool:
            futures = {pool.submit(evaluate_machine, machine): machine for machine in machines}
            try:
                for number, future in enumerate(as_completed(futures), 1):
                    done[futures[future].name] = future.result()
                    tell(futures[future], number)
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
    return Results(tuple(done[machine.name] for machine in machines))


def evaluate_machine(machine: TestedMachine) -> MachineResult:
    """Fit one id and score its test clips.  Raises as `evaluate`."""
    normals = read_normals(machine.train, other_channel=None)
    try:
        require(normals, LEAST_TRAINING_S)
        detector = fit_detector(
            normals.lists(), normals.front_end, normals.front_end.rate_hz
        ).detector
    except (UsageError, ValueError) as error:
        raise UsageError(f"{machine.name}: {error}") from error
    clips = [score_recording(detector, clip.path, other_channel=None) for clip in machine.test]
    scores = {FUSED: tuple(clip.fused for clip in clips)}
    for view in clips[0].views:
        scores[view] = tuple(clip.views[view] for clip in clips)
    notices = dict.fromkeys((*normals.notices, *(n for clip in clips for n in clip.notices)))
    return MachineResult(machine, normals.usable_s, scores, tuple(notices))
