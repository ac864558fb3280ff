"""Charts of the training report: distribution of scores, values over time, spectrogram."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from markupsafe import Markup

from asd_monitor.reports.svg import Margins, Pair, PlotArea, element, polyline
from asd_monitor.wording import clock

Floats = npt.NDArray[np.float64]

WIDTH = 920
_MARGINS = Margins(left=56, right=10, top=18, bottom=34)
_MAX_BOUNDARIES = 60
"""More boundaries between files are not drawn: they would hide what they separate."""
_BIN = 0.25
"""Width of a histogram's bins, in units of the score."""
_TIME_STEPS_S = (
    1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400, 43200, 86400,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Threshold:
    """A named horizontal line."""

    at: float
    name: str
    style: str  # class in the style sheet


@dataclass(frozen=True, slots=True)
class Band:
    """A shaded interval of one axis."""

    low: float
    high: float
    style: str


@dataclass(frozen=True, slots=True)
class Curve:
    """Values over time; a gap longer than ``max_gap_s`` breaks the line."""

    times_s: Floats
    values: Floats
    style: str
    max_gap_s: float = 2.0


@dataclass(frozen=True, slots=True)
class Mark:
    """A marked point with a tooltip."""

    at_s: float
    value: float
    title: str


def histogram(
    values: npt.ArrayLike,
    *,
    expected: Callable[[float], float] | None = None,
    high: float,
    label: str,
    height: int = 240,
) -> Markup:
    """Return the distribution of scores (n,) from 0 to ``high``, counts on a logarithmic scale.

    ``expected`` returns the share that is expected at or above a score.
    """
    found = np.asarray(values, np.float64)
    edges = np.arange(0.0, high + _BIN, _BIN)
    counts = np.histogram(np.minimum(found, edges[-1] - 1e-9), edges)[0]
    top = 1.6 * max(10.0, float(counts.max()) if len(found) else 10.0)
    plot = _plot((0.0, float(edges[-1])), (math.log10(0.5), math.log10(top)), height)
    plot.x_axis(range(math.floor(edges[-1]) + 1), str, label)
    decades = [float(power) for power in range(math.floor(math.log10(top)) + 1)]
    plot.y_axis(decades, lambda power: f"{10**power:.0f}", "windows")
    for count, left, right in zip(counts, edges, edges[1:], strict=False):
        if count:
            plot.rectangle(
                (plot.x(left) + 0.5, plot.x(right) - 0.5),
                (plot.y(math.log10(count)), plot.bottom),
                "bar",
                f"{count} windows score {left:g} to {right:g}",
            )
    if expected is not None and len(found):
        points = [
            (left + _BIN / 2, len(found) * (expected(left) - expected(right)))
            for left, right in itertools.pairwise(edges.tolist())
        ]
        drawn = [(plot.x(score), plot.y(math.log10(n))) for score, n in points if n > 0.5]
        if drawn:
            plot.add(polyline(drawn, "expected"))
    return plot.svg(f"distribution of the {label}")


def timeline(
    curves: Iterable[Curve],
    *,
    seconds: float,
    low: float,
    high: float,
    unit: str,
    thresholds: Sequence[Threshold] = (),
    bands: Sequence[Band] = (),
    value_band: Band | None = None,
    boundaries: Sequence[float] = (),
    marks: Sequence[Mark] = (),
    height: int = 200,
) -> Markup:
    """Return values from ``low`` to ``high`` over the time of the recordings.

    ``bands`` are intervals of time, ``value_band`` one of the values; ``boundaries`` are the
    times at which one file ends and the next begins.
    """
    plot = _plot((0.0, seconds), (low, high), height)
    for band in bands:
        plot.rectangle((plot.x(band.low), plot.x(band.high)), (plot.top, plot.bottom), band.style)
    if value_band is not None:
        heights = plot.y(value_band.high), plot.y(value_band.low)
        plot.rectangle((plot.left, plot.right), heights, value_band.style)
    _draw_boundaries(plot, boundaries, "boundary")
    plot.x_axis(_time_ticks(seconds), _tick_clock, "time")
    plot.y_axis(_ticks(low, high), lambda value: f"{value:g}", unit)
    shown = [threshold for threshold in thresholds if low <= threshold.at <= high]
    for threshold in shown:
        plot.horizontal(threshold.at, threshold.style)
    for curve in curves:
        plot.add(*(polyline(points, curve.style) for points in _pieces(plot, curve)))
    for mark in marks:
        plot.add(
            element(
                "circle",
                element("title", text=mark.title),
                class_="outlier",
                cx=plot.x(mark.at_s),
                cy=plot.y(mark.value),
                r="4",
            )
        )
    for threshold in shown:  # last, so that no curve crosses the names
        plot.add(
            element(
                "text",
                class_=f"name {threshold.style}",
                x=plot.right - 4,
                y=plot.y(threshold.at) - 5,
                text_anchor="end",
                text=threshold.name,
            )
        )
    return plot.svg(f"{unit} over time")


def spectrogram(
    picture: str,
    *,
    seconds: float,
    bands_hz: Floats,
    boundaries: Sequence[float],
    height: int = 230,
) -> Markup:
    """Return a picture, given as a data URL, with axes of time and frequency.

    ``bands_hz`` (bands,) are the centre frequencies of its rows, the lowest first.
    """
    plot = _plot((0.0, seconds), (0.0, float(len(bands_hz))), height)
    plot.add(
        element(
            "image",
            href=picture,
            x=plot.left,
            y=plot.top,
            width=plot.right - plot.left,
            height=plot.bottom - plot.top,
            preserveAspectRatio="none",
        )
    )
    _draw_boundaries(plot, boundaries, "boundary over")
    ticks_hz = [hz for hz in (200, 500, 1000, 2000, 4000, 8000) if hz <= bands_hz[-1]]
    rows = [float(np.interp(hz, bands_hz, np.arange(len(bands_hz)) + 0.5)) for hz in ticks_hz]
    names = {
        row: f"{hz / 1000:g} kHz" if hz >= 1000 else f"{hz} Hz"
        for row, hz in zip(rows, ticks_hz, strict=True)
    }
    plot.x_axis(_time_ticks(seconds), _tick_clock, "time")
    plot.y_axis(rows, lambda row: names[row], "", grid=False)
    return plot.svg("spectrogram")


def _plot(x_range: Pair, y_range: Pair, height: int) -> PlotArea:
    return PlotArea(x_range, y_range, size=(WIDTH, height), margins=_MARGINS)


def _draw_boundaries(plot: PlotArea, boundaries: Sequence[float], style: str) -> None:
    if len(boundaries) <= _MAX_BOUNDARIES:
        for at in boundaries:
            plot.vertical(at, style)


def _pieces(plot: PlotArea, curve: Curve) -> list[list[Pair]]:
    """Return the points of each unbroken piece; of those in one column, only the highest."""
    times, values = curve.times_s, curve.values
    if not len(times):
        return []
    breaks = np.flatnonzero(np.diff(times) > curve.max_gap_s) + 1
    pieces = []
    for rows in np.split(np.arange(len(times)), breaks):
        columns = np.array([round(plot.x(times[row]) * 2) for row in rows])
        firsts = np.flatnonzero(np.diff(columns, prepend=columns[0] - 1))
        highest = np.maximum.reduceat(values[rows], firsts)
        pieces.append(
            [
                (float(columns[first]) / 2, plot.y(float(value)))
                for first, value in zip(firsts, highest, strict=True)
            ]
        )
    return pieces


def _tick_clock(seconds: float) -> str:
    return clock(seconds).removesuffix(".0")


def _ticks(low: float, high: float) -> list[float]:
    step = _round_up((high - low) / 5)
    return [n * step for n in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _time_ticks(seconds: float) -> list[float]:
    step = next((step for step in _TIME_STEPS_S if seconds / step <= 10), _TIME_STEPS_S[-1])
    ticks = [float(n * step) for n in range(int(seconds // step) + 1)]
    return [tick for tick in ticks if tick < 0.98 * seconds]


def _round_up(step: float) -> float:
    """Return the next 1, 2 or 5 times a power of ten."""
    scale = 10.0 ** math.floor(math.log10(max(step, 1e-9)))
    return next(factor * scale for factor in (1, 2, 5, 10) if factor * scale >= step * 0.999)
