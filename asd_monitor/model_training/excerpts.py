"""Evenly spaced excerpts of long recordings, which bound memory and time of a training."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from asd_monitor.records import Block


@dataclass(frozen=True, slots=True)
class ExcerptSelection:
    """Keeps every ``stride``-th excerpt of a stream; excerpts are counted across files."""

    length: int  # of an excerpt, in samples
    stride: int  # 1: everything is kept
    offset: int  # samples of the files before this one

    def select(self, blocks: Iterable[Block]) -> Iterator[Block]:
        """Yield the parts of the blocks that lie in the selected excerpts."""
        for block in blocks:
            if self.stride == 1:
                yield block
                continue
            start = block.start
            while start < block.end:
                number, within = divmod(start + self.offset, self.length)
                end = min(block.end, start + self.length - within)
                if number % self.stride == 0:
                    yield block.part(start, end)
                start = end
