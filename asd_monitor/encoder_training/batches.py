"""Windows cut from clips, each heard in a background and a little bent: what batches consist of.

Clips are log-mel (steps, bands) without a background; see `augment` for what is done to them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from asd_monitor.encoder_training.augmentation import (
    HighBand,
    high_band,
    log_mixup_exp,
    loudness,
    random_resize_crop,
    uniform,
    with_background,
)
from asd_monitor.encoder_training.sound_supply import FRAME_PERIOD_S, LogMel

LENGTHS = tuple(round(seconds / FRAME_PERIOD_S) for seconds in (1.0, 1.5, 2.0, 3.0))  # frames


@dataclass(frozen=True, slots=True)
class Ways:
    """How differently windows of one sound are heard; 0 switches a part off."""

    lengths: tuple[int, ...] = LENGTHS  # frames: multiple segmentation
    snr_db: tuple[float, float] = (-10.0, 20.0)
    mixup: float = 0.3  # most energy of another window that is mixed in, as a share
    stretch_bands: float = 0.02
    stretch_time: float = 0.15
    high_band: HighBand = HighBand.OFF


def heard(
    clips: Sequence[LogMel],
    usual_db: Sequence[float],
    ways: Ways,
    backgrounds: Sequence[LogMel],
    *,
    rng: np.random.Generator,
    generator: torch.Generator,
) -> tuple[list[Tensor], list[int]]:
    """Cut a window from each clip; return them in two groups (b, T, F), and their order.

    Windows are dealt to two lengths by turns, so that neighbours among the clips are heard at
    both; the order tells which clip each of the groups' windows is of.  ``usual_db`` is how
    loud each clip's machine usually is.  The high band is changed in the second group alone.
    """
    groups: list[Tensor] = []
    order: list[int] = []
    for turn, steps in enumerate(rng.choice(ways.lengths, 2).tolist()):
        rows = range(turn, len(clips), 2)
        order += rows
        windows = _windows(
            [clips[row] for row in rows],
            torch.tensor([usual_db[row] for row in rows]),
            steps,
            ways,
            backgrounds,
            rng=rng,
            generator=generator,
        )
        if turn == 1 and ways.high_band is not HighBand.OFF:
            other = windows[torch.randperm(len(windows), generator=generator)]
            windows = high_band(windows, other, ways.high_band, generator)
        groups.append(windows)
    return groups, order


def _windows(
    clips: Sequence[LogMel],
    usual_db: Tensor,
    steps: int,
    ways: Ways,
    backgrounds: Sequence[LogMel],
    *,
    rng: np.random.Generator,
    generator: torch.Generator,
) -> Tensor:
    reach = int(np.ceil(steps * (1.0 + ways.stretch_time))) + 1
    x = _stacked(clips, reach, rng)
    behind = rng.integers(len(backgrounds), size=len(clips)).tolist()
    z = _stacked([backgrounds[k] for k in behind], reach, rng)
    x = with_background(x, z, uniform((len(x),), *ways.snr_db, generator), usual_db)
    if ways.mixup > 0:
        other = x[torch.randperm(len(x), generator=generator)]
        share = uniform((len(x),), 0.0, ways.mixup, generator).clamp_min(1e-3)
        x = log_mixup_exp(x, other, loudness(x) - loudness(other) + 10.0 * share.log10())
    if ways.stretch_bands > 0 or ways.stretch_time > 0:
        return random_resize_crop(x, steps, generator, ways.stretch_bands, ways.stretch_time)
    return x[:, :steps]


def _stacked(clips: Sequence[LogMel], steps: int, rng: np.random.Generator) -> Tensor:
    return torch.from_numpy(np.stack([cut(clip, steps, rng) for clip in clips])).float()


def cut(clip: LogMel, steps: int, rng: np.random.Generator) -> LogMel:
    """Return so many steps from anywhere in a clip; a shorter one goes round."""
    if len(clip) < steps:
        clip = np.tile(clip, (-(-steps // len(clip)), 1))
    start = int(rng.integers(len(clip) - steps + 1))
    return clip[start : start + steps]


def loudness_db(clip: LogMel) -> float:
    """Return the mean power of a clip in dB."""
    return float(10.0 * np.log10(np.mean(np.power(10.0, clip.astype(np.float32))) + 1e-12))
