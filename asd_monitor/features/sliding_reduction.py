"""Sums and maxima over sliding windows of rows, each row read once whatever the overlap.

Rows are reduced hop by hop; a window is a number of whole hops and the head of one more.  There
is no running sum from which old rows are subtracted: errors do not accumulate, and reductions
without an inverse, such as the maximum, work in the same way.

Axes: m streams, n rows of each, q windows, then numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


class SlidingReduction:
    """Windows of ``length`` rows every ``hop`` rows, reduced by a sum or a maximum.

    The state between calls is (m, hops, numbers): the reduced hops that later windows begin with,
    and the head of the next hop.
    """

    def __init__(self, ufunc: np.ufunc, length: int, hop: int) -> None:
        """Reduce with ``ufunc``, associative and commutative: `np.add` or `np.maximum`."""
        self._combine = ufunc
        self._reduce: Callable[..., Array] = ufunc.reduce
        self._hop = hop
        self.length = length
        self._whole, self._rest = divmod(length, hop)

    def first(self, rows: Array) -> tuple[Array, Array]:
        """Return the first window (m, 1, d) and the state, of its rows (m, length, d)."""
        streams, _, numbers = rows.shape
        split = self._whole * self._hop
        hops = rows[:, :split].reshape(streams, self._whole, self._hop, numbers)
        parts = [self._reduce(hops, 2)] if self._whole else []
        if self._rest:
            parts.append(self._reduce(rows[:, split:], 1)[:, None])
        parts_of_window = _joined(parts)
        window = self._reduce(parts_of_window, 1)[:, None]
        return window, parts_of_window[:, 1:] if self._whole else parts_of_window[:, :0]

    def next(self, rows: Array, state: Array) -> tuple[Array, Array]:
        """Return the next windows (m, q, d) and the state, of the next rows (m, q · hop, d)."""
        streams, count, numbers = rows.shape
        windows = count // self._hop
        hops = rows.reshape(streams, windows, self._hop, numbers)
        if not self._whole:
            return self._reduce(hops[:, :, self._hop - self._rest :], 2), state
        if not self._rest:
            past = _joined([state, self._reduce(hops, 2)])
            return self._spans(past, windows), past[:, windows:]
        # the hops that later windows begin with, the completed ones, the head of the next one
        past = np.empty((streams, self._whole + windows, numbers), rows.dtype)
        split, begun = self._hop - self._rest, self._whole - 1
        past[:, :begun] = state[:, :-1]
        completed = past[:, begun:-1]
        self._reduce(hops[:, :, :split], 2, out=completed)
        self._combine(completed[:, 0], state[:, -1], out=completed[:, 0])
        if windows == 1:
            self._reduce(rows[:, split:], 1, out=past[:, -1])
            return self._reduce(past, 1)[:, None], past[:, 1:]
        heads = self._reduce(hops[:, :, split:], 2)
        self._combine(completed[:, 1:], heads[:, :-1], out=completed[:, 1:])
        past[:, -1] = heads[:, -1]
        reduced = self._combine(self._spans(past[:, :-1], windows), heads)
        return reduced, past[:, windows:].copy()

    def _spans(self, hops: Array, windows: int) -> Array:
        """Return the reductions of every run of whole hops of a window, (m, windows, d)."""
        if windows == 1:
            return self._reduce(hops, 1)[:, None]
        # runs of 1, 2, 4 … hops; a window combines those of the binary digits of its length
        parts: list[Array] = []
        at, count, rest = 0, 1, self._whole
        while rest:
            if rest & 1:
                parts.append(hops[:, at : at + windows])
                at += count
            rest >>= 1
            if rest:
                hops = self._combine(hops[:, :-count], hops[:, count:])
                count *= 2
        return reduce(self._combine, parts)


def _joined(parts: list[Array]) -> Array:
    filled = [part for part in parts if part.shape[1]]
    return filled[0] if len(filled) == 1 else np.concatenate(filled or parts[:1], axis=1)
