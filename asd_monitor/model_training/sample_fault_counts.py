"""Faults in the samples of training recordings: how many are usual, and where there are any.

A few bursts of dropouts in an hour of sound are a fault of that hour, and no property of the
microphone.  So what is usual is a high quantile over the sound and not the highest count.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from asd_monitor.microphone.sample_counter import (
    COUNTED_S,
    NO_SAMPLE_FAULTS,
    SampleFaultCounter,
    SampleFaults,
)
from asd_monitor.records import Block

USUAL_SHARE = 0.9
"""Counts that are no higher than usual, as a share of all."""


class SampleFaultsOfStretches:
    """The counts in each `COUNTED_S` of one recording."""

    def __init__(self, rate_hz: int) -> None:
        """Begin a recording with the sampling rate ``rate_hz``."""
        self.counts: list[SampleFaults] = []
        """One for each whole `COUNTED_S` so far."""
        self._counter = SampleFaultCounter(rate_hz)
        self._span = round(COUNTED_S * rate_hz)
        self._due: int | None = None
        self._end: int | None = None

    def push(self, block: Block) -> None:
        """Count in the next block; after a gap the `COUNTED_S` begin anew."""
        if self._due is None or block.start != self._end:
            self._due = block.start + self._span
        self._end = block.end
        self._counter.push(block)
        while self._due <= block.end:
            self.counts.append(self._counter.before(self._due))
            self._due += self._span

    @property
    def with_dropouts(self) -> int:
        """Number of the counts with runs of equal samples."""
        return sum(each.constant_runs > 0 for each in self.counts)


def usual_counts(counts: Sequence[SampleFaults]) -> SampleFaults:
    """Return the quantile `USUAL_SHARE` of each count; none: there are no faults."""
    if not counts:
        return NO_SAMPLE_FAULTS
    runs, clipped, missing = (
        np.quantile(values, USUAL_SHARE, method="nearest")
        for values in (
            [each.constant_runs for each in counts],
            [each.clipped_share for each in counts],
            [each.missing_share for each in counts],
        )
    )
    return SampleFaults(int(runs), float(clipped), float(missing))
