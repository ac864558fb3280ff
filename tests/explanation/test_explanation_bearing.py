"""The rates of a bearing."""

from __future__ import annotations

import numpy as np
import pytest

from asd_monitor.explanation.bearing import part_orders, rate_source
from asd_monitor.explanation.explain import explain
from asd_monitor.explanation.findings import Finding, FindingKind
from asd_monitor.explanation.sentence import text_of
from asd_monitor.explanation.sound_profile import SoundProfile
from asd_monitor.records import Bearing, MachineGeometry
from tests.explanation.conftest import RATE_HZ, impacts, machine_sound

# 6205: 9 balls of 7.94 mm, 39.04 mm; the published orders are 3.585, 5.415, 2.357 and 0.398
BEARING = Bearing(9, 7.94, 39.04)
MACHINE = MachineGeometry(1750.0, BEARING)


@pytest.mark.parametrize(
    ("part", "order"),
    [("outer race", 3.585), ("inner race", 5.415), ("ball", 2.357), ("cage", 0.398)],
)
def test_the_orders_are_those_published(part: str, order: float) -> None:
    assert part_orders(BEARING)[part] == pytest.approx(order, abs=2e-3)


@pytest.mark.parametrize("part", ["outer race", "inner race", "ball", "cage"])
@pytest.mark.parametrize("slip", [0.98, 1.0, 1.02])
def test_a_rate_is_named_within_its_slip(part: str, slip: float) -> None:
    source = rate_source(slip * part_orders(BEARING)[part] * MACHINE.shaft_hz, MACHINE)
    assert source is not None
    assert (source.part, source.multiple) == (part, 1)


def test_a_multiple_of_the_shaft_is_the_shaft() -> None:
    source = rate_source(2.0 * MACHINE.shaft_hz, MACHINE)
    assert source is not None
    assert (source.part, source.multiple) == ("shaft", 2)


def test_another_rate_has_no_source() -> None:
    assert rate_source(2.7 * MACHINE.shaft_hz, MACHINE) is None


def test_impacts_are_said_with_their_part() -> None:
    found = Finding(FindingKind.IMPACTS, 5.0, 2000.0, 4000.0, rate_hz=3.585 * MACHINE.shaft_hz)
    text = text_of(found, MACHINE)
    assert "(3.58 × shaft speed: outer race)" in text or "(3.59 × shaft speed" in text


def test_without_a_bearing_only_the_shaft_is_named() -> None:
    shaft = MachineGeometry(1750.0)
    outer_hz = part_orders(BEARING)["outer race"] * shaft.shaft_hz
    assert rate_source(outer_hz, shaft) is None
    found = Finding(FindingKind.MODULATION, 5.0, 2000.0, 4000.0, rate_hz=shaft.shaft_hz)
    assert "(1.00 × shaft speed)" in text_of(found, shaft)


def test_the_reason_names_the_part_whose_rate_the_impacts_have(profile: SoundProfile) -> None:
    rate_hz = part_orders(BEARING)["outer race"] * 25.0
    sound = machine_sound(8.0, 77)
    sound += impacts(len(sound), np.arange(0.1, 7.9, 1.0 / rate_hz), 3300.0, seed=3, peak=0.05)
    reason = explain(
        profile, sound.astype(np.float32), RATE_HZ, {}, geometry=MachineGeometry(1500.0, BEARING)
    )
    assert "× shaft speed: outer race" in reason.sentence
