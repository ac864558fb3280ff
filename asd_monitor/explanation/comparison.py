"""A piece of sound beside the ranges of the training sound."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from asd_monitor.explanation.band_layout import BandLayout, Values
from asd_monitor.explanation.sound_analysis import SoundAnalysis
from asd_monitor.explanation.sound_profile import Range, SoundProfile


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """The quantities of a piece of sound and their ranges in the training sound."""

    sound: SoundAnalysis
    profile: SoundProfile

    @property
    def layout(self) -> BandLayout:
        """The frequencies of the quantities."""
        return self.profile.layout

    def training(self, name: str) -> Range:
        """Return the range of a quantity in the training sound."""
        return self.profile.ranges[name]


def widened(values: Values, half_widths: Values) -> Values:
    """Return the maximum (n,) of the values (n,) within so many positions of each one.

    The half widths (n,) are whole numbers that do not fall with the position.
    """
    result = values.copy()
    for half in np.unique(half_widths).astype(int):
        if half == 0:
            continue
        at = np.flatnonzero(half_widths == half)
        first, past = max(0, at[0] - half), min(len(values), at[-1] + half + 1)
        part = np.pad(values[first:past], half, constant_values=-np.inf)
        moving = np.lib.stride_tricks.sliding_window_view(part, 2 * half + 1).max(1)
        result[at] = moving[at - first]
    return result


def shared_half_widths(frequencies: Values, step: float, share: float, least: int) -> Values:
    """Return the half widths (n,) of ± a share of each frequency, in steps, at least `least`."""
    return np.asarray(np.maximum(least, np.ceil(share * frequencies / step)))


def local_peaks(values: Values, least: float) -> list[int]:
    """Return the positions of local maxima of at least this value, the highest first."""
    inner = (values[1:-1] >= values[:-2]) & (values[1:-1] > values[2:]) & (values[1:-1] >= least)
    at = np.flatnonzero(inner) + 1
    return [int(k) for k in at[np.argsort(-values[at])]]


def interpolated(values: Values, at: int) -> float:
    """Return the position of a peak between the values, by the parabola through three of them."""
    if not 0 < at < len(values) - 1:
        return float(at)
    left, middle, right = (float(values[at + shift]) for shift in (-1, 0, 1))
    curvature = left - 2.0 * middle + right
    if curvature >= -1e-12:
        return float(at)
    return at + max(-0.5, min(0.5, 0.5 * (left - right) / curvature))
