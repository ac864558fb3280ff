"""The profile of the training sound: the range of each quantity over its blocks.

A machine has operating modes and pauses, so that the range spans all of them: what occurred in
training is no finding.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
import numpy.typing as npt

from asd_monitor.explanation.band_layout import BandLayout, Values, band_layout
from asd_monitor.explanation.sound_analysis import SoundAnalysis
from asd_monitor.records import Samples

BLOCK_S = 8.0
MIN_BLOCK_S = 2.0
MAX_BLOCKS = 24
"""Blocks that a profile is fitted to, evenly spaced over the training sound."""
_QUANTILES = (0.02, 0.5, 0.98)
_STORED = np.float16

Stored = npt.NDArray[np.float16]


@dataclass(frozen=True, slots=True)
class Range:
    """Lowest, usual and highest value of a quantity in the training sound."""

    low: Values
    usual: Values
    high: Values


@dataclass(frozen=True, eq=False)
class SoundProfile:
    """The ranges of all quantities, for sound of one rate."""

    rate_hz: int
    stored: Mapping[str, Stored]  # (3, size) each: lowest, usual and highest value

    @property
    def layout(self) -> BandLayout:
        """The frequencies of the quantities."""
        return band_layout(self.rate_hz)

    @cached_property
    def ranges(self) -> dict[str, Range]:
        """The ranges by the name of the quantity."""
        return {
            name: Range(*(row.astype(np.float64) for row in rows))
            for name, rows in self.stored.items()
        }

    def arrays(self) -> dict[str, Stored]:
        """Return the arrays that a bundle stores, by name."""
        return dict(self.stored)

    @classmethod
    def restore(cls, arrays: Mapping[str, npt.NDArray[np.generic]], rate_hz: int) -> Self:
        """Return the profile with these arrays.

        Raises:
            KeyError: one is missing.
            ValueError: one has another shape or type than the rate requires, values are not in
                order, or there are others.

        """
        sizes = band_layout(rate_hz).sizes
        found: dict[str, Stored] = {}
        for name, size in sizes.items():
            rows = arrays[name]
            if rows.dtype != _STORED or rows.shape != (3, size):
                raise ValueError(f"the array {name} does not suit sound of {rate_hz} Hz")
            found[name] = rows.astype(_STORED, copy=False)
            if not np.isfinite(found[name]).all() or (np.diff(found[name], axis=0) < 0).any():
                raise ValueError(f"the array {name} holds no ranges")
        if len(arrays) > len(sizes):
            raise ValueError("arrays that do not belong to a profile")
        return cls(rate_hz, found)


def fit_profile(analyses: Sequence[SoundAnalysis]) -> SoundProfile | None:
    """Return the profile of the training sound; None: there is no block.

    Args:
        analyses: of its blocks.

    """
    if not analyses:
        return None
    layout = analyses[0].layout
    ranges = {}
    for name in layout.sizes:
        rows = np.stack([getattr(each, name) for each in analyses])
        ranges[name] = _as_stored(np.quantile(rows, _QUANTILES, axis=0))
    return SoundProfile(layout.rate_hz, ranges)


def blocks_of(sound: Samples, rate_hz: int) -> Iterator[Samples]:
    """Yield blocks of `BLOCK_S` of conditioned sound (n,), half overlapped, or all of it."""
    length = round(BLOCK_S * rate_hz)
    if len(sound) < length:
        if len(sound) >= MIN_BLOCK_S * rate_hz:
            yield sound
        return
    for start in range(0, len(sound) - length + 1, length // 2):
        yield sound[start : start + length]


def _as_stored(rows: npt.ArrayLike) -> Stored:
    return np.asarray(rows, _STORED)
