"""Fits a detector to each id of a tree in the layout of DCASE 2020, and scores its test clips.

Used by the scripts that compare.  A clip's score is the mean over its windows of what a rule
of fusion makes of some of the views; means are over ids, then over types.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from asd_monitor.audio.files.recordings import read_recording
from asd_monitor.detector.detector import Detector
from asd_monitor.detector.fit import FittedDetector, Segment, fit_detector
from asd_monitor.encoders.encoder import Encoder
from asd_monitor.errors import UsageError
from asd_monitor.evaluation.dcase_data_set import DcaseMachine
from asd_monitor.features.windows import Window
from asd_monitor.metrics import auc, partial_auc
from asd_monitor.model_training.reference import Reference, read_reference
from asd_monitor.pipeline import WindowExtractor
from asd_monitor.records import Block

Floats = npt.NDArray[np.float64]
Rule = Callable[[Floats], Floats]
"""View scores (windows, views) → fused scores (windows,)."""


@dataclass(frozen=True, eq=False)
class Heard:
    """One id: the windows of its normals and of each test clip."""

    machine: DcaseMachine
    reference: Reference
    clips: tuple[Sequence[Window], ...]

    def first(self, seconds: float) -> list[Segment] | None:
        """Return the windows of the first seconds of its normals; None where there are fewer."""
        files = self.reference.files
        if sum(file.seconds for file in files) < seconds:
            return None
        found: list[Segment] = []
        for file in files:
            end = seconds * self.reference.front_end.rate_hz
            found += [
                [window for window in segment.windows if window.end <= end]
                for segment in self.reference.segments
                if segment.file is file
            ]
            seconds -= file.seconds
        return [segment for segment in found if segment]


def hear(machine: DcaseMachine, encoders: Sequence[Encoder] = ()) -> Heard:
    """Make the windows of an id.

    Raises:
        UsageError: one of the encoders cannot look at its sound, or no recording can be used.
        OperationError: no permission to read them.

    """
    reference = read_reference(machine.train, encoders=encoders)
    if len(reference.encoders) < len(encoders):
        raise UsageError(f"{machine.name}: {reference.notices[-1]}")
    return Heard(machine, reference, clip_windows(machine, reference))


def clip_windows(
    machine: DcaseMachine, reference: Reference, gain_db: float = 0.0
) -> tuple[Sequence[Window], ...]:
    """Make the windows of each test clip, louder by a gain: nothing is clipped."""
    return tuple(_windows(clip.path, reference, gain_db) for clip in machine.test)


def _windows(path: Path, reference: Reference, gain_db: float) -> Sequence[Window]:
    recording = read_recording(path)
    stream = WindowExtractor(reference.front_end, recording.rate_hz, reference.encoders)
    samples = recording.samples * np.float32(10 ** (gain_db / 20)) if gain_db else recording.samples
    return stream.push(Block(0, samples)) + stream.flush()


def fit(heard: Heard, segments: Sequence[Segment] | None = None) -> FittedDetector:
    """Fit a detector to these of its normals, or to all.  Raises UsageError where they are few."""
    reference = heard.reference
    learned = reference.lists() if segments is None else segments
    front_end = reference.front_end
    try:
        return fit_detector(learned, front_end, front_end.rate_hz, reference.encoders)
    except ValueError as error:
        raise UsageError(f"{heard.machine.name}: {error}: give it longer train clips") from error


@dataclass(frozen=True, eq=False)
class Scored:
    """One id: the view scores of every window of each test clip."""

    type: str
    anomalous: tuple[bool, ...]
    clips: tuple[Floats, ...]  # (windows, views) each

    def scores(self, rule: Rule, views: Sequence[int]) -> Floats:
        """Return the score of each clip by this rule over these views."""
        return np.array([rule(clip[:, views]).mean() for clip in self.clips])

    def areas(self, rule: Rule, views: Sequence[int]) -> tuple[float, float]:
        """Return AUC and pAUC by this rule over these views."""
        scores = self.scores(rule, views)
        return auc(self.anomalous, scores), partial_auc(self.anomalous, scores)


def score(detector: Detector, machine: DcaseMachine, clips: Iterable[Sequence[Window]]) -> Scored:
    """Score the windows of an id's test clips."""
    return Scored(
        machine.type,
        tuple(clip.anomalous for clip in machine.test),
        tuple(
            np.stack([view.score(windows) for view in detector.views], axis=1) for windows in clips
        ),
    )


def mean_by_type(types: Sequence[str], values: npt.ArrayLike) -> Floats:
    """Return the mean of the ids' values (n, …), over the ids of a type and then over types."""
    rows = np.asarray(values, np.float64)
    of = np.asarray(types)
    return np.asarray(np.mean([rows[of == kind].mean(0) for kind in sorted(set(types))], axis=0))
