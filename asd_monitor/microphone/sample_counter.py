"""Clipped samples and runs of equal samples in the sound of the last seconds.

A dropout fills a buffer with zeros, a stuck converter repeats a value: both are runs of exactly
equal samples, which the noise of a microphone does not contain.  A converter of few bits does: how
many there are in the training recordings is part of the baseline.

Two other sounds have such runs, and theirs are not counted.  At full scale they are clipping, of a
gain that is too high or a machine that is too loud.  In sound of the size of a converter's step
they are its resolution: the machine has stopped in a quiet hall.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from asd_monitor.dsp.sample_faults import CLIPPING_LEVEL, equal_runs
from asd_monitor.records import Block, Samples

COUNTED_S = 5.0
"""Time over which samples are counted."""
MIN_RUN_S = 0.004
"""Shortest run that is counted; buffers that are lost are longer."""
_MIN_RUN_SAMPLES = 32
_BESIDE_S = 0.02
"""Sound on both sides of a run that shows whether there is any: a period of low frequencies."""
MIN_STEP = 4 / 32768
"""A run differs by more from the loudest sample beside it: by some steps of 16 bits."""
LONG_RUN_S = 0.2
"""A run of this length counts before the sound returns."""
_BIN_S = 0.5  # resolution of the counts of clipped samples
_KEPT_S = 20.0
"""Time for which runs are kept: of the longest window, and of `COUNTED_S`."""


@dataclass(frozen=True, slots=True)
class SampleFaults:
    """What the last `COUNTED_S` contain."""

    constant_runs: int = 0
    clipped_share: float = 0.0  # of the samples
    missing_share: float = 0.0  # of the samples, in runs

    def highest(self, other: SampleFaults) -> SampleFaults:
        """Return the higher number of each."""
        return SampleFaults(
            max(self.constant_runs, other.constant_runs),
            max(self.clipped_share, other.clipped_share),
            max(self.missing_share, other.missing_share),
        )


NO_SAMPLE_FAULTS = SampleFaults()


@dataclass(frozen=True, slots=True)
class _Run:
    """A run of equal samples."""

    begin: int  # sample index
    past: int  # one past the last sample that is known
    at: int  # sample index from which on it counts


@dataclass(frozen=True, slots=True)
class _EndedRun:
    """A run that counts if the sound returns in the samples that follow."""

    begin: int
    past: int
    value: np.float32
    missing: int  # samples that were not looked at


class SampleFaultCounter:
    """Counts in the blocks of one stream; how it is cut into blocks makes no difference."""

    def __init__(self, rate_hz: int) -> None:
        """Begin a stream with the sampling rate ``rate_hz``."""
        self._min_run = max(_MIN_RUN_SAMPLES, round(MIN_RUN_S * rate_hz))
        self._beside = max(_MIN_RUN_SAMPLES, round(_BESIDE_S * rate_hz))
        self._most_open = max(self._min_run, self._beside)
        self._long = max(2 * self._min_run, round(LONG_RUN_S * rate_hz))
        self._span = round(COUNTED_S * rate_hz)
        self._kept = round(_KEPT_S * rate_hz)
        self._bin = max(1, round(_BIN_S * rate_hz))
        self._end: int | None = None
        self._tail: Samples = np.zeros(0, np.float32)
        self._open = 0  # equal samples at the end of the tail; `_most_open` are kept
        self._open_begin = 0  # sample index of the first of them
        self._ended: list[_EndedRun] = []
        self._runs: deque[_Run] = deque()
        self._clipped: deque[tuple[int, int]] = deque()  # number of the bin, clipped samples

    def push(self, block: Block) -> None:
        """Count the samples of the next block."""
        samples = block.samples
        if not len(samples):
            return
        if block.start != self._end:
            self._tail, self._open, self._ended = np.zeros(0, np.float32), 0, []
        self._end = block.end
        self._forget(block.start - self._kept)
        if samples.max() >= CLIPPING_LEVEL or samples.min() <= -CLIPPING_LEVEL:
            self._count_clipped(block)
        self._count_runs(block.start, samples)

    def before(self, sample: int) -> SampleFaults:
        """Return what the `COUNTED_S` before a sample index contain.

        Clipped samples are counted in whole half seconds.  What ended `_KEPT_S` before it is
        forgotten.
        """
        self._forget(sample - self._kept)
        if not self._runs and not self._clipped:
            return NO_SAMPLE_FAULTS
        clipped = sum(
            number
            for place, number in self._clipped
            if sample - self._span < (place + 1) * self._bin <= sample
        )
        begin = sample - self._span
        known = [run for run in self._runs if run.at <= sample and run.past >= begin]
        missing = sum(min(run.past, sample) - max(run.begin, begin) for run in known)
        return SampleFaults(len(known), clipped / self._span, missing / self._span)

    def has_run(self, begin: int, past: int) -> bool:
        """Return whether samples from ``begin`` to before ``past`` are part of a run."""
        return any(run.past > begin and run.at <= past for run in reversed(self._runs))

    def _forget(self, begin: int) -> None:
        while self._runs and self._runs[0].past < begin:
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
        ended, self._ended = self._ended, []
        for run in ended:
            self._look_after(run, start, samples[: run.missing])
        joined = np.concatenate([self._tail, samples])
        origin, known = start - len(self._tail), len(self._tail) - self._open
        last = len(joined) - _trailing(joined)
        # two samples half a run apart are equal wherever a run is long enough
        sparse = joined[:: self._min_run // 2]
        if np.count_nonzero(sparse[1:] == sparse[:-1]):
            begins, pasts = equal_runs(joined)
            is_new = pasts > known  # those before the open run have been looked at
            for number in np.flatnonzero(is_new & (pasts - begins >= self._min_run)).tolist():
                first, past = int(begins[number]), int(pasts[number])
                begin = self._open_begin if first == known else origin + first
                beside = joined[max(0, first - self._beside) : first]
                if _differs(joined[first], beside).any() and abs(joined[first]) < CLIPPING_LEVEL:
                    self._take(begin, origin + past, joined[first:], past - first)
            last = int(begins[-1])
        if last > known or not self._open:
            self._open_begin = origin + last
        self._open = min(len(joined) - last, self._most_open)
        self._tail = np.concatenate(
            [joined[max(0, last - self._beside) : last], joined[len(joined) - self._open :]]
        )

    def _take(self, begin: int, past: int, following: Samples, length: int) -> None:
        """Take up a run with sound before it; ``following`` (n,) begins with its ``length``."""
        if past - begin >= self._long:
            same = [run for run in self._runs if run.begin == begin]
            if same:
                self._runs.remove(same[0])
            self._runs.append(_Run(begin, past, begin + self._long))
        elif length < len(following):
            run = _EndedRun(begin, past, following[0], self._beside)
            self._look_after(run, past, following[length : length + self._beside])

    def _look_after(self, run: _EndedRun, start: int, following: Samples) -> None:
        """Look at the samples (n,) after a run, from a sample index on."""
        returns = np.flatnonzero(_differs(run.value, following))
        if len(returns):
            self._runs.append(_Run(run.begin, run.past, start + int(returns[0]) + 1))
        elif run.missing > len(following):
            self._ended.append(replace(run, missing=run.missing - len(following)))


def _differs(value: np.float32, samples: Samples) -> npt.NDArray[np.bool_]:
    """Return which samples (n,) differ from a value by more than the steps of a converter."""
    return np.asarray(np.abs(samples - value) > MIN_STEP)


def _trailing(samples: Samples) -> int:
    """Return how many of the last samples are equal."""
    if len(samples) < 2 or samples[-1] != samples[-2]:
        return 1
    other = np.flatnonzero(samples != samples[-1])
    return len(samples) - 1 - int(other[-1]) if len(other) else len(samples)
