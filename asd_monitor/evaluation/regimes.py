"""Training regimes of an evaluation: on which recordings the model of a machine is trained.

`Regime.prepare` trains what all machines share, once and in this process, and returns a function
that fits one machine's detector.  That function is called for one machine after the other,
perhaps in other processes, and can therefore be pickled.
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
from asd_monitor.detector.fit import FittedDetector
from asd_monitor.encoders.encoder import Encoder
from asd_monitor.errors import UsageError
from asd_monitor.evaluation.dcase_data_set import DcaseMachine
from asd_monitor.evaluation.recording_scores import ScoredRecording
from asd_monitor.evaluation.regime_names import RegimeName
from asd_monitor.model_training.adaptation_result import Adaptation
from asd_monitor.model_training.reference import Reference, read_reference, require_duration
from asd_monitor.model_training.training_progress import Progress

MIN_TRAINING_S = 15.0
WINDOW_S = 1.984
"""No clip may be shorter."""
CLIP_S, MAX_CLIP_S = 10.0, 20.0
"""A training recording longer than the latter counts as several clips of the former."""

ClipScores = Callable[[ScoredRecording], Mapping[str, float]]
"""Returns further scores of a scored recording by name, high for anomalies.

One called ``fused`` replaces the detector's fused score.
"""


@dataclass(frozen=True, slots=True, eq=False)
class TrainedMachine:
    """The detector of one machine, and figures of its training."""

    detector: Detector
    train_s: float  # of usable sound
    training_scores: tuple[float, ...]  # out-of-fold fused score of each training clip
    notices: tuple[str, ...] = ()
    encoder_views: frozenset[str] = frozenset()  # names of the views of encoders
    clip_scores: ClipScores | None = None
    adaptation: Adaptation | None = None  # None: the encoder was not to be adapted


class DetectorTrainer(Protocol):
    """Fits the detector of a machine."""

    def __call__(self, machine: DcaseMachine) -> TrainedMachine:
        """Fit one machine.  Raises UsageError or OperationError."""


class Regime(Protocol):
    """A training regime."""

    @property
    def name(self) -> RegimeName:
        """Name on the command line and in the results."""

    def prepare(self, machines: Sequence[DcaseMachine], progress: Progress) -> DetectorTrainer:
        """Train what all machines share; the function that is returned can be pickled."""


@dataclass(frozen=True, slots=True)
class SingleRegime:
    """Each machine from its own recordings only, as in a plant, with the views of these encoders.

    ``adapting`` adapts the encoder to each machine, as `train --adapt` does; this needs torch.
    """

    encoders: tuple[Encoder, ...] = ()
    adapting: bool = False

    @property
    def name(self) -> RegimeName:
        """Name on the command line and in the results."""
        return RegimeName.SINGLE

    def prepare(self, machines: Sequence[DcaseMachine], progress: Progress) -> DetectorTrainer:
        """Return the trainer; nothing is shared.

        Raises UsageError where the encoder is to be adapted and none can be.
        """
        del machines, progress
        if self.adapting:
            from asd_monitor.encoder_training.adaptation import first_trainable  # noqa: PLC0415 - needs torch

            first_trainable(self.encoders)
            return partial(train_adapted, encoders=self.encoders)
        return partial(train_single, encoders=self.encoders)


def train_single(machine: DcaseMachine, encoders: Sequence[Encoder] = ()) -> TrainedMachine:
    """Fit a detector to a machine's own recordings, with the views of these encoders.

    Raises:
        UsageError: too little training sound.
        OperationError: no permission to read it.

    """
    return _trained(*fit_machine(machine, encoders))


def train_adapted(machine: DcaseMachine, encoders: Sequence[Encoder]) -> TrainedMachine:
    """Adapt the encoder to a machine, then fit as `train_single`.  Raises as that, needs torch.

    With too little sound to adapt, the encoder stays as it is, with a notice.
    """
    from asd_monitor.encoder_training.adaptation import adapt  # noqa: PLC0415 - needs torch

    notices: list[str] = []
    adaptations: list[Adaptation] = []

    def adapted(reference: Reference) -> Reference:
        try:
            reference, adaptation = adapt(reference, channel=machine.channel)
        except UsageError as error:
            notices.append(f"{machine.name}: the encoder was not adapted: {error}")
        else:
            adaptations.append(adaptation)
        return reference

    reference, fitted = fit_machine(machine, encoders, adapted)
    return _trained(reference, fitted, notices, next(iter(adaptations), None))


def _trained(
    reference: Reference,
    fitted: FittedDetector,
    notices: Sequence[str] = (),
    adaptation: Adaptation | None = None,
) -> TrainedMachine:
    return TrainedMachine(
        fitted.detector,
        reference.usable_s,
        mean_by_clip(reference, fitted, fitted.fused),
        (*reference.notices, *notices),
        encoder_view_names(fitted.detector),
        adaptation=adaptation,
    )


def fit_machine(
    machine: DcaseMachine,
    encoders: Sequence[Encoder],
    transform: Callable[[Reference], Reference] | None = None,
) -> tuple[Reference, FittedDetector]:
    """Read a machine's training recordings, transform the reference, and fit a detector to it.

    Raises as `train_single`.
    """
    reference = read_reference(
        machine.train, window_s=WINDOW_S, channel=machine.channel, encoders=encoders
    )
    try:
        require_duration(reference, MIN_TRAINING_S)
        if transform is not None:
            reference = transform(reference)
        fitted = reference.fit()
    except (UsageError, ValueError) as error:
        raise UsageError(f"{machine.name}: {error}") from error
    return reference, fitted


def encoder_view_names(detector: Detector) -> frozenset[str]:
    """Return the names of the views of encoders."""
    return frozenset(view.kind.name for view in detector.views if view.kind.encoder is not None)


def mean_by_clip(
    reference: Reference,
    fitted: FittedDetector,
    scores: npt.NDArray[np.float64],
    selected: npt.NDArray[np.bool_] | None = None,
) -> tuple[float, ...]:
    """Return the mean score of each training clip.

    ``scores`` (n,) are those of the running windows, of which ``selected`` (n,) are averaged;
    None: all.
    """
    scores_of_clip: dict[tuple[Path, int], list[float]] = {}
    mask = np.ones(len(scores), bool) if selected is None else selected
    rows = iter(zip(scores.tolist(), mask.tolist(), strict=True))
    for segment, running in zip(reference.segments, fitted.running, strict=True):
        is_long = segment.file.seconds > MAX_CLIP_S
        for window in running:
            part = int(window.start / reference.front_end.rate_hz / CLIP_S) if is_long else 0
            score, is_selected = next(rows)
            if is_selected:
                scores_of_clip.setdefault((segment.file.path, part), []).append(score)
    return tuple(float(np.mean(clip)) for clip in scores_of_clip.values())
