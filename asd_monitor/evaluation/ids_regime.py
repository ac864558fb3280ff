"""The regime `ids`: one encoder learns to tell all ids apart, and each clip claims to be one.

Of each window −log softmax of the claimed id is taken, calibrated by clips of that id that
were not trained on: the score ``id``.  A window's fused score is the cubic mean of that
and of the detector's calibrated score; a clip's is the mean over its windows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from asd_monitor.audio.files.recordings import RecordingReader
from asd_monitor.detector.calibration import ParetoTail
from asd_monitor.detector.fit import FittedDetector
from asd_monitor.detector.fusion import fuse
from asd_monitor.detector.views import TAIL_SHAPE, vectors_of
from asd_monitor.dsp.front_end import FrontEnd
from asd_monitor.encoders.encoder import Encoder
from asd_monitor.errors import UsageError
from asd_monitor.evaluation.dcase_layouts import DcaseMachine
from asd_monitor.evaluation.recording_scores import ScoredRecording
from asd_monitor.evaluation.regimes import (
    DetectorTrainer,
    TrainedMachine,
    encoder_view_names,
    fit_machine,
    of_clips,
)
from asd_monitor.extras import TORCH_AND_EXPORT, require_extra
from asd_monitor.model_training.encoder_sound import GaplessResampler
from asd_monitor.model_training.encoder_vectors import encode_windows, replace_encoder
from asd_monitor.model_training.recording_parts import RecordingPart
from asd_monitor.model_training.reference import Reference
from asd_monitor.model_training.training_progress import Progress

Floats = npt.NDArray[np.float64]

ID = "id"
FUSED = "fused"
LEAST_SCALE = 0.5
"""Of the tail, in nats: known sound that is certain of its id does not show how far it varies."""
FEWEST_CLIPS = 5  # held-out clips that a threshold can rest on


@dataclass(frozen=True, slots=True, eq=False)
class IdScorer:
    """How well a window fits the id that it claims; see `training.ids.IdClassifier`."""

    id_encoder: Encoder
    weights: Mapping[str, Floats]

    def score(self, vectors: npt.ArrayLike, claimed: int) -> Floats:
        """Return −log softmax of the claimed id (n,) of vectors (n, d)."""
        w = self.weights
        hidden = np.maximum(np.asarray(vectors, np.float64) @ w["first"].T + w["first_bias"], 0.0)
        embedding = hidden @ w["second"].T + w["second_bias"]
        embedding /= np.linalg.norm(embedding, axis=1, keepdims=True) + 1e-12
        logits = embedding @ w["centres"].T
        highest = logits.max(1)
        total = highest + np.log(np.exp(logits - highest[:, None]).sum(1))
        return np.asarray(total - logits[:, claimed])


@dataclass(frozen=True, slots=True, eq=False)
class SharedTraining:
    """What was learned from all ids, without what would need torch."""

    claims: IdScorer
    numbers: Mapping[str, int]  # of each id, by its machine's name
    held_out: Mapping[str, Sequence[RecordingPart]]  # what of each was not trained on


@dataclass(frozen=True, slots=True)
class IdsRegime:
    """All ids together, and each from its own normals heard through what that has made."""

    encoders: tuple[Encoder, ...] = ()
    name: str = "ids"

    def prepare(self, machines: Sequence[DcaseMachine], progress: Progress) -> DetectorTrainer:
        """Train the encoder on all ids.

        Raises:
            UsageError: fewer than two ids, no encoder to train further, or an id without sound.
            OperationError: no torch, or no permission to read a clip.

        """
        if len(machines) < 2:
            raise UsageError(
                f"{', '.join(machine.name for machine in machines)}: --regime ids learns to tell "
                "ids or sections apart, of which it needs two: use --regime single"
            )
        require_ids()
        from asd_monitor.encoder_training.adaptation import first_trainable  # noqa: PLC0415 - needs torch
        from asd_monitor.encoder_training.outlier_exposure import ClipsOfId, train_id_classifier  # noqa: PLC0415 - needs torch

        base = first_trainable(self.encoders)
        clips = [ClipsOfId(machine.name, machine.train, machine.channel) for machine in machines]
        trained = train_id_classifier(clips, base, progress=progress)
        encoders = tuple(trained.encoder if each is base else each for each in self.encoders)
        shared = SharedTraining(
            IdScorer(trained.id_encoder, trained.weights),
            {name: number for number, name in enumerate(trained.names)},
            dict(zip(trained.names, trained.held_out, strict=True)),
        )
        return partial(learn, encoders=encoders, shared=shared)


def require_ids() -> None:
    """Check that the extra train is installed; raises OperationError where it is not."""
    require_extra("--regime ids", TORCH_AND_EXPORT, "use --regime single")


def learn(
    machine: DcaseMachine,
    encoders: Sequence[Encoder],
    *,
    shared: SharedTraining,
) -> TrainedMachine:
    """Fit a detector to a machine's own normals, and calibrate its claim.

    Raises:
        UsageError: too little sound to learn from, or of too low a rate.
        OperationError: no permission to read it.

    """
    claims, claimed = shared.claims, shared.numbers[machine.name]

    def with_claims(reference: Reference) -> Reference:
        incompatibility = claims.id_encoder.incompatibility(reference.front_end)
        if incompatibility is not None:
            raise UsageError(f"the network that tells ids apart: {incompatibility}: use --regime single")
        return replace_encoder(reference, claims.id_encoder, claims.id_encoder, machine.channel)

    reference, fitted = fit_machine(machine, encoders, with_claims)
    windows = [window for segment in fitted.running for window in segment]
    raw = claims.score(vectors_of(windows, ID), claimed)
    out = _within(reference, fitted, shared.held_out[machine.name])
    tail = ParetoTail.fit_scale(raw[out] if out.any() else raw, TAIL_SHAPE, LEAST_SCALE)
    fused = fuse(np.column_stack([fitted.by_view, tail.score(raw)]))
    clips = of_clips(reference, fitted, fused, out)
    if len(clips) < FEWEST_CLIPS:
        clips = of_clips(reference, fitted, fused)
    return TrainedMachine(
        fitted.detector,
        reference.usable_s,
        clips,
        reference.notices,
        encoder_view_names(fitted.detector),
        partial(
            scores_of,
            claims=claims,
            claimed=claimed,
            tail=tail,
            front_end=reference.front_end,
            channel=machine.channel,
        ),
    )


def _within(reference: Reference, fitted: FittedDetector, parts: Sequence[RecordingPart]) -> npt.NDArray[np.bool_]:
    """Return which of the running windows (n,) lie wholly in these parts of recordings."""
    rate_hz = reference.front_end.rate_hz
    spans = {part.file.path: (part.from_s * rate_hz, part.to_s * rate_hz) for part in parts}
    found = []
    for segment, running in zip(reference.segments, fitted.running, strict=True):
        low, high = spans.get(segment.file.path, (np.inf, np.inf))
        found += [low <= window.start and window.end <= high + 1 for window in running]
    return np.array(found, bool)


def scores_of(
    clip: ScoredRecording,
    *,
    claims: IdScorer,
    claimed: int,
    tail: ParetoTail,
    front_end: FrontEnd,
    channel: int | None,
) -> dict[str, float]:
    """Return a clip's scores ``id`` and ``fused``: means over its windows."""
    joined = GaplessResampler(clip.rate_hz)
    with RecordingReader(clip.path, channel) as reader:
        for block in reader.blocks():
            joined.push(block)
    vectors = [
        each[ID] for piece in joined.pieces() for each in encode_windows(piece, claims.id_encoder, front_end)
    ]
    claim = tail.score(claims.score(np.stack(vectors), claimed))
    by_view = np.array([list(window.views.values()) for window in clip.windows])
    fused = fuse(np.column_stack([by_view, claim]))
    return {ID: float(claim.mean()), FUSED: float(fused.mean())}
