"""The charts of the history as SVG: alarm score and level over a span; pure.

Places are in percent of the chart, so that it fits every width without changing its text.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from asd_monitor.web.history import Span
from asd_monitor.web.minute_means import HistoryRow
from asd_monitor.wording import rfc3339

_MOST_TICKS = 7
_STEPS_S = (600, 14_400, 86_400, 14 * 86_400)
_LEAST_TOP = 3.0
_HEADROOM = 1.08  # above the highest value
_LEFT_FREE = 0.04  # of the span, where the names of the other axis are
_LEVEL_MARGIN_DB = 3.0


@dataclass(frozen=True, slots=True)
class Tick:
    """A mark of an axis."""

    at: float  # in percent
    text: str
    time: str | None = None


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart; paths are in a box of 1000 by 100."""

    path: str
    area: str
    x_ticks: tuple[Tick, ...]
    step_s: int  # between them; the script moves them to round times of the browser's zone
    span_s: int
    y_ticks: tuple[Tick, ...]
    limit: Tick | None  # the alarm threshold
    marks: tuple[Tick, ...]  # alarms
    words: str


def score_chart(
    rows: Sequence[HistoryRow], span: Span, end: datetime, raised: Sequence[datetime]
) -> Chart:
    """Return the highest alarm score of each period, with the threshold and the alarms."""
    values = [row.highest_alarm_score for row in rows if row.highest_alarm_score is not None]
    threshold = rows[-1].threshold if rows else None
    top = max([*values, (threshold or 0.0) * 1.25, _LEAST_TOP]) * _HEADROOM
    begin_s = end.timestamp() - span.seconds
    path, area = _paths(rows, span, begin_s, lambda row: row.highest_alarm_score, low=0.0, high=top)
    step = 1 if top <= 8 else 2 if top <= 16 else 5
    y_ticks = tuple(Tick(100 - at / top * 100, f"{at}") for at in range(0, int(top) + 1, step))
    words = "no scores in this time"
    if values:
        words = f"highest alarm score {max(values):.1f}, alarms raised: {len(raised)}"
    marks = tuple(
        Tick(_percent(each.timestamp(), begin_s, span), "alarm", rfc3339(each)) for each in raised
    )
    limit = None
    if threshold is not None:
        limit = Tick(100 - threshold / top * 100, f"alarm {threshold:.1f}")
    step_s = _step_s(span)
    times = _times(span, step_s, begin_s)
    return Chart(path, area, times, step_s, span.seconds, y_ticks, limit, marks, words)


def level_chart(rows: Sequence[HistoryRow], span: Span, end: datetime) -> Chart:
    """Return the mean level of each period, in dBFS."""
    values = [row.mean_level_dbfs for row in rows if row.mean_level_dbfs is not None]
    low = min(values, default=-60.0) - _LEVEL_MARGIN_DB
    high = max(values, default=-20.0) + _LEVEL_MARGIN_DB
    begin_s = end.timestamp() - span.seconds
    path, area = _paths(rows, span, begin_s, lambda row: row.mean_level_dbfs, low=low, high=high)
    step = 2 if high - low <= 10 else 5 if high - low <= 30 else 10
    first = int(low // step + 1) * step
    y_ticks = tuple(
        Tick(100 - (at - low) / (high - low) * 100, f"{at}".replace("-", "−"))
        for at in range(first, math.floor(high) + 1, step)
    )
    words = "no level in this time"
    if values:
        words = f"level from {min(values):.0f} to {max(values):.0f} dBFS"
    step_s = _step_s(span)
    times = _times(span, step_s, begin_s)
    return Chart(path, area, times, step_s, span.seconds, y_ticks, None, (), words)


def _percent(at_s: float, begin_s: float, span: Span) -> float:
    return (at_s - begin_s) / span.seconds * 100


def _step_s(span: Span) -> int:
    """Return the time between two ticks, in s."""
    return next(each for each in _STEPS_S if span.seconds <= _MOST_TICKS * each)


def _times(span: Span, step_s: int, begin_s: float) -> tuple[Tick, ...]:
    """Return the ticks at round times, in UTC."""
    first_s = math.ceil((begin_s + _LEFT_FREE * span.seconds) / step_s) * step_s
    found = []
    for at_s in range(first_s, math.floor(begin_s) + span.seconds + 1, step_s):
        time = datetime.fromtimestamp(at_s, UTC)
        text = f"{time:%H:%M}" if span.seconds <= 86_400 else f"{time.day} {time:%b}"
        found.append(Tick(_percent(at_s, begin_s, span), text, rfc3339(time)))
    return tuple(found)


def _paths(
    rows: Sequence[HistoryRow],
    span: Span,
    begin_s: float,
    value_of: Callable[[HistoryRow], float | None],
    *,
    low: float,
    high: float,
) -> tuple[str, str]:
    """Return the line and the area below it, with gaps where periods are missing."""
    line, area, run = [], [], list[tuple[float, float]]()

    def end_run() -> None:
        if run:
            points = (
                run if len(run) > 1 else [(run[0][0] - 1, run[0][1]), (run[0][0] + 1, run[0][1])]
            )
            body = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
            line.append(f"M{body}")
            area.append(f"M{points[0][0]:.1f} 100L{body}L{points[-1][0]:.1f} 100Z")
            run.clear()

    before_s: int | None = None
    for row in rows:
        value = value_of(row)
        if value is None or (before_s is not None and row.begin_s - before_s > 2 * span.step_s):
            end_run()
        if value is not None:
            middle_s = row.begin_s + span.step_s / 2
            x = min(1000.0, max(0.0, _percent(middle_s, begin_s, span) * 10))
            run.append((x, 100 - (value - low) / (high - low) * 100))
        before_s = row.begin_s
    end_run()
    return "".join(line), "".join(area)
