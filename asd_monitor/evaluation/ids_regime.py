"""The regime `ids`: one encoder learns to classify all ids; a clip is scored against its own id.

For each window, −log softmax of the clip's own id is calibrated by clips of that id that the
encoder was not trained on: the score ``id``.  The fused score of a window is that of the detector's
views with ``id`` as one more; a clip's score is the mean of its windows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from asd_monitor.detector.calibration import ViewCalibration
from asd_monitor.detector.fit import FittedDetector
from asd_monitor.detector.fusion import fuse
from asd_monitor.detector.prior import view_prior
from asd_monitor.detector.views import vectors_of
from asd_monitor.dsp.front_end import FrontEnd
from asd_monitor.encoders.encoder import Encoder
from asd_monitor.errors import UsageError
from asd_monitor.evaluation.dcase_data_set import DcaseMachine
from asd_monitor.evaluation.recording_scores import ScoredRecording
from asd_monitor.evaluation.regime_names import RegimeName
from asd_monitor.evaluation.regimes import (
    DetectorTrainer,
    TrainedMachine,
    encoder_view_names,
    fit_machine,
    mean_by_clip,
)
from asd_monitor.evaluation.results import FUSED
from asd_monitor.extras import TORCH_AND_EXPORT, require_extra
from asd_monitor.model_training.encoder_sound import read_gapless
from asd_monitor.model_training.encoder_vectors import encode_windows, replace_encoder
from asd_monitor.model_training.recording_parts import RecordingPart
from asd_monitor.model_training.reference import Reference
from asd_monitor.model_training.training_progress import Progress

if TYPE_CHECKING:
    from asd_monitor.encoder_training.fine_tuning import FineTuningConfig

Floats = npt.NDArray[np.float64]

ID = "id"
"""Name of the score, and of the view of the encoder that classifies ids."""
MIN_DISTANCE = 0.5
"""Added to a distance, in nats: of training sound that the encoder is certain of, the logarithm of
the distance varies by many orders of magnitude without a meaning."""
MIN_CLIPS = 5
"""Held-out clips that suffice for a threshold."""


@dataclass(frozen=True, slots=True, eq=False)
class IdScorer:
    """Scores windows against an id; see `encoder_training.outlier_exposure.IdClassifier`."""

    encoder: Encoder
    weights: Mapping[str, Floats]  # of the classification head

    def score(self, vectors: npt.ArrayLike, own_id: int) -> Floats:
        """Return −log softmax (n,) of an id for embeddings (n, d)."""
        w = self.weights
        hidden = np.maximum(np.asarray(vectors, np.float64) @ w["first"].T + w["first_bias"], 0.0)
        embedding = hidden @ w["second"].T + w["second_bias"]
        embedding /= np.linalg.norm(embedding, axis=1, keepdims=True) + 1e-12
        logits = embedding @ w["centres"].T
        highest = logits.max(1)
        total = highest + np.log(np.exp(logits - highest[:, None]).sum(1))
        return np.asarray(total - logits[:, own_id])


@dataclass(frozen=True, slots=True, eq=False)
class SharedTraining:
    """The result of training on all ids; holds nothing that needs torch."""

    scorer: IdScorer
    id_numbers: Mapping[str, int]  # by the machine's name
    held_out: Mapping[str, Sequence[RecordingPart]]  # sound the encoder was not trained on


@dataclass(frozen=True, slots=True)
class IdsRegime:
    """An encoder trained on all ids; with it, each machine from its own recordings."""

    encoders: tuple[Encoder, ...] = ()
    tuning: FineTuningConfig | None = None  # None: that of `train_id_classifier`

    @property
    def name(self) -> RegimeName:
        """Name on the command line and in the results."""
        return RegimeName.IDS

    def prepare(self, machines: Sequence[DcaseMachine], progress: Progress) -> DetectorTrainer:
        """Train the encoder on all ids.

        Raises:
            UsageError: fewer than two ids, no encoder to train further, or an id without sound.
            OperationError: no torch, or no permission to read a clip.

        """
        if len(machines) < 2:
            raise UsageError(
                f"{', '.join(machine.name for machine in machines)}: --regime ids classifies ids "
                "or sections and needs at least two: use --regime single"
            )
        require_ids()
        from asd_monitor.encoder_training.adaptation import first_trainable  # noqa: PLC0415 - needs torch
        from asd_monitor.encoder_training.outlier_exposure import ClipsOfId, train_id_classifier  # noqa: PLC0415 - needs torch

        base = first_trainable(self.encoders)
        clips = [ClipsOfId(machine.name, machine.train, machine.channel) for machine in machines]
        classifier = train_id_classifier(clips, base, config=self.tuning, progress=progress)
        encoders = tuple(classifier.encoder if each is base else each for each in self.encoders)
        shared = SharedTraining(
            IdScorer(classifier.id_encoder, classifier.weights),
            {name: number for number, name in enumerate(classifier.names)},
            dict(zip(classifier.names, classifier.held_out, strict=True)),
        )
        return partial(train_with_ids, encoders=encoders, shared=shared)


def require_ids() -> None:
    """Check that the extra train is installed; raises OperationError where it is not."""
    require_extra("--regime ids", TORCH_AND_EXPORT, "use --regime single")


def train_with_ids(
    machine: DcaseMachine, encoders: Sequence[Encoder], *, shared: SharedTraining
) -> TrainedMachine:
    """Fit a detector to a machine's own recordings, and calibrate the score of its id.

    Raises:
        UsageError: too little training sound, or of too low a rate.
        OperationError: no permission to read it.

    """
    scorer, own_id = shared.scorer, shared.id_numbers[machine.name]

    def with_id_vectors(reference: Reference) -> Reference:
        reason = scorer.encoder.incompatibility(reference.front_end)
        if reason is not None:
            raise UsageError(f"the encoder that classifies ids: {reason}: use --regime single")
        return replace_encoder(reference, scorer.encoder, scorer.encoder, machine.channel)

    reference, fitted = fit_machine(machine, encoders, with_id_vectors)
    windows = [window for segment in fitted.running for window in segment]
    raw = scorer.score(vectors_of(windows, ID), own_id) + MIN_DISTANCE
    held_out = _within(reference, fitted, shared.held_out[machine.name])
    calibration = ViewCalibration.fit(raw[held_out] if held_out.any() else raw, view_prior(ID))
    fused = fuse(np.column_stack([fitted.by_view, calibration.deviation(raw)]))
    training_scores = mean_by_clip(reference, fitted, fused, held_out)
    if len(training_scores) < MIN_CLIPS:
        training_scores = mean_by_clip(reference, fitted, fused)
    return TrainedMachine(
        fitted.detector,
        reference.usable_s,
        training_scores,
        reference.notices,
        encoder_view_names(fitted.detector),
        partial(
            scores_with_id,
            scorer=scorer,
            own_id=own_id,
            calibration=calibration,
            front_end=reference.front_end,
            channel=machine.channel,
        ),
    )


def _within(
    reference: Reference, fitted: FittedDetector, parts: Sequence[RecordingPart]
) -> npt.NDArray[np.bool_]:
    """Return which of the running windows (n,) lie entirely in these parts of recordings."""
    rate_hz = reference.front_end.rate_hz
    spans = {part.file.path: (part.from_s * rate_hz, part.to_s * rate_hz) for part in parts}
    found = []
    for segment, running in zip(reference.segments, fitted.running, strict=True):
        low, high = spans.get(segment.file.path, (np.inf, np.inf))
        found += [low <= window.start and window.end <= high + 1 for window in running]
    return np.array(found, bool)


def scores_with_id(
    clip: ScoredRecording,
    *,
    scorer: IdScorer,
    own_id: int,
    calibration: ViewCalibration,
    front_end: FrontEnd,
    channel: int | None,
) -> dict[str, float]:
    """Return a clip's scores ``id`` and ``fused``, means of its windows."""
    vectors = [
        window[ID]
        for piece in read_gapless(clip.path, channel)
        for window in encode_windows(piece, scorer.encoder, front_end)
    ]
    distances = scorer.score(np.stack(vectors), own_id)
    id_scores = calibration.deviation(distances + MIN_DISTANCE)
    by_view = np.array([list(window.views.values()) for window in clip.windows])
    fused = fuse(np.column_stack([by_view, id_scores]))
    return {ID: float(id_scores.mean()), FUSED: float(fused.mean())}
