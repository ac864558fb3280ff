"""Operating modes: found where a valley separates them, and no steady machine is split."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asd_monitor.detector.back_end import Vectors
from asd_monitor.detector.detector import SPECTRUM
from asd_monitor.detector.modes import (
    MAX_MODES,
    MIN_WINDOWS,
    VALLEY_DB,
    OperatingModes,
    find_modes,
)
from asd_monitor.detector.views import vectors_of
from asd_monitor.dsp.front_end import front_end_for
from asd_monitor.features.windows import Window
from asd_monitor.pipeline import WindowExtractor
from asd_monitor.synthesis.families import FAMILIES, draw_machine
from asd_monitor.synthesis.machine_spec import MachineSpec, OperatingCondition
from asd_monitor.synthesis.rendering import render
from tests.doubles.blocks import block_at

FRONT_END = front_end_for(16_000)
BANDS = 12


def spectra_at(*levels_db: tuple[float, int], spread_db: float = 0.5, seed: int = 0) -> Vectors:
    """Return log10 spectra (n, BANDS) about so many windows at each level."""
    rng = np.random.default_rng(seed)
    rows = [rng.normal(level_db, spread_db, (n, BANDS)) for level_db, n in levels_db]
    return (np.concatenate(rows) / 10.0).astype(np.float32)


def windows_of(spec: MachineSpec, condition: OperatingCondition | None = None) -> list[Window]:
    """Return the windows of 45 s of a machine, in one operating condition or a random one."""
    fixed = spec if condition is None else replace(spec, conditions=(condition,))
    sound = render(fixed, 45.0, np.random.default_rng(7))
    return WindowExtractor(FRONT_END).push(block_at(0, sound))


@pytest.mark.parametrize("family", FAMILIES)
def test_one_operating_condition_is_one_mode(family: str) -> None:
    spec = draw_machine(family, np.random.default_rng(3))
    assert len(find_modes(vectors_of(windows_of(spec), SPECTRUM))) == 1


def test_two_operating_conditions_of_a_machine_are_two_modes() -> None:
    spec = draw_machine("pump", np.random.default_rng(3))
    full = vectors_of(windows_of(spec, OperatingCondition(1.0, 1.0)), SPECTRUM)
    light = vectors_of(windows_of(spec, OperatingCondition(0.6, 0.15)), SPECTRUM)
    modes = find_modes(np.concatenate([full, light]))
    assert len(modes) == 2
    assert (modes.of(light) == 0).all(), "the quieter mode is the first"
    assert (modes.of(full) == 1).all()


@given(st.integers(0, 50), st.integers(MIN_WINDOWS, 200), st.integers(MIN_WINDOWS, 200))
def test_clusters_are_modes_whatever_their_order(seed: int, first: int, second: int) -> None:
    spectra = spectra_at((-60.0, first), (-50.0, second), seed=seed)
    shuffled = np.random.default_rng(seed).permutation(spectra)
    modes = find_modes(shuffled)
    assert len(modes) == 2
    assert np.bincount(modes.of(spectra)).tolist() == [first, second]


@pytest.mark.parametrize(
    "clusters",
    [
        [(-60.0, 300)],
        [(-60.0, 300), (-60.0 + VALLEY_DB / 2, 300)],  # close together
        [(-60.0, 300), (-50.0, MIN_WINDOWS - 1)],  # too few windows
        [(-60.0, 1000), (-50.0, 80)],  # too small a share
    ],
)
def test_without_a_valley_there_is_one_mode(clusters: list[tuple[float, int]]) -> None:
    assert len(find_modes(spectra_at(*clusters))) == 1


def test_a_steady_drift_is_one_mode() -> None:
    drift = np.linspace(0.0, 2.0, 400)[:, None].astype(np.float32)
    assert len(find_modes(spectra_at((-60.0, 400)) + drift)) == 1


def test_several_modes_are_found_up_to_a_limit() -> None:
    for count in (3, 4, 6):
        levels = [(-80.0 + 8.0 * number, 150) for number in range(count)]
        assert len(find_modes(spectra_at(*levels))) == min(count, MAX_MODES)


@pytest.mark.parametrize("n", [1, 2, 2 * MIN_WINDOWS - 1])
def test_few_windows_are_one_mode(n: int) -> None:
    assert len(find_modes(spectra_at((-60.0, n // 2), (-20.0, n - n // 2)))) == 1


def test_constant_spectra_are_one_mode() -> None:
    assert len(find_modes(np.full((200, BANDS), -6.0, np.float32))) == 1


def test_modes_are_restored_from_json_exactly() -> None:
    spectra = spectra_at((-60.0, 100), (-50.0, 100))
    modes = find_modes(spectra)
    restored = OperatingModes.from_json(modes.to_json(), BANDS)
    assert np.array_equal(restored.centres, modes.centres)
    one = find_modes(spectra_at((-60.0, 100)))
    assert one.to_json() == []
    assert len(OperatingModes.from_json([], BANDS)) == 1


@pytest.mark.parametrize(
    "centres",
    [
        [[-6.0] * BANDS],  # one: stored as none
        [[-6.0] * BANDS, [-5.0] * (BANDS + 1)],
        [[-6.0] * (BANDS + 1)] * 2,
        [[-6.0] * BANDS] * (MAX_MODES + 1),
        [[-6.0] * BANDS, [1e39] * BANDS],
        [-6.0, -5.0],
    ],
)
def test_other_modes_are_refused(centres: list[list[float]]) -> None:
    with pytest.raises(ValueError, match=r"modes|shape"), np.errstate(over="ignore"):
        OperatingModes.from_json(centres, BANDS)
