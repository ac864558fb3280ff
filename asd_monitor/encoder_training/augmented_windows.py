"""Augmented windows cut from clips: what the batches of all trainings consist of.

Clips are log-mel spectrograms (T, F) without a background; `augmentation` has the operations.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from asd_monitor.encoder_training.augmentation import (
    AugmentationConfig,
    add_background,
    high_band_augmentation,
    log_mixup_exp,
    mean_power_db,
    random_resize_crop,
    uniform,
)
from asd_monitor.encoder_training.log_mel_frames import LogMel
from asd_monitor.encoder_training.pretraining_choices import HighBand


def augmented_windows(
    clips: Sequence[LogMel],
    reference_levels_db: Sequence[float],
    config: AugmentationConfig,
    backgrounds: Sequence[LogMel],
    *,
    rng: np.random.Generator,
    generator: torch.Generator,
) -> tuple[list[Tensor], list[int]]:
    """Cut an augmented window from each clip, in two groups of different lengths.

    Clips are assigned to the groups alternately, so that successive clips of one label are seen
    in both lengths.  Only the second group has its high band changed.

    Args:
        clips: n clips (T, F).
        reference_levels_db: of each clip, the level of its instance without a fault.
        config: the augmentations.
        backgrounds: one is drawn for each clip.
        rng: draws lengths, positions and backgrounds.
        generator: draws everything else.

    Returns:
        Two groups of windows (b, t, F), and the number of the clip of each window, n in all.

    """
    groups: list[Tensor] = []
    order: list[int] = []
    for number, frames in enumerate(rng.choice(config.lengths, 2).tolist()):
        rows = range(number, len(clips), 2)
        order += rows
        windows = _augment(
            [clips[row] for row in rows],
            torch.tensor([reference_levels_db[row] for row in rows]),
            frames,
            config,
            backgrounds,
            rng=rng,
            generator=generator,
        )
        if number == 1 and config.high_band is not HighBand.OFF:
            other = windows[torch.randperm(len(windows), generator=generator)]
            windows = high_band_augmentation(windows, other, config.high_band, generator)
        groups.append(windows)
    return groups, order


def random_crops(clips: Sequence[LogMel], frames: int, rng: np.random.Generator) -> Tensor:
    """Return a window of so many frames from a random position in each clip, (n, frames, F)."""
    return torch.from_numpy(np.stack([_crop(clip, frames, rng) for clip in clips])).float()


def clip_level_db(clip: LogMel) -> float:
    """Return the level of the mean power of a clip (T, F), in dB."""
    return float(mean_power_db(torch.from_numpy(clip).float()[None]))


def _augment(
    clips: Sequence[LogMel],
    reference_levels_db: Tensor,
    frames: int,
    config: AugmentationConfig,
    backgrounds: Sequence[LogMel],
    *,
    rng: np.random.Generator,
    generator: torch.Generator,
) -> Tensor:
    needed = int(np.ceil(frames * (1.0 + config.stretch_time))) + 1
    x = random_crops(clips, needed, rng)
    drawn = rng.integers(len(backgrounds), size=len(clips)).tolist()
    background = random_crops([backgrounds[k] for k in drawn], needed, rng)
    snr_db = uniform((len(x),), *config.snr_db, generator)
    x = add_background(x, background, snr_db, reference_levels_db)
    if config.mixup > 0:
        other = x[torch.randperm(len(x), generator=generator)]
        share = uniform((len(x),), 0.0, config.mixup, generator).clamp_min(1e-3)
        gain_db = mean_power_db(x) - mean_power_db(other) + 10.0 * share.log10()
        x = log_mixup_exp(x, other, gain_db)
    if config.stretch_bands > 0 or config.stretch_time > 0:
        return random_resize_crop(x, frames, generator, config.stretch_bands, config.stretch_time)
    return x[:, :frames]


def _crop(clip: LogMel, frames: int, rng: np.random.Generator) -> LogMel:
    if len(clip) < frames:
        clip = np.tile(clip, (-(-frames // len(clip)), 1))
    start = int(rng.integers(len(clip) - frames + 1))
    return clip[start : start + frames]
