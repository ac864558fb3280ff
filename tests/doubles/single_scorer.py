"""A scorer that scores each block when it is asked for its scores."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from asd_monitor.records import Block, WindowScore


class SingleScorer:
    """Base of scorers with a method `push` that returns the scores of the next block."""

    missing_samples = 0
    max_stride = 1

    def __init__(self) -> None:
        self._appended: list[Block] = []

    def append(self, block: Block, stride: int = 1) -> None:
        """Keep a block for `score_pending`."""
        self._appended.append(block)

    @property
    def score_pending(self) -> Callable[[Sequence[SingleScorer]], list[list[WindowScore]]]:
        """The function that scores one scorer after the other."""
        return _score_each

    def push(self, block: Block) -> list[WindowScore]:
        """Return the scores of the windows that a block completes."""
        raise NotImplementedError

    def take(self) -> list[WindowScore]:
        """Return the scores of the blocks that were appended."""
        blocks, self._appended = self._appended, []
        return [score for block in blocks for score in self.push(block)]


def _score_each(scorers: Sequence[SingleScorer]) -> list[list[WindowScore]]:
    return [scorer.take() for scorer in scorers]
