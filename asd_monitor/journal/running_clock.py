"""The running time of the daemon over all its runs, by which waiting events have an age.

The wall clock may not be set at boot, and may be stepped at any time: no event may look old for
that.  This clock counts only while a daemon runs.  It goes on, in the next run, after the highest
reading in the outbox, so that it is behind the true running time and never ahead of it.
"""

from __future__ import annotations

from collections.abc import Callable

_BETWEEN_RUNS_S = 1.0


class RunningClock:
    """Maps readings of a monotonic clock to running time, in s.

    Args:
        monotonic_s: Reads the monotonic clock.

    """

    def __init__(self, monotonic_s: Callable[[], float]) -> None:
        self.now_s = monotonic_s
        """Reads the monotonic clock, in s."""
        self._begun_s = monotonic_s()
        self._before_s = 0.0

    def go_on_after(self, highest_s: float) -> None:
        """Go on after the highest reading of the earlier runs."""
        self._before_s = highest_s + _BETWEEN_RUNS_S

    def at(self, monotonic_s: float) -> float:
        """Return the running time at a reading of the monotonic clock."""
        return self._before_s + monotonic_s - self._begun_s

    def monotonic_at(self, clock_s: float) -> float:
        """Return the reading of the monotonic clock at a running time; earlier runs go before."""
        return clock_s - self._before_s + self._begun_s
