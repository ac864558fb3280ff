"""The measurements of one id for `encoder_report`: by training duration, by gain, by fault."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from asd_monitor.detector.calibration import FusedCalibration
from asd_monitor.detector.fit import FittedDetector
from asd_monitor.detector.fusion import fuse
from asd_monitor.detector.prior import FUSED_PRIOR
from asd_monitor.dsp.frames import Floats
from asd_monitor.encoders.encoder import Encoder
from asd_monitor.errors import UsageError
from asd_monitor.evaluation.dcase_data_set import DcaseMachine
from experiments.fault_curves import rank_in
from experiments.fitted_machines import MachineScores, MachineWindows

TRAINING_S = (20.0, 60.0, 180.0, 600.0)
GAINS_DB = (-12.0, -6.0, 0.0, 6.0, 12.0)

ViewGroups = Mapping[str, Sequence[int]]
"""Name of a group of views → their columns."""


@dataclass(frozen=True)
class LabelledFault:
    """The fault of an anomalous clip, from labels.csv."""

    kind: str
    severity: float


@dataclass(frozen=True, eq=False)
class MeasuredMachine:
    """The scores of an id's test clips under all conditions."""

    views: tuple[str, ...]
    groups: ViewGroups
    scores: MachineScores  # with all training recordings
    faults: tuple[LabelledFault | None, ...]  # of the test clips
    training_s: float
    by_training_s: Mapping[float, MachineScores]  # with the first seconds, where there are enough
    by_gain: Mapping[float, MachineScores]
    normal_scores: Mapping[float, Floats]  # by gain: mean score of normal clips, (groups,)

    @property
    def type(self) -> str:
        """Type of the machine."""
        return self.scores.type

    def fault_ranks(self) -> list[tuple[LabelledFault, list[float]]]:
        """Return each fault and, by group, the share of normal clips with a lower score."""
        scores = np.stack([self.scores.clip_scores(fuse, v) for v in self.groups.values()])
        normal = scores[:, ~np.array(self.scores.anomalous)]
        return [
            (fault, [rank_in(*pair) for pair in zip(normal, scores[:, number], strict=True)])
            for number, fault in enumerate(self.faults)
            if fault is not None
        ]


def read_faults(tree: Path) -> dict[Path, LabelledFault]:
    """Return the faults by the paths of the clips; empty without labels.csv."""
    table = tree / "labels.csv"
    if not table.exists():
        return {}
    with table.open(newline="") as lines:
        return {
            tree / row["file"]: LabelledFault(row["fault"], float(row["severity"]))
            for row in csv.DictReader(lines)
            if row.get("fault") and row.get("severity")
        }


def measure(
    machine: DcaseMachine, encoders: Sequence[Encoder], faults: Mapping[Path, LabelledFault]
) -> MeasuredMachine:
    """Fit and score an id under all conditions.

    Raises:
        UsageError: one of the encoders does not fit the sound, or there is too little of it.
        OperationError: no permission to read the recordings.

    """
    windows = MachineWindows.read(machine, encoders)
    fitted = windows.fit()
    kinds = [view.kind for view in fitted.detector.views]
    groups = {
        "statistics": [at for at, kind in enumerate(kinds) if kind.encoder is None],
        "encoder": [at for at, kind in enumerate(kinds) if kind.encoder is not None],
        "all": list(range(len(kinds))),
    }
    by_gain = {gain_db: windows.score(fitted.detector, gain_db) for gain_db in GAINS_DB}
    return MeasuredMachine(
        tuple(kind.name for kind in kinds),
        groups,
        by_gain[0.0],
        tuple(faults.get(clip.path) for clip in machine.test),
        windows.training_s,
        dict(_by_training_s(windows)),
        by_gain,
        {
            gain_db: _mean_normal_scores(fitted, groups, scores)
            for gain_db, scores in by_gain.items()
        },
    )


def _by_training_s(windows: MachineWindows) -> Iterator[tuple[float, MachineScores]]:
    for seconds in TRAINING_S:
        segments = windows.first_segments(seconds)
        if segments is not None:
            try:
                detector = windows.fit(segments).detector
            except UsageError:  # the machine is idle in most of it
                continue
            yield seconds, windows.score(detector)


def _mean_normal_scores(
    fitted: FittedDetector, groups: ViewGroups, scores: MachineScores
) -> Floats:
    """Return the mean score of normal clips, (groups,), each group calibrated by itself."""
    means = []
    for views in groups.values():
        blocks = fitted.blocks
        tail = FusedCalibration.fit(
            fuse(fitted.by_view[:, views]),
            FUSED_PRIOR,
            hours=blocks.hours,
            days=blocks.days,
            blocks=len(blocks),
        )
        clips = [
            float(tail.score(fuse(clip[:, views])).mean())
            for clip, anomalous in zip(scores.clips, scores.anomalous, strict=True)
            if not anomalous
        ]
        means.append(np.mean(clips))
    return np.array(means)
