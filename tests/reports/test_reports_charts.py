"""Charts that can be read."""

import re

import numpy as np
import pytest

from asd_monitor.reports.charts import WIDTH, Curve, Line, histogram, timeline


@pytest.mark.parametrize("seconds", [10.5, 61.5, 183.0, 5_400.0, 36_500.0, 367_000.0])
def test_no_tick_of_the_time_axis_leaves_the_drawing(seconds: float) -> None:
    drawn = timeline([], seconds=seconds, low=0.0, high=1.0, unit="score")
    drawn += histogram([1.0], highest=12.0, label="score")
    ticks = re.findall(r'class="tick" x="([\d.]+)"[^>]*text-anchor="(\w+)">([^<]+)<', drawn)
    for x, anchor, name in ticks:
        width = {"middle": 0.5, "end": 0.0}[anchor] * 6 * len(name)
        assert float(x) + width <= WIDTH


def test_a_curve_does_not_strike_out_the_name_of_a_threshold() -> None:
    curve = Curve(np.arange(10.0), np.full(10, 2.1), "strong")
    lines = [Line(2.0, "warning 2.00", "warning")]
    drawn = timeline([curve], seconds=10.0, low=0.0, high=3.0, unit="score", lines=lines)
    assert drawn.index(">warning 2.00<") > drawn.index("<polyline")
