"""Delay between attempts that fail; pure.

The delay grows with the number of consecutive failures.  It starts again at its first step only
after an attempt that worked for a while, since a peer that accepts and then disconnects at
once would otherwise be tried without a pause.

Full jitter, a random fraction of each delay, keeps many clients of one server out of step
(M. Brooker, "Exponential Backoff and Jitter", AWS Architecture Blog, 2015).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass


def doubling(first_s: float, longest_s: float) -> tuple[float, ...]:
    """Return the steps ``first_s``, 2 ``first_s``, 4 ``first_s`` … up to ``longest_s``, in s."""
    steps = math.ceil(math.log2(longest_s / first_s))
    return (*(first_s * 2.0**step for step in range(steps)), longest_s)


def no_jitter() -> float:
    """Return 1: each delay is its step."""
    return 1.0


@dataclass(slots=True)
class Backoff:
    """Counts consecutive failures and returns the delay before the next attempt.

    Failure n of a row (from 0) is followed by ``max(minimum_s, jitter() * steps_s[n])``; the
    last step repeats.
    """

    steps_s: tuple[float, ...]
    """Longest delay after each failure of a row, in s; at least one."""
    minimum_s: float = 0.0
    """Shortest delay, in s."""
    reset_after_s: float = math.inf
    """An attempt that worked at least this long, in s, ends the row of failures."""
    jitter: Callable[[], float] = no_jitter
    """Factor of each delay, from 0 to 1; `random.random` is full jitter."""
    failures: int = 0
    """Consecutive failures so far."""

    @property
    def longest_s(self) -> float:
        """The last step, in s."""
        return self.steps_s[-1]

    def reset(self) -> None:
        """End the row of failures: the next delay is the first step."""
        self.failures = 0

    def delay_s(self, worked_s: float = 0.0) -> float:
        """Count a failure after ``worked_s`` of work; return the delay before the next attempt."""
        if worked_s >= self.reset_after_s:
            self.reset()
        step_s = self.steps_s[min(self.failures, len(self.steps_s) - 1)]
        self.failures += 1
        return max(self.minimum_s, self.jitter() * step_s)
