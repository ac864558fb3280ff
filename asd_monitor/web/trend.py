"""The trend of a machine over the last hours: the highest alarm score of each period; pure."""

from __future__ import annotations

from datetime import datetime

from asd_monitor.daemon.page_protocol import LiveWindow

PERIOD_S = 300
PERIODS = 72
"""Periods that are kept: six hours."""


class Trend:
    """The highest alarm score of each of the last periods."""

    def __init__(self) -> None:
        self._highest: dict[int, float] = {}  # by number of periods since 1970
        self._newest = 0
        self.alarm_threshold: float | None = None
        """Threshold of the newest window."""

    def push(self, window: LiveWindow) -> None:
        """Add a window, which is later than those before, unless the clock was set back."""
        self.alarm_threshold = window.thresholds.alarm
        number = int(window.time.timestamp() // PERIOD_S)
        if number < self._newest:
            ahead = [each for each in self._highest if each > number]
            for each in ahead:
                del self._highest[each]
        self._newest = number
        if window.alarm_score is not None:
            self.add(window.time, window.alarm_score)

    def add(self, time: datetime, alarm_score: float) -> None:
        """Add an alarm score; the oldest period is dropped where there are too many."""
        number = int(time.timestamp() // PERIOD_S)
        self._highest[number] = max(alarm_score, self._highest.get(number, 0.0))
        if len(self._highest) > PERIODS:
            del self._highest[min(self._highest)]

    def highest(self, now: datetime) -> list[float | None]:
        """Return the highest of each period up to now, the oldest first; None: there was none."""
        last = int(now.timestamp() // PERIOD_S)
        return [self._highest.get(number) for number in range(last - PERIODS + 1, last + 1)]
