"""Augmentations of log-mel spectrograms: changes that the encoder is trained to ignore.

All work on log-mel spectrograms (B, T, F), log10 of power, and draw from the given generator.

- `log_mixup_exp`: adds powers, not their logarithms.  Niizumi et al., "BYOL for Audio", arXiv
  2103.06695, §III-B; there it is applied after the normalisation, to values that are no powers.
- `random_resize_crop`: ibid., §III-C.  The stretch in frequency is narrow here, since a tone at
  another frequency is a fault; and the edge is extended instead of padded with zeros, which
  would mean silence.
- `high_band_augmentation`: changes the spectrum above a random boundary on one of two views.
  Guo et al., "Contrastive Learning with Spectrum Information Augmentation in Abnormal Sound
  Detection", arXiv 2509.15570, name such a rule and do not state it; the three rules are ours.
- Multiple segmentation (ibid.) has no function here: `augmented_windows` cuts the views at
  random positions in several lengths.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from asd_monitor.encoder_training.log_mel_frames import frames_in
from asd_monitor.encoder_training.pretraining_choices import HighBand

_LN_10 = math.log(10.0)
_MIN_POWER = 1e-12


@dataclass(frozen=True, slots=True)
class AugmentationConfig:
    """The strength of each augmentation; 0 switches one off."""

    lengths: tuple[int, ...] = tuple(frames_in(seconds) for seconds in (1.0, 1.5, 2.0, 3.0))
    """Multiple segmentation: the lengths of the windows, in frames."""
    snr_db: tuple[float, float] = (-10.0, 20.0)
    """Range of the level of a clip without a fault over the background's."""
    mixup: float = 0.3
    """Log-mixup-exp: greatest power of the other window, relative to the window's own."""
    stretch_bands: float = 0.02
    """Random resize crop: greatest relative stretch in frequency."""
    stretch_time: float = 0.15
    """Random resize crop: greatest relative stretch in time."""
    high_band: HighBand = HighBand.OFF


def uniform(shape: tuple[int, ...], low: float, high: float, generator: torch.Generator) -> Tensor:
    """Return numbers drawn from the uniform distribution between ``low`` and ``high``."""
    return low + (high - low) * torch.rand(shape, generator=generator)


def log_mixup_exp(log_mel: Tensor, other: Tensor, gain_db: Tensor) -> Tensor:
    """Add the powers of ``other`` (B, T, F), each with a gain (B,) in dB, to ``log_mel``'s."""
    raised = other + gain_db[:, None, None] / 10.0
    return torch.logaddexp(log_mel * _LN_10, raised * _LN_10) / _LN_10


def mean_power_db(log_mel: Tensor) -> Tensor:
    """Return the level (B,) of the mean power over time and bands, in dB."""
    return 10.0 * torch.pow(10.0, log_mel).mean((1, 2)).clamp_min(_MIN_POWER).log10()


def add_background(
    log_mel: Tensor, background: Tensor, snr_db: Tensor, reference_level_db: Tensor
) -> Tensor:
    """Add a background (B, T, F) at ``snr_db`` (B,) below the reference level (B,) in dB.

    The reference level is that of the instance without a fault, so that the background does not
    depend on the fault.
    """
    gain_db = reference_level_db - snr_db - mean_power_db(background)
    return log_mixup_exp(log_mel, background, gain_db)


def random_resize_crop(
    log_mel: Tensor, frames: int, generator: torch.Generator, bands: float, time: float
) -> Tensor:
    """Return windows (B, frames, F) cut at random and stretched in time and frequency.

    ``bands`` and ``time`` are the greatest relative stretches of the axes.  T must be at least
    ``frames · (1 + time)``.  Beyond the edges in frequency the outermost band is repeated.
    """
    batch, length, width = log_mel.shape
    stretch = 1.0 + uniform((batch, 1), -time, time, generator)
    room = (length - 1 - (frames - 1) * stretch).clamp_min(0.0)
    start = torch.rand((batch, 1), generator=generator) * room
    times = (start + torch.arange(frames) * stretch).clamp(0, length - 1)
    factor = 1.0 + uniform((batch, 1), -bands, bands, generator)
    shift = uniform((batch, 1), -bands, bands, generator) * width / 2
    positions = (torch.arange(width) * factor + shift).clamp(0, width - 1)
    in_time = _interpolate(log_mel, times)
    return _interpolate(in_time.transpose(1, 2), positions).transpose(1, 2)


def _interpolate(x: Tensor, positions: Tensor) -> Tensor:
    """Interpolate (B, N, M) linearly along N at positions (B, K): (B, K, M)."""
    left = positions.floor().long().clamp(max=x.shape[1] - 2)
    part = (positions - left)[..., None]
    index = left[..., None].expand(-1, -1, x.shape[2])
    return x.gather(1, index) * (1 - part) + x.gather(1, index + 1) * part


def high_band_augmentation(
    log_mel: Tensor, other: Tensor, rule: HighBand, generator: torch.Generator
) -> Tensor:
    """Change the band above a random boundary in the upper two thirds of the bands.

    ``other`` (B, T, F) are the clips that `HighBand.MIX` mixes in.
    """
    batch, _, width = log_mel.shape
    boundary = uniform((batch, 1, 1), width / 3, width, generator)
    above = torch.arange(width)[None, None, :] >= boundary
    match rule:
        case HighBand.OFF:
            return log_mel
        case HighBand.MIX:
            level_db = mean_power_db(log_mel) + uniform((batch,), -12.0, 0.0, generator)
            changed = log_mixup_exp(log_mel, other, level_db - mean_power_db(other))
        case HighBand.GAIN:
            changed = log_mel + uniform((batch, 1, 1), -1.0, 1.0, generator)
        case HighBand.MEAN:
            changed = log_mel.mean(1, keepdim=True).expand_as(log_mel)
    return torch.where(above, changed, log_mel)
