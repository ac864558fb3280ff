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

    def own_samples(self) -> Integers:
        """Return the samples (n,) of each window up to the next one of its segment.

        At most its length; the last of a segment has as many as the one before it.
        """
        length = self.end - self.start
        follows = self.segment[1:] == self.segment[:-1]
        own = length.copy()
        own[:-1][follows] = np.minimum(length[:-1], np.diff(self.start))[follows]
        is_last = np.append(~follows, True)
        has_before = np.insert(follows, 0, False)
        last = np.flatnonzero(is_last & has_before)
        own[last] = own[last - 1]
        return own

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
