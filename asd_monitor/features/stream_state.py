"""The state of streams between calls: bounded arrays by name, one row per stream.

Axes: m streams, n rows of each, then numbers.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from asd_monitor.features.sliding_reduction import SlidingReduction
from asd_monitor.features.strided_windows import strided_windows

Array = npt.NDArray[Any]
StateArrays = dict[str, Array]


class StreamState:
    """The state that a call begins with, and that which the next one will begin with.

    Of the windows that each method completes it returns every n-th one, by the stride; its
    results are the same whatever the stride.
    """

    def __init__(self, previous: StateArrays | None, stride: int = 1) -> None:
        """Continue from ``previous``; None where the streams begin."""
        self._previous = previous
        self.stride = stride
        self.updated: StateArrays = {}

    @property
    def begins(self) -> bool:
        """Whether the streams begin."""
        return self._previous is None

    def previous(self, name: str) -> Array | None:
        """Return an array of the previous state, None where the streams begin."""
        return None if self._previous is None else self._previous[name]

    def extend(self, name: str, rows: Array, count: int) -> Array:
        """Return the previous rows and these (m, n, d); the last ``count`` are kept."""
        joined = (
            rows if self._previous is None else np.concatenate([self._previous[name], rows], axis=1)
        )
        self.updated[name] = joined[:, joined.shape[1] - count :]
        return joined

    def reduce(self, name: str, reduction: SlidingReduction, rows: Array) -> Array:
        """Return the reductions of the windows (m, q, d) that these rows (m, n, d) complete."""
        if self._previous is None:
            windows, self.updated[name] = reduction.first(rows)
        else:
            windows, self.updated[name] = reduction.next(rows, self._previous[name])
        return windows[:, self.stride - 1 :: self.stride]

    def windows(self, name: str, rows: Array, length: int, hop: int) -> Array:
        """Return the windows (m, q, length, …) that these rows (m, n, …) complete."""
        joined = self.extend(name, rows, max(0, length - hop))
        skipped = (joined.shape[1] - length) % hop  # rows between windows, for hop > length
        return strided_windows(joined[:, skipped:], length, hop)[:, self.stride - 1 :: self.stride]
