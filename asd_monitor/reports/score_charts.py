"""Small charts of one machine as inline SVG: how its scores tell the classes apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from asd_monitor.metrics import MAX_FALSE_POSITIVES, roc

HEIGHT, TOP, BOTTOM, LEFT, RIGHT = 200, 14, 30, 34, 8
ROC_WIDTH, HISTOGRAM_WIDTH = 212, 330
BINS = 24


@dataclass(frozen=True, slots=True)
class Curve:
    """Clips of which one curve is drawn."""

    name: str
    style: str  # class in the page's style sheet
    anomalous: Sequence[bool]
    scores: Sequence[float]


def roc_chart(curves: Sequence[Curve]) -> str:
    """Return true over false positives, with the zone of the partial AUC and chance."""
    frame = _Frame(ROC_WIDTH)
    zone = frame.x(MAX_FALSE_POSITIVES) - LEFT
    body = [
        f'<rect class="held" x="{LEFT}" y="{TOP}" width="{zone:.1f}" height="{frame.high}">'
        f"<title>the zone of the partial AUC: false positives up to {MAX_FALSE_POSITIVES:g}</title>"
        "</rect>",
        *(frame.level(share, f"{share:g}") for share in (0.0, 0.5, 1.0)),
        *(frame.tick(share, f"{share:g}") for share in (MAX_FALSE_POSITIVES, 0.5, 1.0)),
        f'<polyline class="expected" points="{_points(frame, [0, 1], [0, 1])}"/>',
    ]
    for curve in curves:
        false, true = roc(curve.anomalous, curve.scores)
        points = _points(frame, false.tolist(), true.tolist())
        body.append(
            f'<polyline class="{curve.style}" points="{points}"><title>{escape(curve.name)}'
            "</title></polyline>"
        )
    return frame.svg(body, "false positives", "true positives")


def score_histogram(normal: Sequence[float], anomalous: Sequence[float], threshold: float) -> str:
    """Return how many clips of each class score what: anomalous above the line, normal below."""
    frame = _Frame(HISTOGRAM_WIDTH)
    every = np.array([*normal, *anomalous, threshold])
    low, high = float(every.min()), float(every.max())
    low = 0.0 if 0 <= low < 0.5 * high else low
    edges = np.linspace(low, high if high > low else low + 1.0, BINS + 1)
    counts = [np.histogram(scores, edges)[0] for scores in (anomalous, normal)]
    most = max(1, *(int(each.max()) for each in counts))
    middle, half = TOP + frame.high / 2, frame.high / 2 - 6
    width = frame.wide / BINS
    body = [
        f'<line class="grid" x1="{LEFT}" x2="{LEFT + frame.wide}" y1="{middle}" y2="{middle}"/>'
    ]
    for each, style, what, sign in zip(
        counts, ("mark", "calm"), ("anomalous", "normal"), (-1, 1), strict=True
    ):
        for at, count in enumerate(each.tolist()):
            if count:
                tall = half * count / most
                top = middle - tall if sign < 0 else middle
                body.append(
                    f'<rect class="{style}" x="{LEFT + at * width + 0.5:.1f}" y="{top:.1f}" '
                    f'width="{width - 1:.1f}" height="{tall:.1f}"><title>{count} {what}: '
                    f"{edges[at]:.3g} to {edges[at + 1]:.3g}</title></rect>"
                )
    x = frame.x((threshold - edges[0]) / (edges[-1] - edges[0]))
    body += [
        *(
            frame.tick(share, f"{edges[0] + share * (edges[-1] - edges[0]):.3g}")
            for share in (0.0, 0.5, 1.0)
        ),
        f'<line class="warning" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{TOP + frame.high}">'
        f"<title>threshold {threshold:.3g}</title></line>",
        *(
            f'<text class="tick" x="{LEFT - 6}" y="{y:.1f}" text-anchor="end">{most}</text>'
            for y in (middle - half + 4, middle + half + 4)
        ),
    ]
    return frame.svg(body, "fused score", "clips")


class _Frame:
    """A plot whose axes run from 0 to 1."""

    def __init__(self, width: int) -> None:
        self.width = width
        self.wide, self.high = width - LEFT - RIGHT, HEIGHT - TOP - BOTTOM

    def x(self, share: float) -> float:
        return LEFT + share * self.wide

    def y(self, share: float) -> float:
        return TOP + (1 - share) * self.high

    def level(self, share: float, name: str) -> str:
        y = self.y(share)
        return (
            f'<line class="grid" x1="{LEFT}" x2="{LEFT + self.wide}" y1="{y:.1f}" y2="{y:.1f}"/>'
            f'<text class="tick" x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{name}</text>'
        )

    def tick(self, share: float, name: str) -> str:
        anchor = "end" if share == 1 else "middle"
        return (
            f'<text class="tick" x="{self.x(share):.1f}" y="{TOP + self.high + 14}" '
            f'text-anchor="{anchor}">{escape(name)}</text>'
        )

    def svg(self, body: Sequence[str], label: str, upright: str) -> str:
        return (
            f'<svg viewBox="0 0 {self.width} {HEIGHT}" role="img" '
            f'aria-label="{escape(upright)} over {escape(label)}">'
            f'<text class="label" x="{LEFT}" y="9">{escape(upright)}</text>'
            f'{"".join(body)}<text class="label" x="{LEFT + self.wide / 2:.0f}" '
            f'y="{HEIGHT - 3}" text-anchor="middle">{escape(label)}</text></svg>'
        )


def _points(frame: _Frame, xs: Sequence[float], ys: Sequence[float]) -> str:
    return " ".join(f"{frame.x(x):.1f},{frame.y(y):.1f}" for x, y in zip(xs, ys, strict=True))
