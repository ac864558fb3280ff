"""The trend of a machine over the last hours: the highest alarm score of each period; pure."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from datetime import datetime

from asd_monitor.daemon.page_protocol import LiveWindow

PERIOD_S = 300
PERIODS = 72
"""Periods that are kept: six hours."""


@dataclass(slots=True)
class _Period:
    number: int  # of periods since 1970
    highest: float


class Trend:
    """The highest alarm score of each of the last periods."""

    def __init__(self) -> None:
        self._periods: deque[_Period] = deque(maxlen=PERIODS)
        self.alarm_threshold: float | None = None
        """Threshold of the newest window."""

    def push(self, window: LiveWindow) -> None:
        """Add a window; one before the newest period, of a clock that was set back, is left out."""
        self.alarm_threshold = window.thresholds.alarm
        if window.alarm_score is not None:
            self.add(window.time, window.alarm_score)

    def add(self, time: datetime, alarm_score: float) -> None:
        """Add an alarm score."""
        number = int(time.timestamp() // PERIOD_S)
        newest = self._periods[-1] if self._periods else None
        if newest is None or number > newest.number:
            self._periods.append(_Period(number, alarm_score))
        elif number == newest.number:
            newest.highest = max(newest.highest, alarm_score)

    def highest(self, now: datetime) -> list[float | None]:
        """Return the highest of each period up to now, the oldest first; None: there was none."""
        last = int(now.timestamp() // PERIOD_S)
        by_number = {each.number: each.highest for each in self._periods}
        return [by_number.get(number) for number in range(last - PERIODS + 1, last + 1)]
