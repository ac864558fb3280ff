"""Trains one encoder on all ids of a data set, to tell them apart: outlier exposure.

The other machines stand for what is wrong with one: a clip that is not taken for the id that
it claims to be is anomalous.  Koizumi et al., "Description and discussion on DCASE2020
Challenge Task 2", arXiv 2006.05822, tell of it.  Here two losses go on together, the contrastive
one by ids and the angles' margin; how arXiv 2509.15570 joins the two is not known to us.

The last fifth of each id's clips (of its sound, where it is one or two recordings) is not
trained on: how far known sound lies from its id is calibrated there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from asd_monitor.encoder_training.export import encoder_of, map_name, network_of
from asd_monitor.encoder_training.fine_tuning import Batch, Tuned, Tuning, tune
from asd_monitor.encoder_training.losses import SCALE, AngularMargin
from asd_monitor.encoder_training.network import Head
from asd_monitor.encoder_training.sound_supply import LogMel, duration_s, log_mel
from asd_monitor.encoders.card import CardView
from asd_monitor.encoders.encoder import Encoder
from asd_monitor.errors import AsdMonitorError, UsageError
from asd_monitor.model_training.encoder_vectors import RATE_HZ, read_parts
from asd_monitor.model_training.held_out_trial import RecordingPart
from asd_monitor.model_training.reference import Progress, SoundFile, inspect_recording, no_progress

HELD_OUT_SHARE = 0.2
FEW_CLIPS = 3  # fewer are each cut in two, the last fifth held out
SHORTEST_S = 0.5
FEWEST_STEPS, STEPS_A_CLIP, MOST_STEPS = 300, 0.5, 6000
CLIP_S = 10.0  # a longer recording counts as several clips
CLASSES_A_BATCH, WINDOWS_A_BATCH = 12, 64
ID_VIEW = "id"

Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class IdClips:
    """The training clips of one id."""

    name: str
    paths: tuple[Path, ...]
    channel: int | None = None


@dataclass(frozen=True, slots=True, eq=False)
class TrainedIds:
    """An encoder that tells ids apart, and the weights of what is put on top of it.

    ``listener`` is the same network, with one view ``id``: the vectors v (d,) that the
    weights take.  With h = max(0, first · v + first_bias) the embedding e is
    second · h + second_bias, made of unit length, and the ids' logits are centres · e.
    """

    encoder: Encoder
    listener: Encoder
    weights: dict[str, Matrix]
    names: tuple[str, ...]
    held_out: tuple[tuple[RecordingPart, ...], ...]  # of each id; empty where nothing could be
    steps: int


def train_ids(
    ids: Sequence[IdClips],
    encoder: Encoder,
    *,
    tuning: Tuning | None = None,
    progress: Progress = no_progress,
) -> TrainedIds:
    """Train an encoder further on the clips of two or more ids.

    ``tuning`` of None makes half a step a clip of 10 s, 300 to 6000.

    Raises:
        UsageError: fewer than two ids, no network of ours, or an id without sound of 16 kHz.
        OperationError: no permission to read a clip.

    """
    if len(ids) < 2:
        raise UsageError(
            f"{len(ids)} id: telling ids apart takes two or more; use the regime single"
        )
    network = network_of(encoder)
    clips: list[list[LogMel]] = []
    held_out: list[tuple[RecordingPart, ...]] = []
    for number, each in enumerate(ids):
        progress("listening to all ids", number / len(ids))
        learned, out = _divided(_readable(each))
        clips.append(_log_mels(learned, each))
        held_out.append(tuple(out))
    tuning = tuning or Tuning(steps=training_steps(clips), rate=1e-3, heads_first=0.1)
    tuned = tune(
        network, _Draw(clips), len(ids), tuning, progress=progress, what="telling ids apart"
    )
    adapted = encoder_of(
        network, encoder.card.views, f"{encoder.name[:59]}-ids", encoder.card.licence
    )
    deepest = map_name(max(network.taps))
    view = CardView(name=ID_VIEW, outputs=(deepest,), pool=("mean", "spread", "maximum"))
    outputs = tuple(each for each in adapted.card.outputs if each.name == deepest)
    card = adapted.card.model_copy(update={"outputs": outputs, "views": (view,)})
    return TrainedIds(
        adapted,
        Encoder.from_bytes(adapted.onnx, card),
        _weights(tuned),
        tuple(each.name for each in ids),
        tuple(held_out),
        tuning.steps,
    )


def training_steps(clips: Sequence[Sequence[LogMel]]) -> int:
    """Return the number of gradient steps: half a step per 10 s of sound, from 300 to 6000.

    ``clips`` are the log-mel spectrograms (frames, bands) of each id.
    """
    seconds = duration_s(sum(len(clip) for of_id in clips for clip in of_id))
    return round(min(MOST_STEPS, max(FEWEST_STEPS, STEPS_A_CLIP * seconds / CLIP_S)))


def _readable(ids: IdClips) -> list[SoundFile]:
    files, refusals = [], []
    for path in ids.paths:
        try:
            file = inspect_recording(path, ids.channel)
        except AsdMonitorError as error:
            refusals.append(error)
            continue
        if file.rate_hz >= RATE_HZ and file.seconds >= SHORTEST_S:
            files.append(file)
    if not files:
        raise (
            refusals[0]
            if refusals
            else UsageError(
                f"{ids.name}: no training clip of {RATE_HZ} Hz and {SHORTEST_S:g} s or more: "
                "leave this id out, or use the regime single"
            )
        )
    return files


def _divided(files: Sequence[SoundFile]) -> tuple[list[RecordingPart], list[RecordingPart]]:
    """Return what is trained on, and what is held out."""
    if len(files) >= FEW_CLIPS:
        kept = len(files) - max(1, int(HELD_OUT_SHARE * len(files)))
        parts = [RecordingPart(file, 0.0, file.seconds) for file in files]
        return parts[:kept], parts[kept:]
    cuts = [(file, (1.0 - HELD_OUT_SHARE) * file.seconds) for file in files]
    return (
        [RecordingPart(file, 0.0, cut_s) for file, cut_s in cuts],
        [RecordingPart(file, cut_s, file.seconds) for file, cut_s in cuts],
    )


def _log_mels(parts: Sequence[RecordingPart], ids: IdClips) -> list[LogMel]:
    found = []
    for part in parts:  # one by one: their sound takes five times the memory
        [pieces] = read_parts([part], ids.channel)
        found += [log_mel(p) for p in pieces if len(p) >= 0.8 * SHORTEST_S * RATE_HZ]
    if not found:
        raise UsageError(f"{ids.name}: no gapless sound to learn from: leave this id out")
    return found


@dataclass(frozen=True, slots=True, eq=False)
class _Draw:
    """Batches: windows of some ids, the same number of each."""

    clips: Sequence[Sequence[LogMel]]  # of each id

    def __call__(self, rng: np.random.Generator) -> Batch:
        """Draw one."""
        count = min(CLASSES_A_BATCH, len(self.clips))
        chosen = rng.choice(len(self.clips), count, replace=False).tolist()
        each = max(4, WINDOWS_A_BATCH // count // 2 * 2)
        labels = [number for number in chosen for _ in range(each)]
        clips = [self.clips[n][int(rng.integers(len(self.clips[n])))] for n in labels]
        return Batch(clips, labels, labels)


def _weights(tuned: Tuned) -> dict[str, Matrix]:
    """Return the deepest head, its normalisation folded, and the centres, scaled to logits."""
    head = cast("Head", tuned.heads[-1])
    margin = cast("AngularMargin", tuned.margins[-1])
    first, first_bias = head.folded()
    return {
        "first": _plain(first),
        "first_bias": _plain(first_bias),
        "second": _plain(head.second.weight),
        "second_bias": _plain(head.second.bias),
        "centres": _plain(SCALE * nn.functional.normalize(margin.centres, dim=1)),
    }


def _plain(tensor: torch.Tensor) -> Matrix:
    return tensor.detach().numpy().astype(np.float64)
