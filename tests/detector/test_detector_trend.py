"""The linear trend of a recording."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asd_monitor.detector.trend import trend_of, without_trend

times = st.lists(st.integers(0, 100_000), min_size=2, max_size=60, unique=True)


@given(times, st.integers(0, 100))
def test_a_drift_is_removed_and_the_fluctuation_and_the_mean_kept(at: list[int], seed: int) -> None:
    """In any order, and with gaps."""
    times_s = np.array(at, np.float64)
    rng = np.random.default_rng(seed)
    steady = rng.normal(size=(len(at), 3)).astype(np.float32)
    drift = np.outer((times_s - times_s.mean()) / np.ptp(times_s), [5.0, 0.0, -2.0])
    drifting = (steady + drift).astype(np.float32)
    found = without_trend(drifting, times_s)
    assert found == pytest.approx(without_trend(steady, times_s), abs=1e-4)
    assert found.mean(0) == pytest.approx(drifting.mean(0), abs=1e-4)
    assert found.dtype == np.float32


def test_vectors_of_one_time_have_no_trend() -> None:
    vectors = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
    assert np.array_equal(without_trend(vectors, np.full(4, 7.0)), vectors)


@given(st.floats(-100, 100), st.integers(2, 100))
def test_the_change_of_a_straight_line_is_that_from_first_to_last(change: float, n: int) -> None:
    found, share = trend_of(3.0 + np.linspace(0.0, change, n))
    assert found == pytest.approx(change, abs=1e-9)
    if abs(change) > 1e-3:
        assert share == pytest.approx(1.0)


def test_the_share_of_a_trend_is_small_in_noise_and_0_in_constant_sound() -> None:
    noise = np.random.default_rng(1).normal(size=500)
    assert trend_of(noise)[1] < 0.05
    assert trend_of(noise + np.linspace(0, 20, 500))[1] > 0.9
    assert trend_of(np.full(10, 3.0)) == (0.0, 0.0)
