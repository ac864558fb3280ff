"""A sliding window over rows, each of which is met once, whatever the overlap.

Rows are summed up hop by hop, and a window is some whole hops and the head of one more.
There is no running sum from which the old is taken away, so nothing drifts in months, and
what has no inverse, as a maximum, goes the same way.

Axes: m streams, n rows of each, q windows, then numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Kept = npt.NDArray[Any]
"""(m, hops that later windows begin with and the head of the next, numbers)."""


class SlidingReduction:
    """Windows of ``length`` rows every ``hop`` rows, put together by a sum or a maximum."""

    def __init__(self, run_batch: np.ufunc, length: int, hop: int) -> None:
        self._together = run_batch
        self._reduce: Callable[..., Array] = run_batch.reduce
        self._hop = hop
        self.length = length
        self._whole, self._rest = divmod(length, hop)

    def first(self, rows: Array) -> tuple[Array, Kept]:
        """Return the first window (m, 1, d) of streams, of its ``length`` rows (m, length, d)."""
        streams, _, numbers = rows.shape
        split = self._whole * self._hop
        hops = rows[:, :split].reshape(streams, self._whole, self._hop, numbers)
        parts = [self._reduce(hops, 2)] if self._whole else []
        if self._rest:
            parts.append(self._reduce(rows[:, split:], 1)[:, None])
        parts_of_window = _joined(parts)
        window = self._reduce(parts_of_window, 1)[:, None]
        return window, parts_of_window[:, 1:] if self._whole else parts_of_window[:, :0]

    def next(self, rows: Array, kept: Kept) -> tuple[Array, Kept]:
        """Return the next q windows (m, q, d), of the q · ``hop`` rows (m, q · hop, d) after."""
        streams, count, numbers = rows.shape
        windows = count // self._hop
        hops = rows.reshape(streams, windows, self._hop, numbers)
        if not self._whole:
            return self._reduce(hops[:, :, self._hop - self._rest :], 2), kept
        if not self._rest:
            past = _joined([kept, self._reduce(hops, 2)])
            return self._spans(past, windows), past[:, windows:]
        heads = self._reduce(hops[:, :, self._hop - self._rest :], 2)
        before = _joined([kept[:, -1:], heads[:, :-1]])
        whole = self._together(before, self._reduce(hops[:, :, : self._hop - self._rest], 2))
        past = _joined([kept[:, :-1], whole])
        found = self._together(self._spans(past, windows), heads)
        return found, _joined([past[:, windows:], heads[:, -1:]])

    def _spans(self, hops: Array, windows: int) -> Array:
        if windows == 1:
            return self._reduce(hops, 1)[:, None]
        # twice as many hops each time, of which a window takes those that make up its number
        parts: list[Array] = []
        at, count, rest = 0, 1, self._whole
        while rest:
            if rest & 1:
                parts.append(hops[:, at : at + windows])
                at += count
            rest >>= 1
            if rest:
                hops = self._together(hops[:, :-count], hops[:, count:])
                count *= 2
        return reduce(self._together, parts)


def _joined(parts: list[Array]) -> Array:
    filled = [part for part in parts if part.shape[1]]
    return filled[0] if len(filled) == 1 else np.concatenate(filled or parts[:1], axis=1)
