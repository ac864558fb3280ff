"""Ways to hear the same sound differently: what the encoder shall, and shall not, mind.

All work on log-mel (B, T, F), log10 of power, and are random by the generator handed over.

- `log_mixup_exp`: energies are mixed, not their logarithms: the logarithm is undone first.
  Niizumi et al., "BYOL for Audio", arXiv 2103.06695, §III-B; there it runs after the
  normalisation, so that what is undone is no energy.
- `random_resize_crop`: ibid., §III-C, but narrow in frequency, since a tone that moved by 40 %
  is a fault and not another view; and without padding by zeros, which would mean silence.
- `high_band`: the spectrum above a random boundary is changed on one of the views.  Guo et al.,
  "Contrastive Learning with Spectrum Information Augmentation in Abnormal Sound Detection",
  arXiv 2509.15570, name such a rule and do not state it: these three are ours.
- Multiple segmentation (ibid.) needs no function: views are cut from several places and lengths.
"""

from __future__ import annotations

from enum import StrEnum

import torch
from torch import Tensor

DECADE = 2.302585092994046
DEEP = -10.0  # log10 of the least power


class HighBand(StrEnum):
    """What happens to the band above the boundary."""

    OFF = "off"
    MIX = "mix"  # energies of another clip's band are mixed in
    GAIN = "gain"  # louder or softer
    MEAN = "mean"  # its mean over time takes its place


def uniform(shape: tuple[int, ...], low: float, high: float, generator: torch.Generator) -> Tensor:
    """Return random numbers between two."""
    return low + (high - low) * torch.rand(shape, generator=generator)


def log_mixup_exp(log_mel: Tensor, other: Tensor, gain_db: Tensor) -> Tensor:
    """Add the energies of ``other`` (B, T, F), each with its gain (B,), to those of ``log_mel``."""
    raised = other + gain_db[:, None, None] / 10.0
    return torch.logaddexp(log_mel * DECADE, raised * DECADE) / DECADE


def loudness(log_mel: Tensor) -> Tensor:
    """Return the mean power (B,) in dB."""
    return 10.0 * torch.pow(10.0, log_mel).mean((1, 2)).clamp_min(1e-12).log10()


def with_background(
    log_mel: Tensor, background: Tensor, snr_db: Tensor, usual_db: Tensor
) -> Tensor:
    """Mix a background in, so far (B,) below the machine's usual loudness (B,), by energies."""
    return log_mixup_exp(log_mel, background, usual_db - snr_db - loudness(background))


def random_resize_crop(
    log_mel: Tensor, steps: int, generator: torch.Generator, bands: float, time: float
) -> Tensor:
    """Return (B, steps, F), each cut somewhere and stretched in time and frequency.

    ``bands`` and ``time`` are the most by which an axis is stretched, as shares.  Time needs
    T ≥ steps · (1 + time).  At the edges in frequency the last band is held.
    """
    batch, length, width = log_mel.shape
    stretch = 1.0 + uniform((batch, 1), -time, time, generator)
    room = (length - 1 - (steps - 1) * stretch).clamp_min(0.0)
    start = torch.rand((batch, 1), generator=generator) * room
    at = (start + torch.arange(steps) * stretch).clamp(0, length - 1)
    factor = 1.0 + uniform((batch, 1), -bands, bands, generator)
    shift = uniform((batch, 1), -bands, bands, generator) * width / 2
    place = (torch.arange(width) * factor + shift).clamp(0, width - 1)
    return _read(_read(log_mel, at).transpose(1, 2), place).transpose(1, 2)


def _read(x: Tensor, at: Tensor) -> Tensor:
    """Read (B, N, M) at the places (B, K) of its axis N, linearly: (B, K, M)."""
    left = at.floor().long().clamp(max=x.shape[1] - 2)
    part = (at - left)[..., None]
    index = left[..., None].expand(-1, -1, x.shape[2])
    return x.gather(1, index) * (1 - part) + x.gather(1, index + 1) * part


def high_band(log_mel: Tensor, other: Tensor, rule: HighBand, generator: torch.Generator) -> Tensor:
    """Change the band above a random boundary, the upper two thirds at the most."""
    batch, _, width = log_mel.shape
    boundary = uniform((batch, 1, 1), width / 3, width, generator)
    above = torch.arange(width)[None, None, :] >= boundary
    match rule:
        case HighBand.OFF:
            return log_mel
        case HighBand.MIX:
            wanted = loudness(log_mel) + uniform((batch,), -12.0, 0.0, generator)
            changed = log_mixup_exp(log_mel, other, wanted - loudness(other))
        case HighBand.GAIN:
            changed = log_mel + uniform((batch, 1, 1), -1.0, 1.0, generator)
        case HighBand.MEAN:
            changed = log_mel.mean(1, keepdim=True).expand_as(log_mel)
    return torch.where(above, changed, log_mel)
