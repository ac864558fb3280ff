"""Rendering of synthetic machines and simulated faults."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asd_monitor.synthesis.families import FAMILIES, draw_machine
from asd_monitor.synthesis.faults import KINDS, kinds_for, with_fault
from asd_monitor.synthesis.machine_spec import MachineSpec
from asd_monitor.synthesis.rendering import render
from asd_monitor.synthesis.rotation import order_positions


def machine(family: str, seed: int = 1) -> MachineSpec:
    return draw_machine(family, np.random.default_rng(seed))


def recording(spec: MachineSpec, seconds: float = 2.0, seed: int = 2) -> np.ndarray:
    return render(spec, seconds, np.random.default_rng(seed))


def level_db(sound: np.ndarray) -> float:
    return float(10.0 * np.log10(np.mean(sound.astype(np.float64) ** 2)))


@settings(max_examples=25, deadline=None)
@given(
    family=st.sampled_from(FAMILIES),
    seed=st.integers(0, 10_000),
    seconds=st.floats(0.05, 3.0),
    rate_hz=st.sampled_from([8000, 16000, 48000]),
)
def test_rendering_gives_the_requested_shape_within_full_scale(
    family: str, seed: int, seconds: float, rate_hz: int
) -> None:
    sound = render(machine(family, seed), seconds, np.random.default_rng(seed), rate_hz)
    assert sound.dtype == np.float32
    assert sound.shape == (round(seconds * rate_hz),)
    assert np.isfinite(sound).all()
    assert np.abs(sound).max() <= 1.0
    assert np.ptp(sound) > 0.0


@pytest.mark.parametrize("family", FAMILIES)
def test_rendering_is_determined_by_the_seed(family: str) -> None:
    spec = machine(family)
    first, again, other = recording(spec), recording(spec), recording(spec, seed=3)
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    assert level_db(first) == pytest.approx(level_db(other), abs=8.0)


@pytest.mark.parametrize("family", FAMILIES)
def test_level_is_near_that_of_the_specification(family: str) -> None:
    spec = machine(family)
    assert level_db(recording(spec, 10.0)) == pytest.approx(spec.level_dbfs, abs=10.0)


@pytest.mark.parametrize("family", FAMILIES)
def test_severity_0_leaves_the_recording_unchanged_and_severity_1_changes_it(family: str) -> None:
    spec = machine(family)
    healthy = recording(spec)
    assert kinds_for(spec)
    for kind in kinds_for(spec):
        np.testing.assert_array_equal(recording(with_fault(spec, kind, 0.0)), healthy)
        gross = recording(with_fault(spec, kind, 1.0))
        assert not np.array_equal(gross, healthy), kind


@pytest.mark.parametrize("kind", ["bearing", "leak", "squeal", "rub", "loose", "imbalance"])
def test_the_level_of_a_fault_grows_with_its_severity(kind: str) -> None:
    spec = machine("fan", 4)
    healthy = recording(spec, 4.0).astype(np.float64)
    added = [
        level_db(recording(with_fault(spec, kind, severity), 4.0) - healthy)
        for severity in (0.1, 0.4, 0.7, 1.0)
    ]
    assert added == sorted(added)
    assert added[-1] > added[0] + 15.0


def test_a_growing_fault_starts_inaudible_and_ends_gross() -> None:
    spec = with_fault(machine("gearbox"), "leak", 1.0)
    sound = render(spec, 8.0, np.random.default_rng(1), growth=lambda at_s: at_s / 8.0)
    steady = render(machine("gearbox"), 8.0, np.random.default_rng(1))
    assert level_db(sound[:8000]) == pytest.approx(level_db(steady[:8000]), abs=1.5)
    assert level_db(sound[-8000:]) > level_db(steady[-8000:]) + 2.0


def test_the_spectrum_has_a_line_at_the_shaft_speed() -> None:
    spec = machine("motor", 5)
    sound = recording(spec, 8.0)
    power = np.abs(np.fft.rfft(sound * np.hanning(len(sound)))) ** 2
    hz = np.fft.rfftfreq(len(sound), 1 / 16000)
    near = np.abs(hz - spec.speed_hz * spec.conditions[0].speed) < 0.03 * spec.speed_hz
    around = np.abs(hz - 1.5 * spec.speed_hz) < 0.03 * spec.speed_hz
    assert power[near].max() > 20.0 * power[around].max()


def test_impossible_faults_are_refused() -> None:
    with pytest.raises(ValueError, match="gear_tooth"):
        with_fault(machine("fan"), "gear_tooth", 0.5)
    with pytest.raises(ValueError, match="from 0 to 1"):
        with_fault(machine("fan"), "leak", 1.5)
    with pytest.raises(ValueError, match="no family"):
        draw_machine("rocket", np.random.default_rng(1))


def test_every_kind_of_fault_is_possible_in_some_family() -> None:
    assert {kind for family in FAMILIES for kind in kinds_for(machine(family))} == set(KINDS)


@given(st.floats(0.3, 9.0), st.floats(0.0, 1.0))
def test_order_positions_are_evenly_spaced_at_constant_speed(order: float, phase: float) -> None:
    angle = np.arange(16000, dtype=np.float64) * (20.0 / 16000)
    positions = order_positions(angle, order, phase)
    assert abs(len(positions) - 20.0 * order) <= 1.0
    np.testing.assert_allclose(np.diff(positions), 16000 / (20.0 * order), rtol=1e-6)
