"""When a self-test is due, and when it is overdue; pure, times are passed in.

The day of a test begins at a time of day that follows from the ids, so that the tests of the
machines and boxes of a plant are spread over the day.  That depends on the wall clock, which may be
wrong; whether a test is overdue does not: it is the time that the daemon has run since the last
complete one, by a monotonic clock, over all its runs.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, replace

DAY_S = 86_400.0
OVERDUE_S = 25 * 3600.0
"""Running time since the last complete test from which on the next one is overdue."""
RETRY_S = 1800.0
"""Between two attempts, after one that was not complete or has failed."""


def phase_s(box: str, name: str) -> float:
    """Return the time of day (UTC) at which the day of a test begins, in s.

    Args:
        box: id of the box.
        name: id of the machine, or of the box again for its own checks.

    """
    digest = hashlib.sha256(f"{box}/{name}".encode()).digest()
    return int.from_bytes(digest[:8]) / 2**64 * DAY_S


@dataclass(frozen=True, slots=True)
class TimesOfTests:
    """What is known of the tests of a machine or a box, over all runs of the daemon."""

    running_s: float = 0.0
    """Time that the daemon has run since the last complete test, or since the first run."""
    day: int | None = None
    """Day of the last complete test; None: there was none."""
    failed: bool = False
    """Whether the last test has failed."""

    def ran(self, seconds: float) -> TimesOfTests:
        """Return the times after the daemon has run for so many s."""
        return replace(self, running_s=self.running_s + max(0.0, seconds))

    def completed(self, day: int, *, failed: bool) -> TimesOfTests:
        """Return the times after a complete test."""
        return TimesOfTests(0.0, day, failed)

    @property
    def is_overdue(self) -> bool:
        """Whether the last complete test is too long ago."""
        return self.running_s > OVERDUE_S


def day_of_test(wall_s: float, begins_s: float) -> int:
    """Return the number of the test's day.

    Args:
        wall_s: Unix time, in s.
        begins_s: `phase_s`.

    """
    return math.floor((wall_s - begins_s) / DAY_S)


def is_due(times: TimesOfTests, day: int, since_attempt_s: float, retry_s: float = RETRY_S) -> bool:
    """Return whether a test is due.

    Args:
        times: of the last complete test.
        day: the present `day_of_test`.
        since_attempt_s: time since the last attempt in this run of the daemon; inf: none.
        retry_s: least time between two attempts.

    """
    if since_attempt_s < retry_s:
        return False
    return times.day != day or times.failed or times.running_s >= DAY_S
