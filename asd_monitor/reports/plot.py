"""Plots that stay legible at any width: a drawing that is stretched, and its text beside it.

All places are percent of the plot area, from its left and its top.  The template ``plot.html``
draws them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from xml.etree.ElementTree import Element, tostring

from markupsafe import Markup

from asd_monitor.reports.svg import element, polyline

Pair = tuple[float, float]
_WIDTH, _HEIGHT = 1000.0, 400.0


@dataclass(frozen=True, slots=True)
class Tick:
    """A name beside an axis."""

    at: float
    text: str
    style: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """A line across the plot area."""

    at: float
    style: str
    text: str = ""


@dataclass(frozen=True, slots=True)
class Box:
    """A marked place."""

    left: float
    top: float
    width: float
    height: float
    number: int
    title: str


@dataclass(frozen=True, slots=True)
class Plot:
    """A drawing with its axes."""

    alt: str
    image: str | None = None  # data URL
    drawing: Markup | None = None
    y_label: str = ""
    x_ticks: tuple[Tick, ...] = ()
    y_ticks: tuple[Tick, ...] = ()
    vertical: tuple[Line, ...] = ()
    horizontal: tuple[Line, ...] = ()
    boxes: tuple[Box, ...] = ()
    ticks_above: tuple[Tick, ...] = ()  # of events, such as impacts
    seconds: float = 0.0  # of a sound that can be played; 0: none
    style: str = ""


@dataclass(frozen=True, slots=True)
class Scale:
    """Values → percent of the plot area."""

    low: float
    high: float
    is_logarithmic: bool = False
    is_upright: bool = False
    """Whether it is the vertical axis, on which the highest value is on top."""

    def at(self, value: float) -> float:
        """Return the place of a value, limited to the plot area."""
        share = (self._of(value) - self._of(self.low)) / max(
            self._of(self.high) - self._of(self.low), 1e-9
        )
        share = min(1.0, max(0.0, share))
        return 100.0 * (1.0 - share if self.is_upright else share)

    def _of(self, value: float) -> float:
        return math.log(max(value, 1e-9)) if self.is_logarithmic else value


class Drawing:
    """Curves and areas, stretched to the plot area."""

    def __init__(self, x: Scale, y: Scale) -> None:
        self._x, self._y = x, y
        self._elements: list[Element] = []

    def curve(self, points: Iterable[Pair], style: str) -> None:
        """Draw a line; a value that is not finite breaks it."""
        for piece in _pieces(points):
            placed = [self._place(*point) for point in piece]
            self._elements.append(polyline(placed, style))

    def area(self, low: Sequence[Pair], high: Sequence[Pair], style: str) -> None:
        """Draw the area between two curves."""
        outline = [self._place(*point) for point in (*low, *reversed(high))]
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in outline)
        self._elements.append(element("polygon", class_=style, points=points))

    def rectangle(self, x: Pair, style: str) -> None:
        """Draw an interval of the horizontal axis over the whole height."""
        left, right = (self._x.at(value) * _WIDTH / 100.0 for value in x)
        self._elements.append(
            element("rect", class_=style, x=left, y=0.0, width=right - left, height=_HEIGHT)
        )

    def svg(self) -> Markup:
        """Return the drawing."""
        root = element(
            "svg",
            *self._elements,
            viewBox=f"0 0 {_WIDTH:.0f} {_HEIGHT:.0f}",
            preserveAspectRatio="none",
            aria_hidden="true",
        )
        return Markup(tostring(root, encoding="unicode"))  # noqa: S704 - ElementTree escapes

    def _place(self, x: float, y: float) -> Pair:
        return self._x.at(x) * _WIDTH / 100.0, self._y.at(y) * _HEIGHT / 100.0


def round_ticks(low: float, high: float, most: int) -> list[float]:
    """Return round values from low to high, ``most`` at most."""
    least = max((high - low) / max(1, most), 1e-9)
    scale = 10.0 ** math.floor(math.log10(least))
    step = next(factor * scale for factor in (1, 2, 5, 10) if factor * scale >= least * 0.999)
    return [
        n * step for n in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)
    ]


def hertz_ticks(low_hz: float, high_hz: float, per_decade: int = 4) -> list[tuple[float, str]]:
    """Return frequencies with their names: four or three a decade."""
    hertz: tuple[int, ...] = (50, 100, 200, 500, 1000, 2000, 4000, 8000, 16_000)
    if per_decade == 3:
        hertz = (50, 100, 300, 1000, 3000, 10_000)
    return [
        (float(hz), f"{hz / 1000:g} kHz" if hz >= 1000 else f"{hz} Hz")
        for hz in hertz
        if low_hz <= hz <= high_hz
    ]


def _pieces(points: Iterable[Pair]) -> list[list[Pair]]:
    pieces: list[list[Pair]] = [[]]
    for x, y in points:
        if math.isfinite(y):
            pieces[-1].append((x, y))
        elif pieces[-1]:
            pieces.append([])
    return [piece for piece in pieces if piece]
