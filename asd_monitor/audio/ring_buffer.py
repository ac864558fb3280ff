"""Ring buffer of the newest seconds of a stream, addressed by absolute sample index."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

from asd_monitor.records import Block, Stream


@dataclass(slots=True)
class _Segment:
    """Gapless samples ``start`` … ``end``; ``offset`` counts the samples stored before them."""

    start: int
    end: int
    offset: int


class RingBuffer:
    """Bounded buffer of mono samples that overwrites the oldest; not thread-safe.

    Gaps take no space.  A writer that must not lose samples checks `room` first.
    """

    def __init__(self, seconds: float, stream: Stream) -> None:
        self.stream = stream
        self.capacity = max(1, round(seconds * stream.rate_hz))
        """Number of samples that the buffer holds."""
        self.overrun_samples = 0
        """Number of samples that were overwritten before they were read."""
        self._store = np.zeros(self.capacity, np.float32)
        self._segments: deque[_Segment] = deque()
        self._stored = 0  # samples written since the beginning
        self._read_to = 0  # highest sample index returned by `read`

    @property
    def start(self) -> int:
        """Index of the oldest sample held; of the next sample if the buffer is empty."""
        return self._segments[0].start if self._segments else self.end

    @property
    def end(self) -> int:
        """Index one past the newest sample."""
        return self._segments[-1].end if self._segments else 0

    def write(self, block: Block) -> None:
        """Append a block, which may start after `end` (a gap).

        Raises:
            ValueError: the block is of another stream, or starts before `end`.

        """
        if block.stream is not self.stream:
            raise ValueError("a block of another stream: its sample indices are not comparable")
        if block.start < self.end:
            raise ValueError(
                f"block at {block.start} overlaps the buffer, which ends at {self.end}"
            )
        count = len(block.samples)
        if not count:
            return
        if self._segments and self._segments[-1].end == block.start:
            self._segments[-1].end = block.end
        else:
            self._segments.append(_Segment(block.start, block.end, self._stored))
        kept = block.samples[-self.capacity :]
        at = (self._stored + count - len(kept)) % self.capacity
        first = min(len(kept), self.capacity - at)
        self._store[at : at + first] = kept[:first]
        self._store[: len(kept) - first] = kept[first:]
        self._stored += count
        self._discard_overwritten()

    def _discard_overwritten(self) -> None:
        oldest = self._stored - self.capacity
        while self._segments[0].offset < oldest:
            segment = self._segments[0]
            lost = min(oldest - segment.offset, segment.end - segment.start)
            self.overrun_samples += max(0, segment.start + lost - max(segment.start, self._read_to))
            segment.start += lost
            segment.offset += lost
            if segment.start == segment.end:
                self._segments.popleft()

    def read(self, position: int, max_samples: int) -> Block | None:
        """Return a copy of the next gapless samples at or after a sample index.

        The block has at most ``max_samples``.  It starts after ``position`` where a gap lies or
        samples were overwritten.  None: the buffer holds no sample from ``position`` on.
        """
        for segment in self._segments:
            if segment.end > position:
                start = max(position, segment.start)
                count = min(max_samples, segment.end - start)
                self._read_to = max(self._read_to, start + count)
                return self._copy(segment, start, count)
        return None

    def newest_before(self, position: int, max_samples: int) -> Block | None:
        """Return a copy of the last gapless samples before a sample index.

        The block has at most ``max_samples``, which do not count as read.  None: there are none.
        """
        for segment in reversed(self._segments):
            if segment.start < position:
                end = min(position, segment.end)
                start = max(segment.start, end - max_samples)
                return self._copy(segment, start, end - start)
        return None

    def span(self, first: int, past: int) -> list[Block]:
        """Return copies of the gapless samples from index ``first`` to before ``past``.

        They do not count as read.
        """
        found = []
        for segment in self._segments:
            start, end = max(first, segment.start), min(past, segment.end)
            if start < end:
                found.append(self._copy(segment, start, end - start))
        return found

    def _copy(self, segment: _Segment, start: int, count: int) -> Block:
        at = (segment.offset + start - segment.start) % self.capacity
        first = self._store[at : at + count]
        rest = self._store[: count - len(first)]
        return Block(self.stream, start, np.concatenate((first, rest)))

    def room(self, position: int) -> int:
        """Return the number of samples that can be written without overwriting ``position``."""
        unread = sum(max(0, s.end - max(s.start, position)) for s in self._segments)
        return self.capacity - unread
