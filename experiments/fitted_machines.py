"""Detectors fitted to the ids of a data set, and the scores of their test clips by view.

The score of a clip is the mean over its windows of a fusion of some views.  Means of AUC are
taken over the ids of a type and then over the types.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from asd_monitor.audio.files.recordings import read_recording
from asd_monitor.detector.detector import Detector
from asd_monitor.detector.fit import FittedDetector
from asd_monitor.detector.fusion import fuse
from asd_monitor.dsp.frames import Floats
from asd_monitor.encoders.encoder import Encoder
from asd_monitor.errors import UsageError
from asd_monitor.evaluation.dcase_data_set import DcaseMachine
from asd_monitor.features.windows import Window
from asd_monitor.metrics import auc, partial_auc
from asd_monitor.model_training.reference import Reference, Segment, read_reference
from asd_monitor.pipeline import WindowExtractor
from asd_monitor.records import Block, Stream
from asd_monitor.synthesis.filtering import db_to_amplitude

FusionRule = Callable[[Floats], Floats]
"""Deviations (windows, views) → fused scores (windows,)."""

Windows = Sequence[Window]


@dataclass(frozen=True, eq=False)
class MachineWindows:
    """The training windows of an id and the windows of each of its test clips."""

    machine: DcaseMachine
    reference: Reference
    clips: tuple[Windows, ...]

    @staticmethod
    def read(machine: DcaseMachine, encoders: Sequence[Encoder] = ()) -> MachineWindows:
        """Extract the windows of an id.

        Raises:
            UsageError: one of the encoders does not fit the sound, or no recording is usable.
            OperationError: no permission to read them.

        """
        reference = read_reference(machine.train, encoders=encoders)
        if len(reference.encoders) < len(encoders):
            raise UsageError(f"{machine.name}: {reference.notices[-1]}")
        return MachineWindows(machine, reference, clip_windows(machine, reference))

    @property
    def training_s(self) -> float:
        """Seconds of all training recordings."""
        return sum(file.seconds for file in self.reference.files)

    def first_segments(self, seconds: float) -> list[Segment] | None:
        """Return the segments in the first seconds of the training recordings.

        None if there are fewer.
        """
        if self.training_s < seconds:
            return None
        found: list[Segment] = []
        for file in self.reference.files:
            end = seconds * self.reference.front_end.rate_hz
            for segment in self.reference.segments:
                windows = tuple(window for window in segment.windows if window.end <= end)
                if segment.file is file and windows:
                    found.append(Segment(file, windows, segment.seconds))
            seconds -= file.seconds
        return found

    def fit(self, segments: Sequence[Segment] | None = None) -> FittedDetector:
        """Fit a detector to these training segments, or to all.

        Raises:
            UsageError: they are too few.

        """
        try:
            return self.reference.fit(segments)
        except ValueError as error:
            raise UsageError(
                f"{self.machine.name}: {error}: longer training clips are needed"
            ) from error

    def score(self, detector: Detector, gain_db: float = 0.0) -> MachineScores:
        """Score the test clips, amplified by a gain."""
        clips = clip_windows(self.machine, self.reference, gain_db) if gain_db else self.clips
        return score_clips(detector, self.machine, clips)


def clip_windows(
    machine: DcaseMachine, reference: Reference, gain_db: float = 0.0
) -> tuple[Windows, ...]:
    """Extract the windows of each test clip, amplified by a gain and not limited."""
    return tuple(_windows(clip.path, reference, gain_db) for clip in machine.test)


def _windows(path: Path, reference: Reference, gain_db: float) -> Windows:
    recording = read_recording(path)
    extractor = WindowExtractor(reference.front_end, reference.encoders)
    samples = recording.samples * np.float32(db_to_amplitude(gain_db))
    return extractor.push(Block(Stream(recording.rate_hz), 0, samples)) + extractor.flush()


@dataclass(frozen=True, eq=False)
class MachineScores:
    """The scores by view of the test clips of an id."""

    type: str
    anomalous: tuple[bool, ...]
    clips: tuple[Floats, ...]  # (windows, views) each

    def clip_scores(self, rule: FusionRule, views: Sequence[int]) -> Floats:
        """Return the score of each clip, (clips,), by this rule over these views."""
        return np.array([rule(clip[:, views]).mean() for clip in self.clips])

    def auc(self, rule: FusionRule, views: Sequence[int]) -> tuple[float, float]:
        """Return AUC and pAUC by this rule over these views."""
        scores = self.clip_scores(rule, views)
        return auc(self.anomalous, scores), partial_auc(self.anomalous, scores)


def score_clips(
    detector: Detector, machine: DcaseMachine, clips: Iterable[Windows]
) -> MachineScores:
    """Return the scores by view of an id's test clips."""
    return MachineScores(
        machine.type,
        tuple(clip.anomalous for clip in machine.test),
        tuple(
            np.stack([view.score(windows) for view in detector.views], axis=1) for windows in clips
        ),
    )


def mean_auc(
    machines: Sequence[MachineScores], views: Sequence[int], rule: FusionRule = fuse
) -> str:
    """Return the mean AUC / pAUC over types as text."""
    areas = [machine.auc(rule, views) for machine in machines]
    return auc_text(mean_by_type([machine.type for machine in machines], areas))


def auc_text(areas: Sequence[float] | Floats) -> str:
    """Return AUC / pAUC as text."""
    return f"{areas[0]:.3f} / {areas[1]:.3f}"


def mean_by_type(types: Sequence[str], values: npt.ArrayLike) -> Floats:
    """Return the mean of the values (ids, …) over the ids of a type and then over the types."""
    rows = np.asarray(values, np.float64)
    labels = np.asarray(types)
    return np.asarray(
        np.mean([rows[labels == each].mean(0) for each in sorted(set(types))], axis=0)
    )
