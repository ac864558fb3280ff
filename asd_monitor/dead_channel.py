"""Detection of a dead channel: a sample value that stays constant.

A muted or broken converter delivers the same value for seconds; a microphone does not, because
of its own noise.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from asd_monitor.alarm.state import Transition, TransitionKind
from asd_monitor.dsp.sample_faults import DEAD_CHANNEL_S, equal_runs
from asd_monitor.records import Block, MicrophoneState


class DeadChannelDetector:
    """Removes from a stream the sound of a dead channel.

    The channel is dead from the moment at which the sample value has been constant for
    DEAD_CHANNEL_S, until the value changes.
    """

    def __init__(self, rate_hz: int) -> None:
        """Begin a stream with the sampling rate ``rate_hz``."""
        self._limit = round(DEAD_CHANNEL_S * rate_hz)  # length of a constant run, in samples
        self._dead = False
        self._value: np.float32 | None = None  # of the newest sample
        self._since = 0  # sample index since which it has been constant
        self._end: int | None = None  # of the newest block

    def split(self, block: Block) -> Iterator[Block | Transition]:
        """Yield the sound of the live channel and the transitions of the microphone, in order."""
        if not len(block.samples):
            return
        if block.start != self._end and not self._dead:
            self._value = None
        self._end = block.end
        if not self._dead and self._skip_runs(block):
            yield block
            return
        begin = block.start
        for start, end in self._relevant_runs(block):
            if self._dead and start != self._since:
                self._dead = False
                begin = start
                yield self._transition(start, "the samples change again")
            self._since = start
            dies = start + self._limit
            if not self._dead and end >= dies:
                if dies > begin:
                    yield block.part(begin, dies)
                self._dead = True
                seconds = f"{DEAD_CHANNEL_S:g} s"
                yield self._transition(dies, f"every sample has the same value for {seconds}")
        if not self._dead:
            yield block.part(begin, block.end)

    def _skip_runs(self, block: Block) -> bool:
        """Return whether no constant run in the block can make the channel dead.

        Only a run that began before the block, or one as long as the limit, can.  The beginning
        of the last run is recorded.
        """
        samples = block.samples
        if not 2 <= len(samples) < self._limit or samples[-1] == samples[-2]:
            return False
        if self._value is not None and samples[0] == self._value:
            return False
        self._value, self._since = samples[-1], block.end - 1
        return True

    def _relevant_runs(self, block: Block) -> list[tuple[int, int]]:
        """Return (start, end) of the constant runs that can change the state of the channel.

        These are the first run, which may have begun in an earlier block, the last one, the runs
        as long as the limit and those that follow them.
        """
        samples = block.samples
        begins, pasts = equal_runs(samples)
        starts, ends = begins + block.start, pasts + block.start
        if self._value is not None and samples[0] == self._value:
            starts[0] = self._since
        self._value = samples[-1]
        long = ends - starts >= self._limit
        relevant = long.copy()
        relevant[1:] |= long[:-1]  # where the sound returns
        relevant[[0, -1]] = True
        if self._dead:
            relevant[:2] = True
        return [(int(s), int(e)) for s, e in zip(starts[relevant], ends[relevant], strict=True)]

    def _transition(self, sample: int, why: str) -> Transition:
        states = (MicrophoneState.OK, MicrophoneState.FAULT)
        before, after = states if self._dead else states[::-1]
        return Transition(sample, TransitionKind.MICROPHONE, before, after, why)
