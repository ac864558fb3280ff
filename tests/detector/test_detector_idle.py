"""The idle region: found only where a valley separates it from the running machine."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asd_monitor.detector.fit import fit_detector, without_idle
from asd_monitor.detector.idle import MARGIN_ABOVE_DB, MARGIN_BELOW_DB, VALLEY_SHARE, idle_region
from asd_monitor.dsp.front_end import front_end_for
from asd_monitor.features.windows import Window
from asd_monitor.pipeline import WindowExtractor
from tests.doubles.blocks import block_at
from tests.doubles.synthetic_sounds import machine_sound

FRONT_END = front_end_for(16_000)


def windows_of(sound: np.ndarray) -> list[Window]:
    return WindowExtractor(FRONT_END).push(block_at(0, sound))


def levels_of(rng: np.random.Generator, *parts: tuple[float, float, int]) -> np.ndarray:
    return np.concatenate([rng.normal(mean, spread, n) for mean, spread, n in parts])


@given(st.integers(0, 100), st.integers(40, 300), st.integers(100, 600))
def test_the_lowest_cluster_below_a_valley_is_idle(seed: int, off: int, running: int) -> None:
    rng = np.random.default_rng(seed)
    levels = levels_of(rng, (-70, 0.5, off), (-40, 1.0, running))
    region = idle_region(rng.permutation(levels))
    assert region is not None
    low, high = region
    quiet = levels[:off]
    assert low == pytest.approx(quiet.min() - MARGIN_BELOW_DB)
    assert high <= quiet.max() + MARGIN_ABOVE_DB
    assert np.mean((quiet >= low) & (quiet <= high)) > 1 - 2 * VALLEY_SHARE * len(levels) / off
    assert not ((levels[off:] >= low) & (levels[off:] <= high)).any()


@pytest.mark.parametrize(
    "parts",
    [
        ((-40, 1.0, 500),),  # always running
        ((-46, 0.5, 200), (-42, 0.5, 300)),  # two operating points, close together
        ((-70, 0.5, 5), (-40, 1.0, 500)),  # too few quiet windows
        ((-70, 0.5, 500), (-40, 1.0, 20)),  # hardly ever running
    ],
)
def test_without_a_valley_there_is_no_idle_region(
    parts: tuple[tuple[float, float, int], ...],
) -> None:
    assert idle_region(levels_of(np.random.default_rng(3), *parts)) is None
    assert idle_region([]) is None


def test_a_detector_is_fitted_to_the_running_windows_and_marks_the_others_idle() -> None:
    on, off = machine_sound(30.0), machine_sound(15.0, gain=0.0005, seed=5)
    windows = [windows_of(on), windows_of(off), windows_of(machine_sound(30.0, seed=6))]
    fitted = fit_detector(windows, FRONT_END, 16_000)
    detector = fitted.detector
    assert detector.idle_dbfs is not None
    running = [len(windows[0]), 0, len(windows[2])]
    assert [len(kept) for kept in without_idle(windows, detector.idle_dbfs)] == running
    assert [len(kept) for kept in fitted.running] == running
    assert all(w.idle for w in detector.score(windows[1]))
    assert not any(w.idle for w in detector.score(windows[0]))


def test_a_detector_without_idle_region_marks_no_window_idle() -> None:
    detector = fit_detector([windows_of(machine_sound(30.0))], FRONT_END, 16_000).detector
    assert detector.idle_dbfs is None
    assert not detector.is_idle(-120.0)
