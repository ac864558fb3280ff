"""Charts: axes, names and the places of values."""

import re
from xml.etree import ElementTree

import numpy as np
import pytest

from asd_monitor.reports.evaluation_charts import RocCurve, roc_chart, score_histogram
from asd_monitor.reports.training_charts import (
    WIDTH,
    Curve,
    Mark,
    Threshold,
    histogram,
    timeline,
)


@pytest.mark.parametrize("seconds", [10.5, 61.5, 183.0, 5_400.0, 36_500.0, 367_000.0])
def test_all_tick_names_are_inside_the_drawing(seconds: float) -> None:
    drawn = timeline([], seconds=seconds, low=0.0, high=1.0, unit="score")
    drawn += histogram([1.0], high=12.0, label="score")
    ticks = re.findall(r'class="tick" x="([\d.]+)"[^>]*text-anchor="(\w+)">([^<]+)<', drawn)
    assert len(ticks) > 10
    for x, anchor, name in ticks:
        width = {"middle": 0.5, "end": 0.0}[anchor] * 6 * len(name)
        assert float(x) + width <= WIDTH


def test_the_name_of_a_threshold_is_drawn_over_the_curves() -> None:
    curve = Curve(np.arange(10.0), np.full(10, 2.1), "score")
    thresholds = [Threshold(2.0, "warning 2.00", "warning")]
    drawn = timeline([curve], seconds=10.0, low=0.0, high=3.0, unit="score", thresholds=thresholds)
    assert drawn.index(">warning 2.00<") > drawn.index("<polyline")


def test_a_gap_breaks_a_curve() -> None:
    curve = Curve(np.array([0.0, 1.0, 2.0, 9.0]), np.ones(4), "score", max_gap_s=2.0)
    drawn = timeline([curve], seconds=10.0, low=0.0, high=2.0, unit="score")
    assert drawn.count("<polyline") == 2


def test_text_is_escaped_and_the_drawing_well_formed() -> None:
    drawn = timeline(
        [], seconds=10.0, low=0.0, high=1.0, unit="<dB>", marks=[Mark(5.0, 0.5, "<one> & two")]
    )
    root = ElementTree.fromstring(str(drawn))  # noqa: S314 - our own drawing
    assert [title.text for title in root.iter("title")] == ["<one> & two"]


def test_roc_curves_end_in_the_corners() -> None:
    chart = roc_chart([RocCurve("all", "score", [False, True, True], [1.0, 0.5, 2.0])])
    [points] = re.findall(r'<polyline class="score" points="([^"]+)"', chart)
    first, *_, last = points.split()
    assert (first, last) == ("34.0,170.0", "204.0,14.0")


def test_the_score_histogram_contains_every_clip() -> None:
    chart = score_histogram([1.0, 1.1, 5.0], [2.0] * 4, 3.0)
    counted = [int(n) for n in re.findall(r"<title>(\d+) (?:normal|anomalous)", chart)]
    assert sum(counted) == 7
    assert "threshold 3" in chart
    assert "nan" not in score_histogram([1.0], [1.0], 1.0)
