"""Small charts of a trend without axes; pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from asd_monitor.web.live_state import LiveMachine

WIDTH, HEIGHT = 216, 40
_HEADROOM = 1.25  # of the threshold
_LEAST_TOP = 2.0


@dataclass(frozen=True, slots=True)
class Sparkline:
    """A trend as paths of SVG, in a box of `WIDTH` by `HEIGHT`."""

    path: str
    """The line, with gaps."""
    area: str
    """What is below it."""
    threshold_y: float | None
    words: str
    """What it shows, for who does not see it."""


def sparkline(values: Sequence[float | None], threshold: float | None) -> Sparkline:
    """Return the chart of values at equal intervals, None where there is none."""
    known = [value for value in values if value is not None]
    top = max([*known, (threshold or 0.0) * _HEADROOM, _LEAST_TOP])
    step = WIDTH / max(1, len(values) - 1)
    line, area = [], []
    for begin, run in _runs(values):
        points = [(begin + at) * step for at in range(len(run))]
        ys = [HEIGHT - 1 - value / top * (HEIGHT - 2) for value in run]
        if len(run) == 1:  # a point is a short line
            points, ys = [points[0] - step / 2, points[0] + step / 2], ys * 2
        body = "L".join(f"{x:.1f} {y:.1f}" for x, y in zip(points, ys, strict=True))
        line.append(f"M{body}")
        area.append(f"M{points[0]:.1f} {HEIGHT}L{body}L{points[-1]:.1f} {HEIGHT}Z")
    words = "no scores yet" if not known else f"highest alarm score {max(known):.1f}"
    if known and threshold is not None:
        words += f", an alarm begins at {threshold:.1f}"
    threshold_y = None if threshold is None else HEIGHT - 1 - threshold / top * (HEIGHT - 2)
    return Sparkline("".join(line), "".join(area), threshold_y, words)


def spark_of(machine: LiveMachine, now: datetime) -> Sparkline:
    """Return the chart of a machine's trend up to now."""
    return sparkline(machine.trend.highest(now), machine.trend.alarm_threshold)


def _runs(values: Sequence[float | None]) -> list[tuple[int, list[float]]]:
    """Return the begin and the values of each run without a gap."""
    runs: list[tuple[int, list[float]]] = []
    begin = None
    for at, value in enumerate(values):
        if value is None:
            begin = None
        elif begin is None:
            begin = at
            runs.append((at, [value]))
        else:
            runs[-1][1].append(value)
    return runs
