"""What streams carry on from window to window: bounded, by name, one row a stream.

Axes: m streams, n rows of each, then numbers.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from asd_monitor.dsp.frames import windows_of
from asd_monitor.features.sliding_reduction import SlidingReduction

Array = npt.NDArray[Any]
StateArrays = dict[str, Array]


class StreamState:
    """What streams carried so far, and what they will carry."""

    def __init__(self, old: StateArrays | None, every: int = 1) -> None:
        """Of the windows that are made of it, give every so-manieth."""
        self._old = old
        self.every = every
        self.new: StateArrays = {}

    @property
    def begins(self) -> bool:
        """Whether the streams begin."""
        return self._old is None

    def old(self, name: str) -> Array | None:
        """Return what was carried; None where the streams begin."""
        return None if self._old is None else self._old[name]

    def after(self, name: str, rows: Array, count: int) -> Array:
        """Return the rows (m, n, d) after the ``count`` rows before; keep the newest ones."""
        joined = rows if self._old is None else np.concatenate([self._old[name], rows], axis=1)
        self.new[name] = joined[:, joined.shape[1] - count :]
        return joined

    def slide(self, name: str, sliding: SlidingReduction, rows: Array) -> Array:
        """Return what windows are put together to (m, q, d), of their new rows (m, n, d)."""
        if self._old is None:
            windows, self.new[name] = sliding.first(rows)
        else:
            windows, self.new[name] = sliding.next(rows, self._old[name])
        return windows[:, self.every - 1 :: self.every]

    def windows(self, name: str, rows: Array, length: int, hop: int) -> Array:
        """Return the windows themselves (m, q, length, …) that these rows (m, n, …) complete."""
        joined = self.after(name, rows, max(0, length - hop))
        gap = (joined.shape[1] - length) % hop  # that no window hears, where hops are longer
        return windows_of(joined[:, gap:], length, hop)[:, self.every - 1 :: self.every]
