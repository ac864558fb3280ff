"""Means of the evidence in blocks of ten seconds of running time.

The longer time scales are made of them.  A block counts if at least half of its windows have a
score; idle windows are skipped, and lost ones are missing.

A single impact raises the evidence of a few windows without bound.  So each is limited to
`IMPACT_LIMIT` above the highest evidence that an impact cannot reach: that which more windows
exceed, or equal, than one impact raises (`asd_monitor.alarm.span_median.max_outliers`).  In
stationary normal sound hardly a window is limited, and of a persistent fault none.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from asd_monitor.alarm.span_median import max_outliers, span_windows
from asd_monitor.alarm.time_scales import STEP_S

IMPACT_LIMIT = 3.0
"""In spreads of the evidence.  An impact of five windows raises the mean of its block of twenty by
0.75, and that of half a minute by 0.25."""


class BlockMean(NamedTuple):
    """The mean evidence of one block."""

    begin: int  # sample index of its first sample
    mean: float


def limited_mean(evidence: Sequence[float], size: int) -> float:
    """Return the mean of the evidence of a block in which single impacts are limited.

    Args:
        evidence: that of the evaluated windows, at least half of the block's.
        size: windows of the whole block.

    """
    ordered = sorted(evidence)
    limit = ordered[max(0, len(ordered) - 1 - max_outliers(size))] + IMPACT_LIMIT
    return sum(min(value, limit) for value in ordered) / len(ordered)


class BlockDivision:
    """Divides the running time of one machine into blocks."""

    def __init__(self, hop_s: float, rate_hz: int) -> None:
        """Begin a block with the first window.

        Args:
            hop_s: seconds from window to window.
            rate_hz: sampling rate of the sample indices.

        """
        self.size = span_windows(hop_s, STEP_S)
        """Windows in a block."""
        self._hop = hop_s * rate_hz
        self._evidence: list[float] = []  # of the block's windows so far
        self._windows = 0  # of the block so far, missing ones included
        self._begin = 0

    def push(self, evidence: float, end: int, hops: int = 1) -> Iterator[BlockMean]:
        """Add a running window; return the blocks that it completes and that count.

        Args:
            evidence: that of the window.
            end: sample index one past its last sample.
            hops: hops that the window stands for.

        """
        for number in range(hops):
            if not self._windows:
                self._begin = round(end - (hops - number) * self._hop)
            self._evidence.append(evidence)
            self._windows += 1
            if self._windows == self.size:
                yield from self._complete()

    def push_missing(self, windows: int, end: int) -> Iterator[BlockMean]:
        """Add windows without a score, the last of which ends at ``end``; return as `push`."""
        first = min(windows, self.size - self._windows)
        if not self._windows:
            self._begin = round(end - windows * self._hop)
        self._windows += first
        if self._windows < self.size:
            return
        yield from self._complete()
        self._windows = (windows - first) % self.size  # whole blocks without a score do not count
        self._begin = round(end - self._windows * self._hop)

    def reset(self) -> None:
        """Begin a new block with the next window; the present one does not count."""
        self._evidence.clear()
        self._windows = 0

    def _complete(self) -> Iterator[BlockMean]:
        if 2 * len(self._evidence) >= self.size:
            yield BlockMean(self._begin, limited_mean(self._evidence, self.size))
        self.reset()
