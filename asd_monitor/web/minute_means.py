"""Scores and level of a machine by the minute, as the history keeps them; pure."""

from __future__ import annotations

import math
from dataclasses import dataclass

from asd_monitor.daemon.page_protocol import LiveWindow

MINUTE_S = 60


@dataclass(frozen=True, slots=True)
class HistoryRow:
    """What the windows of a period had; None where they had no such value."""

    machine: str
    begin_s: int  # Unix time
    windows: int
    highest_score: float | None
    mean_score: float | None
    highest_alarm_score: float | None
    threshold: float | None  # highest alarm threshold
    mean_level_dbfs: float | None


class MinuteMeans:
    """Gathers the windows of one machine."""

    def __init__(self, machine: str) -> None:
        self._machine = machine
        self._minute: int | None = None
        self._windows: list[LiveWindow] = []

    def push(self, window: LiveWindow) -> HistoryRow | None:
        """Add a window; return the minute before where the window begins another one."""
        minute = int(window.time.timestamp() // MINUTE_S)
        ended = None if minute == self._minute else self.end()
        self._minute = minute
        self._windows.append(window)
        return ended

    def end(self) -> HistoryRow | None:
        """Return the present minute, and begin anew; None: it has no window."""
        windows, self._windows = self._windows, []
        if not windows or self._minute is None:
            return None
        scores = [each.score for each in windows if each.score is not None]
        alarm_scores = [each.alarm_score for each in windows if each.alarm_score is not None]
        levels = [each.rms_dbfs for each in windows if each.rms_dbfs is not None]
        powers = [10 ** (level / 10) for level in levels]
        return HistoryRow(
            self._machine,
            self._minute * MINUTE_S,
            len(windows),
            max(scores, default=None),
            sum(scores) / len(scores) if scores else None,
            max(alarm_scores, default=None),
            max(each.thresholds.alarm for each in windows),
            10 * math.log10(sum(powers) / len(powers)) if powers and sum(powers) > 0 else None,
        )
