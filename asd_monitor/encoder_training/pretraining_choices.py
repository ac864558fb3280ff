"""The choices of a pretraining that are options of the command; imports no torch."""

from __future__ import annotations

from enum import StrEnum


class HighBand(StrEnum):
    """The rule of `augmentation.high_band_augmentation` for the band above the boundary."""

    OFF = "off"
    MIX = "mix"  # the power of another clip's band is added, 0 to 12 dB below the clip's own
    GAIN = "gain"  # the level is changed by up to ±10 dB
    MEAN = "mean"  # the band is replaced by its mean over time


class SoundSource(StrEnum):
    """The sources of the training sounds."""

    SYNTHETIC = "made"
    RECORDED = "real"
    BOTH = "both"
