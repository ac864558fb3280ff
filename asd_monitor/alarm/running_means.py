"""Running means of the evidence over the longer time scales, from its block means.

Running time is that in which the machine runs: idle pauses are skipped.  A scale T has the newest
blocks of up to T of running time that begin in the last 2 T of elapsed time, and is usable with at
least T/2 of them.  So a pause does not change the means, and yet evidence from before a long one
is forgotten.

Block means are whole multiples of `RESOLUTION`, so that the running sums are exact.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass

from asd_monitor.alarm.block_means import BlockMean

RESOLUTION = 2.0**-16
MAX_BLOCKS = 8640
"""Block means that are kept: a day of running time."""
_MAX_UNITS = 2**31 - 1


@dataclass(slots=True)
class _Scale:
    """The blocks of one time scale: those from number ``first`` on."""

    longest: int  # blocks of running time
    oldest: int  # elapsed samples
    first: int = 0  # counted since the start
    sum: int = 0  # of their means, in units of RESOLUTION


class RunningMeans:
    """Means over several time scales; the work for each block does not grow with them."""

    def __init__(self, scales_s: Sequence[float], block_s: float, rate_hz: int) -> None:
        """Begin without blocks.

        Args:
            scales_s: the time scales, in seconds.
            block_s: running time of a block, in seconds.
            rate_hz: sampling rate of the sample indices.

        """
        self._scales = [
            _Scale(
                longest=min(MAX_BLOCKS, max(1, round(seconds / block_s))),
                oldest=round(2 * seconds * rate_hz),
            )
            for seconds in scales_s
        ]
        self._capacity = max((scale.longest for scale in self._scales), default=1)
        self._begins, self._units = array("q"), array("i")  # rings
        self._count = 0  # of the blocks since the start

    def append(self, block: BlockMean) -> None:
        """Add the newest block."""
        units = max(-_MAX_UNITS, min(_MAX_UNITS, round(block.mean / RESOLUTION)))
        for scale in self._scales:
            if self._count - scale.first == scale.longest:
                self._drop_oldest(scale)
            scale.sum += units
        if len(self._units) < self._capacity:
            self._begins.append(block.begin)
            self._units.append(units)
        else:
            self._begins[self._count % self._capacity] = block.begin
            self._units[self._count % self._capacity] = units
        self._count += 1

    def means(self, now: int) -> list[float | None]:
        """Return the mean of each scale at this sample index; None where it is not usable."""
        means: list[float | None] = []
        for scale in self._scales:
            while scale.first < self._count and self._begin(scale.first) < now - scale.oldest:
                self._drop_oldest(scale)
            blocks = self._count - scale.first
            usable = 2 * blocks >= scale.longest
            means.append(scale.sum * RESOLUTION / blocks if usable else None)
        return means

    @property
    def blocks(self) -> list[BlockMean]:
        """The block means, the oldest first: those of the longest scale."""
        kept = range(self._count - len(self._units), self._count)
        return [
            BlockMean(self._begin(number), self._units[number % self._capacity] * RESOLUTION)
            for number in kept
        ]

    def _begin(self, number: int) -> int:
        return self._begins[number % self._capacity]

    def _drop_oldest(self, scale: _Scale) -> None:
        scale.sum -= self._units[scale.first % self._capacity]
        scale.first += 1
