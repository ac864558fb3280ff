"""What a machine's model hears in training: a regime makes a learner, the learner detectors.

A regime may first learn from all machines together (`Regime.prepare`, once, in this process);
the learner that it returns is then called machine by machine, perhaps in other processes, so
it can be pickled.  This is the one place where evaluation reads normals, fits and scores.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from asd_monitor.detector.detector import Detector
from asd_monitor.detector.fit import FittedDetector, fit_detector
from asd_monitor.detector.fusion import fuse
from asd_monitor.encoders.encoder import Encoder
from asd_monitor.errors import UsageError
from asd_monitor.evaluation.dcase_layouts import DcaseMachine
from asd_monitor.evaluation.recording_scores import ScoredRecording, score_recording
from asd_monitor.model_training.reference import Reference, read_reference, require_duration
from asd_monitor.model_training.training_progress import Progress

LEAST_TRAINING_S = 15.0
WINDOW_S = 1.984  # no clip may be shorter
CLIP_S, LONG_S = 10.0, 20.0  # a recording longer than the latter counts as clips of the former

ClipScores = Callable[[ScoredRecording], Mapping[str, float]]
"""A recording that the detector has scored → more scores of it by name, high for anomalies.

One that is called ``fused`` takes the place of the detector's.
"""


@dataclass(frozen=True, slots=True, eq=False)
class TrainedMachine:
    """A detector of one machine, and what its training showed."""

    detector: Detector
    train_s: float  # of usable sound
    training_scores: tuple[float, ...]  # fused, of each training clip, by what had not heard it
    notices: tuple[str, ...] = ()
    encoder_views: frozenset[str] = frozenset()  # which are no statistics
    clip_scores: ClipScores | None = None


class DetectorTrainer(Protocol):
    """Makes a machine's detector."""

    def __call__(self, machine: DcaseMachine) -> TrainedMachine:
        """Fit one machine.  Raises UsageError or OperationError."""


class Regime(Protocol):
    """What is trained on what."""

    @property
    def name(self) -> str:
        """What it is called on the command line and in the results."""

    def prepare(self, machines: Sequence[DcaseMachine], progress: Progress) -> DetectorTrainer:
        """Learn what all machines share; the learner that is returned can be pickled."""


@dataclass(frozen=True, slots=True)
class SingleRegime:
    """Each machine from its own normals alone, as in a plant, heard through these networks too.

    ``adapting`` adapts the encoder to each, as `train --adapt` does, which needs torch.
    """

    encoders: tuple[Encoder, ...] = ()
    adapting: bool = False
    name: str = "single"

    def prepare(self, machines: Sequence[DcaseMachine], progress: Progress) -> DetectorTrainer:
        """Return the learner; nothing is shared.

        Raises UsageError where there is no network to adapt, and it is asked for.
        """
        del machines, progress
        if self.adapting:
            from asd_monitor.encoder_training.adaptation import first_trainable  # noqa: PLC0415 - needs torch

            first_trainable(self.encoders)
        return partial(learn, encoders=self.encoders, adapting=self.adapting)


def learn(
    machine: DcaseMachine, encoders: Sequence[Encoder] = (), *, adapting: bool = False
) -> TrainedMachine:
    """Fit a detector to a machine's own normals, with the views of these networks.

    Raises:
        UsageError: too little sound to learn from.
        OperationError: no permission to read it.

    """
    notices: list[str] = []
    reference, fitted = fit_machine(
        machine, encoders, partial(_adapted, machine, notices) if adapting else None
    )
    return TrainedMachine(
        fitted.detector,
        reference.usable_s,
        of_clips(reference, fitted, fitted.fused),
        (*reference.notices, *notices),
        encoder_view_names(fitted.detector),
    )


def fit_machine(
    machine: DcaseMachine,
    encoders: Sequence[Encoder],
    changed: Callable[[Reference], Reference] | None = None,
) -> tuple[Reference, FittedDetector]:
    """Read a machine's own normals, change how they are heard, and fit a detector to them.

    Raises as `learn`.
    """
    reference = read_reference(
        machine.train, window_s=WINDOW_S, channel=machine.channel, encoders=encoders
    )
    try:
        require_duration(reference, LEAST_TRAINING_S)
        if changed is not None:
            reference = changed(reference)
        fitted = fit_detector(
            reference.lists(), reference.front_end, reference.front_end.rate_hz, reference.encoders
        )
    except (UsageError, ValueError) as error:
        raise UsageError(f"{machine.name}: {error}") from error
    return reference, fitted


def _adapted(machine: DcaseMachine, notices: list[str], reference: Reference) -> Reference:
    from asd_monitor.encoder_training.adaptation import adapt  # noqa: PLC0415 - needs torch

    try:
        reference, found = adapt(reference, channel=machine.channel)
    except UsageError as error:  # a data set may have less sound than a plant must
        notices.append(f"{machine.name}: the encoder was not adapted: {error}")
    else:
        notices.append(f"{machine.name}: {found.in_words()}")
    return reference


def encoder_view_names(detector: Detector) -> frozenset[str]:
    """Return the names of the views that are no statistics."""
    return frozenset(view.kind.name for view in detector.views if view.kind.encoder is not None)


def of_clips(
    reference: Reference,
    fitted: FittedDetector,
    scores: npt.NDArray[np.float64],
    counted: npt.NDArray[np.bool_] | None = None,
) -> tuple[float, ...]:
    """Return the score of each training clip: the mean of its running windows' (n,).

    Those of `fitted` are held out.  ``counted`` (n,) leaves windows out; None: none.
    """
    of_clip: dict[tuple[Path, int], list[float]] = {}
    chosen = np.ones(len(scores), bool) if counted is None else counted
    each = iter(zip(scores.tolist(), chosen.tolist(), strict=True))
    for segment, running in zip(reference.segments, fitted.running, strict=True):
        is_long = segment.file.seconds > LONG_S
        for window in running:
            piece = int(window.start / reference.front_end.rate_hz / CLIP_S) if is_long else 0
            score, counts = next(each)
            if counts:
                of_clip.setdefault((segment.file.path, piece), []).append(score)
    return tuple(float(np.mean(clip)) for clip in of_clip.values())


def score_clip(learned: TrainedMachine, path: Path, channel: int | None) -> ScoredRecording:
    """Score a test clip.  Raises as `score_recording`."""
    return score_recording(learned.detector, path, channel)


def fused_without(clip: ScoredRecording, left_out: frozenset[str]) -> float:
    """Return the fused score of a clip without some of the views: the mean over its windows."""
    kept = [
        [score for name, score in window.views.items() if name not in left_out]
        for window in clip.windows
    ]
    return float(np.mean([fuse(np.array([scores]))[0] for scores in kept]))
