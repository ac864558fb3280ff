"""Charts as inline SVG; their colours come from the page (light or dark)."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
import numpy.typing as npt

from asd_monitor.wording import clock

Floats = npt.NDArray[np.float64]

WIDTH = 920
LEFT, RIGHT = 56, 10
MOST_BOUNDARIES = 60  # more of them would hide what they separate


@dataclass(frozen=True, slots=True)
class Line:
    """A horizontal or vertical line with a name."""

    at: float
    name: str
    style: str  # class in the page's style sheet


@dataclass(frozen=True, slots=True)
class Band:
    """A shaded stretch of the time axis, or of the other one."""

    low: float
    high: float
    style: str


@dataclass(frozen=True, slots=True)
class Curve:
    """Values over time; a gap longer than ``joined_s`` breaks it."""

    times_s: Floats
    values: Floats
    style: str
    joined_s: float = 2.0


def histogram(
    values: npt.ArrayLike,
    *,
    expected: Callable[[float], float] | None = None,
    highest: float,
    label: str,
    height: int = 240,
) -> str:
    """Return the distribution of scores from 0 to ``highest``, counts on a logarithmic scale.

    ``expected`` gives the share that is to be expected at or above a score.
    """
    found = np.asarray(values, np.float64)
    step = 0.25
    edges = np.arange(0.0, highest + step, step)
    counts = np.histogram(np.minimum(found, edges[-1] - 1e-9), edges)[0]
    top = max(10.0, float(counts.max()) if len(found) else 10.0)
    plot = _Plot((0.0, float(edges[-1])), (math.log10(0.5), math.log10(top * 1.6)), height)
    body = [plot.x_axis(range(math.floor(edges[-1]) + 1), str, label)]
    decades = [10**power for power in range(math.floor(math.log10(top * 1.6)) + 1)]
    body.append(plot.y_axis([math.log10(n) for n in decades], lambda y: f"{10**y:.0f}", "windows"))
    for count, left, right in zip(counts, edges, edges[1:], strict=False):
        if count:
            x, w = plot.x(left) + 0.5, plot.x(right) - plot.x(left) - 1
            y = plot.y(math.log10(count))
            body.append(
                f'<rect class="bar" x="{x:.1f}" y="{y:.1f}" width="{w:.1f}" '
                f'height="{plot.bottom - y:.1f}"><title>{count} windows score {left:g} to '
                f"{right:g}</title></rect>"
            )
    if expected is not None and len(found):
        points = [
            (left + step / 2, len(found) * (expected(left) - expected(right)))
            for left, right in itertools.pairwise(edges.tolist())
        ]
        drawn = [(plot.x(s), plot.y(math.log10(n))) for s, n in points if n > 0.5]
        body.append(_polyline(drawn, "expected"))
    return plot.svg(body, label)


def timeline(
    curves: Iterable[Curve],
    *,
    seconds: float,
    low: float,
    high: float,
    unit: str,
    lines: Sequence[Line] = (),
    bands: Sequence[Band] = (),
    off: Band | None = None,
    boundaries: Sequence[float] = (),
    marks: Sequence[tuple[float, float, str]] = (),
    height: int = 200,
) -> str:
    """Return values over the time of the recordings.

    ``bands`` are stretches of time, ``off`` one of the values, ``boundaries`` ends of files,
    ``marks`` are (time, value, what) of single moments.
    """
    plot = _Plot((0.0, seconds), (low, high), height)
    body = []
    for band in bands:
        x, w = plot.x(band.low), plot.x(band.high) - plot.x(band.low)
        body.append(
            f'<rect class="{band.style}" x="{x:.1f}" y="{plot.top}" width="{w:.1f}" '
            f'height="{plot.bottom - plot.top}"/>'
        )
    if off is not None:
        top, bottom = plot.y(min(off.high, high)), plot.y(max(off.low, low))
        body.append(
            f'<rect class="{off.style}" x="{LEFT}" y="{top:.1f}" '
            f'width="{WIDTH - LEFT - RIGHT}" height="{max(0.0, bottom - top):.1f}"/>'
        )
    if len(boundaries) <= MOST_BOUNDARIES:
        body += [
            f'<line class="boundary" x1="{plot.x(at):.1f}" x2="{plot.x(at):.1f}" '
            f'y1="{plot.top}" y2="{plot.bottom}"/>'
            for at in boundaries
        ]
    body.append(plot.x_axis(_time_ticks(seconds), lambda s: clock(s)[:-2], "time"))
    body.append(plot.y_axis(_ticks(low, high), lambda v: f"{v:g}", unit))
    shown = [line for line in lines if low <= line.at <= high]
    body += [plot.horizontal(line) for line in shown]
    for curve in curves:
        body += [_polyline(points, curve.style) for points in _pieces(plot, curve)]
    for at, value, what in marks:
        body.append(
            f'<circle class="mark" cx="{plot.x(at):.1f}" cy="{plot.y(min(value, high)):.1f}" '
            f'r="4"><title>{escape(what)}</title></circle>'
        )
    body += [plot.name_of(line) for line in shown]  # last: a curve may not strike them out
    return plot.svg(body, unit)


def spectrogram(
    picture: str,
    *,
    seconds: float,
    bands_hz: Floats,
    boundaries: Sequence[float],
    height: int = 230,
) -> str:
    """Return a picture (a data URL) with axes of time and, by its rows, of frequency.

    ``bands_hz`` (bands,) are the centres of the rows, the lowest first.
    """
    plot = _Plot((0.0, seconds), (0.0, float(len(bands_hz))), height)
    body = [
        f'<image href="{picture}" x="{LEFT}" y="{plot.top}" width="{WIDTH - LEFT - RIGHT}" '
        f'height="{plot.bottom - plot.top}" preserveAspectRatio="none"/>'
    ]
    if len(boundaries) <= MOST_BOUNDARIES:
        body += [
            f'<line class="boundary over" x1="{plot.x(at):.1f}" x2="{plot.x(at):.1f}" '
            f'y1="{plot.top}" y2="{plot.bottom}"/>'
            for at in boundaries
        ]
    wanted_hz = [hz for hz in (200, 500, 1000, 2000, 4000, 8000) if hz <= bands_hz[-1]]
    rows = [float(np.interp(hz, bands_hz, np.arange(len(bands_hz)) + 0.5)) for hz in wanted_hz]
    names = {
        row: f"{hz / 1000:g} kHz" if hz >= 1000 else f"{hz} Hz"
        for row, hz in zip(rows, wanted_hz, strict=True)
    }
    body.append(plot.x_axis(_time_ticks(seconds), lambda s: clock(s)[:-2], "time"))
    body.append(plot.y_axis(rows, lambda row: names[row], "", grid=False))
    return plot.svg(body, "spectrogram")


class _Plot:
    """Where values lie on the drawing."""

    def __init__(
        self, x_range: tuple[float, float], y_range: tuple[float, float], height: int
    ) -> None:
        self.height = height
        self.top, self.bottom = 18, height - 34
        self._x, self._y = x_range, y_range

    def x(self, value: float) -> float:
        share = (value - self._x[0]) / max(self._x[1] - self._x[0], 1e-9)
        return LEFT + share * (WIDTH - LEFT - RIGHT)

    def y(self, value: float) -> float:
        share = (value - self._y[0]) / max(self._y[1] - self._y[0], 1e-9)
        return self.bottom - min(1.0, max(0.0, share)) * (self.bottom - self.top)

    def x_axis(self, ticks: Iterable[float], name_of: Callable[[float], str], label: str) -> str:
        marks = [
            f'<text class="tick" x="{self.x(tick):.1f}" y="{self.bottom + 15}" '
            f'text-anchor="middle">{escape(name_of(tick))}</text>'
            for tick in ticks
        ]
        return "".join(marks) + (
            f'<text class="label" x="{WIDTH - RIGHT}" y="{self.height - 4}" '
            f'text-anchor="end">{escape(label)}</text>'
        )

    def y_axis(
        self,
        ticks: Iterable[float],
        name_of: Callable[[float], str],
        label: str,
        *,
        grid: bool = True,
    ) -> str:
        parts = []
        for tick in ticks:
            y = self.y(tick)
            if grid:
                parts.append(
                    f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" '
                    f'y2="{y:.1f}"/>'
                )
            parts.append(
                f'<text class="tick" x="{LEFT - 7}" y="{y + 4:.1f}" '
                f'text-anchor="end">{escape(name_of(tick))}</text>'
            )
        parts.append(f'<text class="label" x="4" y="12">{escape(label)}</text>')
        return "".join(parts)

    def horizontal(self, line: Line) -> str:
        y = self.y(line.at)
        return (
            f'<line class="{line.style}" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" '
            f'y2="{y:.1f}"/>'
        )

    def name_of(self, line: Line) -> str:
        return (
            f'<text class="name {line.style}" x="{WIDTH - RIGHT - 4}" '
            f'y="{self.y(line.at) - 5:.1f}" text-anchor="end">{escape(line.name)}</text>'
        )

    def svg(self, body: Iterable[str], label: str) -> str:
        return (
            f'<svg viewBox="0 0 {WIDTH} {self.height}" role="img" '
            f'aria-label="{escape(label)}">{"".join(body)}</svg>'
        )


def _pieces(plot: _Plot, curve: Curve) -> list[list[tuple[float, float]]]:
    """Return the points to draw; of many in one column of the picture the highest stays."""
    times, values = curve.times_s, curve.values
    if not len(times):
        return []
    breaks = np.flatnonzero(np.diff(times) > curve.joined_s) + 1
    pieces = []
    for rows in np.split(np.arange(len(times)), breaks):
        columns = np.array([round(plot.x(times[row]) * 2) for row in rows])
        firsts = np.flatnonzero(np.diff(columns, prepend=columns[0] - 1))
        highest = np.maximum.reduceat(values[rows], firsts)
        pieces.append(
            [(columns[i] / 2, plot.y(float(v))) for i, v in zip(firsts, highest, strict=True)]
        )
    return pieces


def _polyline(points: Sequence[tuple[float, float]], style: str) -> str:
    if len(points) == 1:
        [(x, y)] = points
        points = [(x - 0.5, y), (x + 0.5, y)]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return f'<polyline class="{style}" points="{path}"/>' if points else ""


def _ticks(low: float, high: float) -> list[float]:
    step = _round_step((high - low) / 5, (1, 2, 5, 10))
    first = math.ceil(low / step)
    return [n * step for n in range(first, math.floor(high / step) + 1)]


def _time_ticks(seconds: float) -> list[float]:
    steps = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400, 43200, 86400)
    step = next((s for s in steps if seconds / s <= 10), 86400)
    return [float(n * step) for n in range(int(seconds // step) + 1) if n * step < 0.98 * seconds]


def _round_step(step: float, choices: Sequence[int]) -> float:
    scale = 10.0 ** math.floor(math.log10(max(step, 1e-9)))
    return next(c * scale for c in choices if c * scale >= step * 0.999)
