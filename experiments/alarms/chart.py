"""Line charts of measurements as SVG files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from asd_monitor.reports.svg import Margins, Pair, PlotArea, element, polyline

WIDTH, HEIGHT = 720, 340
_MARGINS = Margins(left=56, right=190, top=30, bottom=40)
_COLOURS = ("#1f6fb4", "#d1782a", "#3a8f4d", "#a13fa0", "#777", "#b8332f", "#2aa3a3", "#8a6d1f")
_STYLE = (
    "text{font:13px sans-serif;fill:#444}.grid{stroke:#ddd}.title{font-weight:bold}"
    ".plot{fill:#fff}.line{fill:none;stroke-width:2}.limit{stroke:#b8332f;stroke-dasharray:4 3}"
)


@dataclass(frozen=True, slots=True)
class Line:
    """A named line through points."""

    name: str
    points: Sequence[Pair]


@dataclass(frozen=True, slots=True)
class Axis:
    """The range, ticks and label of an axis."""

    low: float
    high: float
    ticks: Sequence[float]
    label: str
    name: Callable[[float], str] = "{:g}".format


def line_chart(title: str, x: Axis, y: Axis, lines: Sequence[Line], limit: float | None) -> str:
    """Return a chart as the text of an SVG file.

    Args:
        title: what it shows; also read by screen readers.
        x: the horizontal axis.
        y: the vertical axis.
        lines: at most eight.
        limit: a horizontal line is drawn at this value; None: none.

    """
    area = PlotArea((x.low, x.high), (y.low, y.high), size=(WIDTH, HEIGHT), margins=_MARGINS)
    area.add(element("style", text=_STYLE))
    area.add(element("rect", class_="plot", width=WIDTH, height=HEIGHT))
    area.add(element("text", class_="title", x=area.left, y=14, text=title))
    area.y_axis(y.ticks, y.name, "")
    area.x_axis(x.ticks, x.name, f"{x.label};  vertical: {y.label}")
    if limit is not None:
        area.horizontal(limit, "limit")
    for number, (line, colour) in enumerate(zip(lines, _COLOURS, strict=False)):
        drawn = polyline([(area.x(at), area.y(value)) for at, value in line.points], "line")
        drawn.set("style", f"stroke:{colour}")
        key = area.top + 8 + 18 * number
        mark = element("line", x1=area.right + 10, x2=area.right + 28, y1=key, y2=key)
        mark.set("style", f"stroke:{colour};stroke-width:2")
        area.add(drawn, mark)
        area.add(element("text", x=area.right + 34, y=key + 4, text=line.name))
    svg = str(area.svg(title))
    return svg.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1) + "\n"
