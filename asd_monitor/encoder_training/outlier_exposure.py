"""Training of one encoder on all ids of a data set as a classifier of ids: outlier exposure.

The other machines stand in for anomalies: a clip is anomalous if it is not classified as the id
that it is labelled with.  Koizumi et al., "Description and discussion on DCASE2020 Challenge
Task 2", arXiv 2006.05822, describe such systems.  Here the contrastive loss with the ids as
labels and the angular margin loss are added; how arXiv 2509.15570 combines its losses is not
known to us.

The last fifth of each id's clips (of its sound, if it is one or two recordings) is held out, to
calibrate the distance of normal sound from its id.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import nn

from asd_monitor.dsp.frames import Floats
from asd_monitor.encoder_training.export import export_encoder, import_network, map_name
from asd_monitor.encoder_training.fine_tuning import (
    FineTunedNetwork,
    FineTuningConfig,
    LabelledClips,
    fine_tune,
)
from asd_monitor.encoder_training.log_mel_frames import LogMel, duration_s, log_mel
from asd_monitor.encoder_training.losses import AngularMarginLoss
from asd_monitor.encoder_training.network import ProjectionHead
from asd_monitor.encoders.card import CardView
from asd_monitor.encoders.encoder import Encoder
from asd_monitor.errors import AsdMonitorError, UsageError
from asd_monitor.model_training.encoder_sound import RATE_HZ, read_parts
from asd_monitor.model_training.recording_parts import RecordingPart
from asd_monitor.model_training.sound_files import SoundFile, inspect_recording
from asd_monitor.model_training.training_progress import Progress, no_progress

HELD_OUT_SHARE = 0.2
MIN_CLIPS = 3  # fewer are each divided in time
MIN_CLIP_S = 0.5
MIN_STEPS, MAX_STEPS = 300, 6000
SECONDS_PER_STEP = 20.0  # half a step per clip of 10 s
CLASSES_PER_BATCH, WINDOWS_PER_BATCH = 12, 64
ID_VIEW = "id"


@dataclass(frozen=True, slots=True)
class ClipsOfId:
    """The training clips of one id."""

    name: str
    paths: tuple[Path, ...]
    channel: int | None = None


@dataclass(frozen=True, slots=True, eq=False)
class IdClassifier:
    """An encoder trained to classify ids, and the weights of the classifier.

    ``id_encoder`` is the same network with the single view ``id``, the input v (d,) of the
    classifier.  With h = max(0, first · v + first_bias), the embedding is e = second · h +
    second_bias, scaled to unit length, and the logits of the ids are centres · e.
    """

    encoder: Encoder
    id_encoder: Encoder
    weights: dict[str, Floats]
    names: tuple[str, ...]
    held_out: tuple[tuple[RecordingPart, ...], ...]  # of each id
    steps: int


def train_id_classifier(
    ids: Sequence[ClipsOfId],
    encoder: Encoder,
    *,
    config: FineTuningConfig | None = None,
    progress: Progress = no_progress,
) -> IdClassifier:
    """Train an encoder further on the clips of two ids or more.

    Without ``config`` the number of steps is `default_steps`.

    Raises:
        UsageError: fewer than two ids, an encoder that cannot be trained further, or an id
            without sound of 16 kHz.
        OperationError: no permission to read a clip.

    """
    if len(ids) < 2:
        raise UsageError(f"{len(ids)} id: classifying ids needs two or more: use the regime single")
    network = import_network(encoder)
    clips: list[list[LogMel]] = []
    held_out: list[tuple[RecordingPart, ...]] = []
    for number, each in enumerate(ids):
        progress("reading all ids", number / len(ids))
        trained_on, out = split_clips(_readable_files(each))
        clips.append(_log_mels(trained_on, each))
        held_out.append(tuple(out))
    config = config or FineTuningConfig(
        steps=default_steps(clips), learning_rate=1e-3, heads_only_share=0.1
    )
    tuned = fine_tune(
        network,
        IdBatches(clips),
        len(ids),
        config,
        progress=progress,
        step_name="training on all ids",
    )
    adapted = export_encoder(
        network, encoder.card.views, f"{encoder.name[:59]}-ids", encoder.card.licence
    )
    deepest = map_name(max(network.taps))
    view = CardView(name=ID_VIEW, outputs=(deepest,), pool=("mean", "spread", "maximum"))
    outputs = tuple(each for each in adapted.card.outputs if each.name == deepest)
    card = adapted.card.model_copy(update={"outputs": outputs, "views": (view,)})
    return IdClassifier(
        adapted,
        Encoder.from_bytes(adapted.onnx, card),
        classifier_weights(tuned),
        tuple(each.name for each in ids),
        tuple(held_out),
        config.steps,
    )


def default_steps(clips: Sequence[Sequence[LogMel]]) -> int:
    """Return the number of gradient steps: half a step per 10 s of sound, from 300 to 6000.

    ``clips`` are the log-mel spectrograms (T, F) of each id.
    """
    seconds = duration_s(sum(len(clip) for of_id in clips for clip in of_id))
    return round(min(MAX_STEPS, max(MIN_STEPS, seconds / SECONDS_PER_STEP)))


def _readable_files(ids: ClipsOfId) -> list[SoundFile]:
    files, refusals = [], []
    for path in ids.paths:
        try:
            file = inspect_recording(path, ids.channel)
        except AsdMonitorError as error:
            refusals.append(error)
            continue
        if file.rate_hz >= RATE_HZ and file.seconds >= MIN_CLIP_S:
            files.append(file)
    if not files:
        raise (
            refusals[0]
            if refusals
            else UsageError(
                f"{ids.name}: no training clip of {RATE_HZ} Hz and {MIN_CLIP_S:g} s or more: "
                "leave this id out, or use the regime single"
            )
        )
    return files


def split_clips(files: Sequence[SoundFile]) -> tuple[list[RecordingPart], list[RecordingPart]]:
    """Return the parts to train on and the parts held out."""
    if len(files) >= MIN_CLIPS:
        kept = len(files) - max(1, int(HELD_OUT_SHARE * len(files)))
        parts = [RecordingPart(file, 0.0, file.seconds) for file in files]
        return parts[:kept], parts[kept:]
    cuts = [(file, (1.0 - HELD_OUT_SHARE) * file.seconds) for file in files]
    return (
        [RecordingPart(file, 0.0, cut_s) for file, cut_s in cuts],
        [RecordingPart(file, cut_s, file.seconds) for file, cut_s in cuts],
    )


def _log_mels(parts: Sequence[RecordingPart], ids: ClipsOfId) -> list[LogMel]:
    found = []
    for part in parts:  # one at a time: the sound takes five times the memory
        [pieces] = read_parts([part], ids.channel)
        found += [log_mel(p) for p in pieces if len(p) >= 0.8 * MIN_CLIP_S * RATE_HZ]
    if not found:
        raise UsageError(f"{ids.name}: no gapless sound to train on: leave this id out")
    return found


@dataclass(frozen=True, slots=True, eq=False)
class IdBatches:
    """Draws batches: the same number of clips of each of some ids."""

    clips: Sequence[Sequence[LogMel]]  # of each id

    def __call__(self, rng: np.random.Generator) -> LabelledClips:
        """Return the clips of a batch."""
        count = min(CLASSES_PER_BATCH, len(self.clips))
        chosen = rng.choice(len(self.clips), count, replace=False).tolist()
        each = max(4, WINDOWS_PER_BATCH // count // 2 * 2)
        labels = [number for number in chosen for _ in range(each)]
        clips = [self.clips[n][int(rng.integers(len(self.clips[n])))] for n in labels]
        return LabelledClips(clips, labels, labels)


def classifier_weights(tuned: FineTunedNetwork) -> dict[str, Floats]:
    """Return the head of the deepest map and the class centres, scaled to logits."""
    head = cast("ProjectionHead", tuned.heads[-1])
    loss = cast("AngularMarginLoss", tuned.margins[-1])
    first, first_bias = head.folded()
    return {
        "first": _to_numpy(first),
        "first_bias": _to_numpy(first_bias),
        "second": _to_numpy(head.second.weight),
        "second_bias": _to_numpy(head.second.bias),
        "centres": _to_numpy(loss.scale * nn.functional.normalize(loss.centres, dim=1)),
    }


def _to_numpy(tensor: torch.Tensor) -> Floats:
    return tensor.detach().numpy().astype(np.float64)
