"""The sentence of a package."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from asd_monitor.evidence.building import content_of
from asd_monitor.records import MachineGeometry
from tests.doubles.captured_alarm import RATE_HZ, SECONDS, captured_alarm, machine_sound

SHAFT_HZ = 25.0


def test_a_rate_is_named_by_the_geometry_of_the_machine() -> None:
    sound = machine_sound(SECONDS)
    time_s = np.arange(len(sound)) / RATE_HZ
    modulated = np.asarray(sound * (1.0 + 0.8 * np.sin(2 * np.pi * SHAFT_HZ * time_s)), np.float32)
    captured = captured_alarm(sound=modulated)
    assert "shaft" not in content_of(captured, None).sentence
    known = replace(captured, geometry=MachineGeometry(60.0 * SHAFT_HZ))
    assert "25.0 per second (1.00 × shaft speed)" in content_of(known, None).sentence
