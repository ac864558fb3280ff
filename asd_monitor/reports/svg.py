"""SVG elements, and the axes that all charts share.

Charts are inline SVG whose colours come from the style sheet of the page, in light and dark.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from xml.etree.ElementTree import Element, tostring

from markupsafe import Markup

Pair = tuple[float, float]


def element(
    tag: str, *children: Element, text: str | None = None, **attributes: str | float
) -> Element:
    """Return an element; lengths are rounded to 0.1, underscores in names stand for hyphens.

    A trailing underscore, as in ``class_``, is dropped.
    """
    named = {
        name.rstrip("_").replace("_", "-"): value if isinstance(value, str) else f"{value:.1f}"
        for name, value in attributes.items()
    }
    created = Element(tag, named)
    created.text = text
    created.extend(children)
    return created


def polyline(points: Sequence[Pair], style: str, title: str | None = None) -> Element:
    """Return a line through the points; a single point is drawn one unit wide."""
    if len(points) == 1:
        [(x, y)] = points
        points = [(x - 0.5, y), (x + 0.5, y)]
    drawn = element(
        "polyline", class_=style, points=" ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    )
    if title is not None:
        drawn.append(element("title", text=title))
    return drawn


@dataclass(frozen=True, slots=True)
class Margins:
    """Space around the plot area for ticks and labels."""

    left: int
    right: int
    top: int
    bottom: int


class PlotArea:
    """A drawing with linear axes; collects its elements."""

    def __init__(
        self,
        x_range: tuple[float, float],
        y_range: tuple[float, float],
        *,
        size: tuple[int, int],
        margins: Margins,
    ) -> None:
        """``size`` is (width, height) of the drawing, margins included."""
        self._width, self._height = size
        self._x_range, self._y_range = x_range, y_range
        self.left, self.right = margins.left, self._width - margins.right
        self.top, self.bottom = margins.top, self._height - margins.bottom
        self._elements: list[Element] = []

    def x(self, value: float) -> float:
        """Return the horizontal place of a value."""
        low, high = self._x_range
        return self.left + (value - low) / max(high - low, 1e-9) * (self.right - self.left)

    def y(self, value: float) -> float:
        """Return the vertical place of a value, limited to the plot area."""
        low, high = self._y_range
        share = (value - low) / max(high - low, 1e-9)
        return self.bottom - min(1.0, max(0.0, share)) * (self.bottom - self.top)

    def add(self, *elements: Element) -> None:
        """Draw elements on top of those before."""
        self._elements += elements

    def rectangle(self, x: Pair, y: Pair, style: str, title: str = "") -> None:
        """Draw a rectangle over two intervals of places, not values."""
        (left, right), (top, bottom) = sorted(x), sorted(y)
        drawn = element(
            "rect", class_=style, x=left, y=top, width=right - left, height=bottom - top
        )
        if title:
            drawn.append(element("title", text=title))
        self.add(drawn)

    def vertical(self, at: float, style: str, title: str = "") -> None:
        """Draw a line over the whole height at a value of the horizontal axis."""
        x = self.x(at)
        drawn = element("line", class_=style, x1=x, x2=x, y1=self.top, y2=self.bottom)
        if title:
            drawn.append(element("title", text=title))
        self.add(drawn)

    def horizontal(self, at: float, style: str) -> None:
        """Draw a line over the whole width at a value of the vertical axis."""
        y = self.y(at)
        self.add(element("line", class_=style, x1=self.left, x2=self.right, y1=y, y2=y))

    def x_axis(self, ticks: Iterable[float], name: Callable[[float], str], label: str) -> None:
        """Draw tick names and the label of the horizontal axis."""
        for tick in ticks:
            x = self.x(tick)
            anchor = "end" if x > self.right - 1 else "middle"
            self.add(
                element(
                    "text",
                    class_="tick",
                    x=x,
                    y=self.bottom + 14,
                    text_anchor=anchor,
                    text=name(tick),
                )
            )
        self.add(
            element(
                "text",
                class_="label",
                x=(self.left + self.right) / 2,
                y=self._height - 3,
                text_anchor="middle",
                text=label,
            )
        )

    def y_axis(
        self, ticks: Iterable[float], name: Callable[[float], str], label: str, *, grid: bool = True
    ) -> None:
        """Draw tick names, grid lines and the label of the vertical axis."""
        for tick in ticks:
            if grid:
                self.horizontal(tick, "grid")
            self.add(
                element(
                    "text",
                    class_="tick",
                    x=self.left - 6,
                    y=self.y(tick) + 4,
                    text_anchor="end",
                    text=name(tick),
                )
            )
        self.add(element("text", class_="label", x=self.left, y=self.top - 5, text=label))

    def svg(self, description: str) -> Markup:
        """Return the drawing; screen readers read the description."""
        root = element(
            "svg",
            *self._elements,
            viewBox=f"0 0 {self._width} {self._height}",
            role="img",
            aria_label=description,
        )
        return Markup(tostring(root, encoding="unicode"))  # noqa: S704 - ElementTree escapes
