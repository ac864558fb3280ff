"""What stands in for a model that a machine does not have: nothing is scored.

So a dead channel is still detected, and an active alarm can be acknowledged.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from asd_monitor.alarm.scale_tail import ScaleTail
from asd_monitor.records import Block, WindowScore


class NoScorer:
    """The scorer of a machine without a model."""

    missing_samples = 0
    max_stride = 1

    def append(self, block: Block, stride: int = 1) -> None:
        """Ignore the block."""

    @property
    def score_pending(self) -> Callable[[Sequence[NoScorer]], list[list[WindowScore]]]:
        """The function that returns no scores."""
        return _no_scores


def _no_scores(scorers: Sequence[NoScorer]) -> list[list[WindowScore]]:
    return [[] for _ in scorers]


@dataclass(frozen=True, slots=True)
class NoEvidence:
    """The evidence of a machine without a model: it has no alarm score."""

    window_s: float
    hop_s: float
    tails: tuple[ScaleTail, ...] = ()
    effect_bound: float = math.inf
    hours: float = math.inf
