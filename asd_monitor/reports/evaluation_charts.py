"""Charts of the evaluation report, for one machine: ROC curve and scores of both classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from asd_monitor.metrics import MAX_FALSE_POSITIVES, roc
from asd_monitor.reports.svg import Margins, PlotArea, polyline

_HEIGHT = 200
_MARGINS = Margins(left=34, right=8, top=14, bottom=30)
_ROC_WIDTH, _HISTOGRAM_WIDTH = 212, 330
_BINS = 24


@dataclass(frozen=True, slots=True)
class RocCurve:
    """The clips of one ROC curve."""

    name: str
    style: str  # class in the style sheet
    anomalous: Sequence[bool]
    scores: Sequence[float]


def roc_chart(curves: Sequence[RocCurve]) -> Markup:
    """Return true over false positive rates, with chance and the range of the partial AUC."""
    plot = PlotArea((0.0, 1.0), (0.0, 1.0), size=(_ROC_WIDTH, _HEIGHT), margins=_MARGINS)
    plot.rectangle(
        (plot.left, plot.x(MAX_FALSE_POSITIVES)),
        (plot.top, plot.bottom),
        "held-out",
        f"range of the partial AUC: false positive rates up to {MAX_FALSE_POSITIVES:g}",
    )
    plot.y_axis((0.0, 0.5, 1.0), lambda share: f"{share:g}", "true positive rate")
    plot.x_axis((MAX_FALSE_POSITIVES, 0.5, 1.0), lambda share: f"{share:g}", "false positive rate")
    plot.add(polyline([(plot.x(at), plot.y(at)) for at in (0.0, 1.0)], "expected"))
    for curve in curves:
        rates = zip(*(each.tolist() for each in roc(curve.anomalous, curve.scores)), strict=True)
        points = [(plot.x(false), plot.y(true)) for false, true in rates]
        plot.add(polyline(points, curve.style, curve.name))
    return plot.svg("true over false positive rate")


def score_histogram(
    normal: Sequence[float], anomalous: Sequence[float], threshold: float
) -> Markup:
    """Return the number of clips by score: anomalous ones upwards, normal ones downwards."""
    every = np.array([*normal, *anomalous, threshold])
    low, high = float(every.min()), float(every.max())
    low = 0.0 if 0 <= low < 0.5 * high else low
    edges = np.linspace(low, high if high > low else low + 1.0, _BINS + 1)
    up, down = (np.histogram(scores, edges)[0].tolist() for scores in (anomalous, normal))
    most = max(1, *up, *down)
    plot = PlotArea(
        (float(edges[0]), float(edges[-1])),
        (-1.08 * most, 1.08 * most),
        size=(_HISTOGRAM_WIDTH, _HEIGHT),
        margins=_MARGINS,
    )
    plot.horizontal(0.0, "grid")
    for sign, counts, name in ((1, up, "anomalous"), (-1, down, "normal")):
        for left, right, count in zip(edges[:-1], edges[1:], counts, strict=True):
            if count:
                plot.rectangle(
                    (plot.x(left) + 0.5, plot.x(right) - 0.5),
                    (plot.y(0.0), plot.y(sign * count)),
                    name,
                    f"{count} {name}: {left:.3g} to {right:.3g}",
                )
    middle = float(edges[0] + edges[-1]) / 2
    ticks = (float(edges[0]), middle, float(edges[-1]))
    plot.x_axis(ticks, lambda score: f"{score:.3g}", "fused score")
    plot.y_axis((-most, most), lambda count: f"{abs(count):g}", "clips", grid=False)
    plot.vertical(threshold, "warning", f"threshold {threshold:.3g}")
    return plot.svg("clips by fused score")
