"""Runs of equal samples: a muted or disconnected input, not sound."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from asd_monitor.dsp.sample_faults import equal_runs
from asd_monitor.records import Block, Samples, Stream


class ConstantRunRemover:
    """Removes runs of at least ``min_run`` equal samples from a stream; each leaves a gap."""

    def __init__(self, min_run: int) -> None:
        self._min_run = min_run
        self._held: Samples = np.zeros(0, np.float32)  # the constant run at the end of the stream
        self._stream: Stream | None = None
        self._end: int | None = None  # sample index after the newest block
        self.removed = 0
        """Samples removed so far."""

    def remove(self, blocks: Iterable[Block]) -> Iterator[Block]:
        """Yield a whole stream without its constant runs."""
        for block in blocks:
            yield from self.push(block)
        yield from self.flush()

    def push(self, block: Block) -> list[Block]:
        """Return what is certain not to be constant; blocks join where nothing was removed."""
        if not len(block.samples):
            return []
        joins = block.stream is self._stream and block.start == self._end
        kept = [] if joins else self.flush()
        self._stream, self._end = block.stream, block.end
        samples = np.concatenate([self._held, block.samples])
        return kept + self._process(Block(block.stream, block.end - len(samples), samples))

    def flush(self) -> list[Block]:
        """Return the constant run at the end if it is short; the stream ends here."""
        kept = []
        if self._stream is not None and self._end is not None and len(self._held):
            if len(self._held) >= self._min_run:
                self.removed += len(self._held)
            else:
                kept.append(Block(self._stream, self._end - len(self._held), self._held))
        self._held = np.zeros(0, np.float32)
        return kept

    def _process(self, block: Block) -> list[Block]:
        origin, samples = block.start, block.samples
        starts, pasts = equal_runs(samples)
        last = int(starts[-1])
        begin = 0
        kept = []
        for run in np.flatnonzero((pasts - starts)[:-1] >= self._min_run):
            first, past = int(starts[run]), int(pasts[run])
            self.removed += past - first
            if first > begin:
                kept.append(block.part(origin + begin, origin + first))
            begin = past
        if last > begin:
            kept.append(block.part(origin + begin, origin + last))
        # of a run that is long enough already, min_run samples suffice: this bounds memory
        excess = max(0, len(samples) - last - self._min_run)
        self.removed += excess
        self._held = samples[last + excess :]
        return kept
