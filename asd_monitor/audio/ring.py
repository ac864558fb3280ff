"""The newest seconds of a stream, addressed by absolute sample index."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

from asd_monitor.records import Block


@dataclass(slots=True)
class _Stretch:
    """Samples without a gap: index ``start`` … ``end``, at ``offset`` of all ever stored."""

    start: int
    end: int
    offset: int


class Ring:
    """A bounded store that overwrites its oldest samples; one task writes and reads it.

    Gaps take no room.  `overrun_samples` counts what was overwritten before anyone had
    read it; a writer that must not lose anything looks at `room` first.
    """

    def __init__(self, seconds: float, rate_hz: int) -> None:
        self.capacity = max(1, round(seconds * rate_hz))
        self.overrun_samples = 0
        self._store = np.zeros(self.capacity, np.float32)
        self._stretches: deque[_Stretch] = deque()
        self._stored = 0  # samples ever written
        self._read_to = 0  # the furthest sample index handed out

    @property
    def start(self) -> int:
        """Index of the oldest sample held (that of the next one, when empty)."""
        return self._stretches[0].start if self._stretches else self.end

    @property
    def end(self) -> int:
        """Index one past the newest sample."""
        return self._stretches[-1].end if self._stretches else 0

    def write(self, block: Block) -> None:
        """Append a block; it may start after the end (a gap), never before it.

        Raises:
            ValueError: the block starts before the end.

        """
        if block.start < self.end:
            raise ValueError(f"block at {block.start} overlaps what ends at {self.end}")
        count = len(block.samples)
        if not count:
            return
        if self._stretches and self._stretches[-1].end == block.start:
            self._stretches[-1].end = block.end
        else:
            self._stretches.append(_Stretch(block.start, block.end, self._stored))
        kept = block.samples[-self.capacity :]
        at = (self._stored + count - len(kept)) % self.capacity
        first = min(len(kept), self.capacity - at)
        self._store[at : at + first] = kept[:first]
        self._store[: len(kept) - first] = kept[first:]
        self._stored += count
        self._forget()

    def _forget(self) -> None:
        oldest = self._stored - self.capacity
        while self._stretches[0].offset < oldest:
            stretch = self._stretches[0]
            gone = min(oldest - stretch.offset, stretch.end - stretch.start)
            self.overrun_samples += max(0, stretch.start + gone - max(stretch.start, self._read_to))
            stretch.start += gone
            stretch.offset += gone
            if stretch.start == stretch.end:
                self._stretches.popleft()

    def read(self, position: int, max_samples: int) -> Block | None:
        """Return the next samples at or after a sample index that join each other.

        The block is a copy, of at most ``max_samples``; it starts later than asked where
        a gap lies or samples were overwritten.  None: there is nothing yet.
        """
        for stretch in self._stretches:
            if stretch.end > position:
                start = max(position, stretch.start)
                count = min(max_samples, stretch.end - start)
                at = (stretch.offset + start - stretch.start) % self.capacity
                first = self._store[at : at + count]
                rest = self._store[: count - len(first)]
                self._read_to = max(self._read_to, start + count)
                return Block(start, np.concatenate((first, rest)))
        return None

    def room(self, position: int) -> int:
        """Return how many samples fit before any at or after ``position`` are overwritten."""
        unread = sum(max(0, s.end - max(s.start, position)) for s in self._stretches)
        return self.capacity - unread
