"""Clipped samples and runs of equal samples in the sound of the last seconds.

A dropout fills a buffer with zeros, a stuck converter repeats a value: both are runs of exactly
equal samples, which the noise of a microphone does not contain.  A converter of few bits, or very
quiet sound, does: how many there are in the training recordings is part of the baseline.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

from asd_monitor.dsp.sample_faults import CLIPPING_LEVEL
from asd_monitor.records import Block, Samples

SPAN_S = 5.0
"""Time over which samples are counted."""
MIN_RUN_S = 0.004
"""Shortest run that is counted; buffers that are lost are longer."""
_MIN_RUN_SAMPLES = 32
_BIN_S = 0.5  # resolution of the counts of clipped samples
_KEPT_SPANS = 4  # before a block, while nothing asks for the counts


@dataclass(frozen=True, slots=True)
class SampleFaults:
    """What the last `SPAN_S` contain."""

    constant_runs: int = 0
    clipped_share: float = 0.0  # of the samples

    def highest(self, other: SampleFaults) -> SampleFaults:
        """Return the higher number of each."""
        return SampleFaults(
            max(self.constant_runs, other.constant_runs),
            max(self.clipped_share, other.clipped_share),
        )


NO_SAMPLE_FAULTS = SampleFaults()


class SampleFaultCounter:
    """Counts in the blocks of one stream; how it is cut into blocks makes no difference."""

    def __init__(self, rate_hz: int) -> None:
        """Begin a stream with the sampling rate ``rate_hz``."""
        self._min_run = max(_MIN_RUN_SAMPLES, round(MIN_RUN_S * rate_hz))
        self._span = round(SPAN_S * rate_hz)
        self._bin = max(1, round(_BIN_S * rate_hz))
        self._value: np.float32 | None = None  # of the newest sample
        self._run = 0  # equal samples at the end of the newest block
        self._end: int | None = None
        self._runs: deque[int] = deque()  # sample indices at which a run was long enough
        self._clipped: deque[tuple[int, int]] = deque()  # number of the bin, clipped samples

    def push(self, block: Block) -> None:
        """Count the samples of the next block."""
        samples = block.samples
        if not len(samples):
            return
        if block.start != self._end:
            self._value, self._run = None, 0
        self._end = block.end
        self._forget(block.start - _KEPT_SPANS * self._span)
        if samples.max() >= CLIPPING_LEVEL or samples.min() <= -CLIPPING_LEVEL:
            self._count_clipped(block)
        self._count_runs(block.start, samples)

    def before(self, sample: int) -> SampleFaults:
        """Return what the `SPAN_S` before a sample index contain; earlier counts are forgotten.

        Clipped samples are counted in whole half seconds.
        """
        self._forget(sample - self._span)
        if not self._runs and not self._clipped:
            return NO_SAMPLE_FAULTS
        runs = sum(at <= sample for at in self._runs)
        clipped = sum(
            number for place, number in self._clipped if (place + 1) * self._bin <= sample
        )
        return SampleFaults(runs, clipped / self._span)

    def _forget(self, begin: int) -> None:
        while self._runs and self._runs[0] < begin:
            self._runs.popleft()
        while self._clipped and (self._clipped[0][0] + 1) * self._bin <= begin:
            self._clipped.popleft()

    def _count_clipped(self, block: Block) -> None:
        at = np.flatnonzero(np.abs(block.samples) >= CLIPPING_LEVEL) + block.start
        places, numbers = np.unique(at // self._bin, return_counts=True)
        for place, number in zip(places.tolist(), numbers.tolist(), strict=True):
            before = 0
            if self._clipped and self._clipped[-1][0] == place:
                before = self._clipped.pop()[1]
            self._clipped.append((place, before + number))

    def _count_runs(self, start: int, samples: Samples) -> None:
        continues = self._value is not None and samples[0] == self._value
        # two samples half a run apart are equal wherever a run is long enough
        sparse = samples[:: self._min_run // 2]
        if not (continues or np.count_nonzero(sparse[1:] == sparse[:-1])):
            self._value, self._run = samples[-1], _trailing(samples)
            return
        edges = np.flatnonzero(samples[1:] != samples[:-1]) + 1
        begins = np.concatenate(([0], edges))
        lengths = np.diff(begins, append=len(samples))
        known = self._run if continues else 0
        self._value = samples[-1]
        if known < self._min_run <= known + lengths[0]:
            self._runs.append(start + self._min_run - known)
        later = begins[1:][lengths[1:] >= self._min_run]
        self._runs.extend((later + start + self._min_run).tolist())
        self._run = int(lengths[-1]) + (known if len(lengths) == 1 else 0)


def _trailing(samples: Samples) -> int:
    """Return how many of the last samples are equal."""
    if len(samples) < 2 or samples[-1] != samples[-2]:
        return 1
    other = np.flatnonzero(samples != samples[-1])
    return len(samples) - 1 - int(other[-1]) if len(other) else len(samples)
