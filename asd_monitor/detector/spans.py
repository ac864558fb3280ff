"""Positions of the training windows in the recordings, and which windows overlap."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from asd_monitor.features.windows import Window

Integers = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Spans:
    """Positions of n windows, ordered by segment and time; windows may overlap in a segment."""

    segment: Integers  # (n,): number of the gapless segment
    start: Integers  # (n,): index of the first sample
    end: Integers  # (n,): index one past the last sample

    @classmethod
    def of(cls, segments: Sequence[Sequence[Window]]) -> Self:
        """Return the positions of the windows of gapless segments."""
        lengths = [len(segment) for segment in segments]
        windows = [window for segment in segments for window in segment]
        return cls(
            np.repeat(np.arange(len(segments)), lengths),
            np.array([window.start for window in windows], np.int64),
            np.array([window.end for window in windows], np.int64),
        )

    def take(self, indices: Integers) -> Self:
        """Return the positions of the windows with these indices (k,)."""
        return type(self)(self.segment[indices], self.start[indices], self.end[indices])

    def overlapping_pairs(self) -> Mask:
        """Return which pairs of windows overlap, (n, n); each overlaps itself."""
        overlap = (self.start[:, None] < self.end) & (self.start < self.end[:, None])
        return np.asarray((self.segment[:, None] == self.segment) & overlap)

    def overlapping(self, chosen: Mask) -> Mask:
        """Return which windows (n,) overlap one of the chosen (n,), the chosen included."""
        overlapping = chosen.copy()
        for step in range(1, len(chosen)):
            overlap = (self.segment[step:] == self.segment[:-step]) & (
                self.start[step:] < self.end[:-step]
            )
            if not overlap.any():
                break
            overlapping[step:] |= overlap & chosen[:-step]
            overlapping[:-step] |= overlap & chosen[step:]
        return overlapping
