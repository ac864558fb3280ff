"""The rates of a bearing."""

from __future__ import annotations

import pytest

from asd_monitor.explanation.bearing import BearingGeometry, rate_source
from asd_monitor.explanation.findings import Finding, FindingKind
from asd_monitor.explanation.sentence import text_of

# 6205: 9 balls of 7.94 mm, 39.04 mm; the published orders are 3.585, 5.415, 2.357 and 0.398
BEARING = BearingGeometry(1750.0, 9, 7.94, 39.04)


@pytest.mark.parametrize(
    ("part", "order"),
    [("outer race", 3.585), ("inner race", 5.415), ("ball", 2.357), ("cage", 0.398)],
)
def test_the_orders_are_those_published(part: str, order: float) -> None:
    assert BEARING.orders[part] == pytest.approx(order, abs=2e-3)


@pytest.mark.parametrize("part", ["outer race", "inner race", "ball", "cage"])
@pytest.mark.parametrize("slip", [0.98, 1.0, 1.02])
def test_a_rate_is_named_within_its_slip(part: str, slip: float) -> None:
    source = rate_source(slip * BEARING.orders[part] * BEARING.shaft_hz, BEARING)
    assert source is not None
    assert (source.part, source.multiple) == (part, 1)


def test_a_multiple_of_the_shaft_is_the_shaft() -> None:
    source = rate_source(2.0 * BEARING.shaft_hz, BEARING)
    assert source is not None
    assert (source.part, source.multiple) == ("shaft", 2)


def test_another_rate_has_no_source() -> None:
    assert rate_source(2.7 * BEARING.shaft_hz, BEARING) is None


def test_impacts_are_said_with_their_part() -> None:
    found = Finding(FindingKind.IMPACTS, 5.0, 2000.0, 4000.0, rate_hz=3.585 * BEARING.shaft_hz)
    text = text_of(found, BEARING)
    assert "(3.58 × shaft speed: outer race)" in text or "(3.59 × shaft speed" in text


@pytest.mark.parametrize(
    "dimensions",
    [
        (0.0, 9, 7.9, 39.0, 0.0),
        (1750.0, 2, 7.9, 39.0, 0.0),
        (1750.0, 9, 40.0, 39.0, 0.0),
        (1750.0, 9, 7.9, 39.0, 90.0),
        (float("nan"), 9, 7.9, 39.0, 0.0),
    ],
)
def test_dimensions_of_no_bearing_are_refused(
    dimensions: tuple[float, int, float, float, float],
) -> None:
    with pytest.raises(ValueError, match=r"bearing|shaft|angle"):
        BearingGeometry(*dimensions)
