"""The growth of processor time as an SVG of two plots with logarithmic axes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import Any

WIDTH, HEIGHT = 920, 380
LEFT, TOP, BOTTOM, GAP = 64, 40, 50, 70
_STYLE = (
    "text{font:13px sans-serif;fill:#444}.title{font-weight:bold}.grid{stroke:#ddd}"
    ".points{fill:#1f6fb4}.fit{stroke:#1f6fb4;fill:none;stroke-width:1.5}"
    "rect{fill:#fff}"
)


def growth_svg(growth: dict[str, Any]) -> str:
    """Return the plots of the figures of `growth.run`."""
    width = (WIDTH - 2 * LEFT - GAP + 40) // 2
    panels = [
        _plot(growth["machines"], LEFT, width, "machines, 4 s of each"),
        _plot(growth["seconds"], LEFT + width + GAP, width, "seconds of sound, one machine"),
    ]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="processor seconds over machines and over seconds of sound">'
        f'<style>{_STYLE}</style><rect width="{WIDTH}" height="{HEIGHT}"/>{"".join(panels)}</svg>\n'
    )


def _plot(found: dict[str, Any], left: int, width: int, label: str) -> str:
    points: Sequence[tuple[float, float]] = found["points"]
    slope: float = found["slope"]
    xs, ys = [math.log10(x) for x, _ in points], [math.log10(y) for _, y in points]
    low_x, high_x = min(xs) - 0.1, max(xs) + 0.1
    low_y, high_y = math.floor(min(ys)), math.ceil(max(ys))
    bottom = HEIGHT - BOTTOM

    def at(x: float, y: float) -> tuple[float, float]:
        across = left + width * (x - low_x) / (high_x - low_x)
        return across, bottom - (bottom - TOP) * (y - low_y) / max(1, high_y - low_y)

    parts = [f'<text class="title" x="{left}" y="20">CPU-s, slope {slope:.3f}</text>']
    for decade in range(low_y, high_y + 1):
        _, y = at(low_x, decade)
        parts.append(
            f'<line class="grid" x1="{left}" x2="{left + width}" y1="{y:.1f}" y2="{y:.1f}"/>'
        )
        parts.append(
            f'<text x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">{10.0**decade:g}</text>'
        )
    for point, log_x in zip(points, xs, strict=True):
        x, _ = at(log_x, low_y)
        parts.append(
            f'<text x="{x:.1f}" y="{bottom + 18}" text-anchor="middle">{point[0]:g}</text>'
        )
    parts.append(
        f'<text x="{left + width}" y="{HEIGHT - 8}" text-anchor="end">{escape(label)}</text>'
    )
    middle_x, middle_y = sum(xs) / len(xs), sum(ys) / len(ys)
    ends = [at(x, middle_y + slope * (x - middle_x)) for x in (min(xs), max(xs))]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in ends)
    parts.append(f'<polyline class="fit" points="{line}"/>')
    for log_x, log_y, (_, spent) in zip(xs, ys, points, strict=True):
        x, y = at(log_x, log_y)
        parts.append(
            f'<circle class="points" cx="{x:.1f}" cy="{y:.1f}" r="4"><title>{spent:.3g} s</title>'
            "</circle>"
        )
    return "".join(parts)
