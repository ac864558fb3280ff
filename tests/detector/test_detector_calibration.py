"""Deviations keep their order and meaning far outside the training sound; scores are tails."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from asd_monitor.alarm.scale_tail import ScaleTail
from asd_monitor.detector.calibration import (
    MAX_SCORE,
    MIN_DISTANCE,
    FusedCalibration,
    ViewCalibration,
    ViewCalibrationStack,
    student_score,
    upper_spread,
)
from asd_monitor.detector.prior import PRIOR_DOF, HourPrior

PRIOR = HourPrior(0.5)
WINDOWS_PER_BLOCK = 20
distance_lists = st.lists(st.floats(0, 1e6, width=32), min_size=2, max_size=200)


def training_distances(blocks: int, seed: int = 0) -> np.ndarray:
    """Draw log-normal distances about 1, as of a view."""
    return np.random.default_rng(seed).lognormal(0.0, 0.1, WINDOWS_PER_BLOCK * blocks)


@given(distance_lists)
def test_deviations_increase_with_the_distance(training: list[float]) -> None:
    calibration = ViewCalibration.fit(training, PRIOR)
    probes = np.concatenate([[0.0], np.geomspace(MIN_DISTANCE, 1e6 * (1 + max(training)), 300)])
    found = calibration.deviation(probes)
    assert (np.diff(found) >= 0).all()
    assert (np.diff(found)[1:] > 0).all()
    assert np.isfinite(found).all()


@given(distance_lists)
def test_the_deviation_of_the_median_distance_is_0(training: list[float]) -> None:
    calibration = ViewCalibration.fit(training, PRIOR)
    found = calibration.deviation(training)
    assert np.median(found) == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("blocks", [6, 6 * 360])
def test_a_deviation_is_in_units_of_the_usual_spread(blocks: int) -> None:
    calibration = ViewCalibration.fit(training_distances(blocks), HourPrior(1e-6))
    three_sigma_above = math.exp(3 * 0.1)
    assert float(calibration.deviation(three_sigma_above)) == pytest.approx(3.0, abs=0.6)


def test_minutes_of_training_sound_order_distances_as_hours_do() -> None:
    """Of several views together: order is kept up to 10⁶ times the training distances."""
    minutes, hours = (
        [ViewCalibration.fit(training_distances(blocks, seed), PRIOR) for seed in range(5)]
        for blocks in (6, 6 * 360)
    )
    distances = np.geomspace(1.0, 1e6, 400)
    for few, many in zip(minutes, hours, strict=True):
        assert (np.diff(few.deviation(distances)) > 0).all()
        assert few.deviation(distances) == pytest.approx(many.deviation(distances), rel=0.5, abs=1)


def test_the_prior_widens_the_unit() -> None:
    training = training_distances(60)
    steady = ViewCalibration.fit(training, HourPrior(1e-6))
    shifting = ViewCalibration.fit(training, HourPrior(10.0))
    assert shifting.unit > 2 * steady.unit
    assert shifting.centre == steady.centre


@pytest.mark.parametrize("value", [0.0, 1e-7, 1.5])
def test_constant_sound_has_a_calibration_and_rounding_is_no_deviation(value: float) -> None:
    calibration = ViewCalibration.fit(np.full(100, value), PRIOR)
    assert float(calibration.deviation(value)) == pytest.approx(0.0, abs=1e-9)
    assert float(calibration.deviation(value + 1e-5)) < 0.1
    assert float(calibration.deviation(value + 10.0)) > 3


def test_distances_that_overflowed_are_large_and_finite() -> None:
    calibration = ViewCalibration.fit(training_distances(6), PRIOR)
    overflowed = calibration.deviation([1e25, np.inf])
    assert np.isfinite(overflowed).all()
    assert overflowed[1] > overflowed[0]


def test_distances_that_are_not_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match="calibration"):
        ViewCalibration.fit([1.0, np.nan, 2.0], PRIOR)


def test_stacked_calibrations_give_the_deviations_of_single_ones() -> None:
    rng = np.random.default_rng(1)
    machines = [
        [ViewCalibration(*rng.uniform(0.1, 2.0, 2).tolist()) for _ in range(4)] for _ in range(3)
    ]
    distances = rng.lognormal(size=(3, 7, 4))
    stack = ViewCalibrationStack.of_machines([ViewCalibrationStack.of(each) for each in machines])
    found = stack.deviations(distances)
    assert found.shape == distances.shape
    for machine, views in enumerate(machines):
        for number, view in enumerate(views):
            alone = view.deviation(distances[machine, :, number])
            assert found[machine, :, number] == pytest.approx(alone, rel=1e-12)


@given(st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=100), st.floats(-1e3, 1e3))
def test_the_spread_does_not_depend_on_the_location(values: list[float], shift: float) -> None:
    array = np.array(values)
    assert upper_spread(array + shift) == pytest.approx(upper_spread(array), abs=1e-9)
    assert upper_spread(array) >= 0


def test_the_spread_is_that_above_the_median() -> None:
    values = np.random.default_rng(2).normal(size=20_000)
    assert upper_spread(values) == pytest.approx(1.0, abs=0.05)
    low_half_wider = np.where(values < 0, 10 * values, values)
    assert upper_spread(low_half_wider) == pytest.approx(1.0, abs=0.05)


@given(st.lists(st.floats(-50, 50), min_size=2, max_size=60), st.integers(1, 500))
def test_further_values_that_are_higher_never_narrow_the_spread(
    values: list[float], higher: int
) -> None:
    array = np.array(values)
    alone, spread = upper_spread(array), upper_spread(array, higher)
    assert alone - 1e-9 <= spread
    if len(values) >= 20:
        assert spread <= max(alone, (array.max() - np.median(array)) / 2.05) + 1e-9
    assert upper_spread(np.array([3.0])) == 0


@pytest.mark.parametrize("blocks", [2, 6, 60, 360])
def test_scores_are_the_probabilities_of_the_predictive_distribution(blocks: int) -> None:
    """Of normal sound in other hours, if the prior is as uncertain as its degrees of freedom."""
    rng = np.random.default_rng(blocks)
    prior, spread, found = HourPrior(4.0), 0.5, []
    for _ in range(1000):
        of_training = np.repeat(rng.normal(0.0, spread, blocks), WINDOWS_PER_BLOCK)
        calibration = FusedCalibration.fit(of_training, prior, hours=1, days=1, blocks=blocks)
        shift = 4.0 * np.sqrt(PRIOR_DOF / rng.chisquare(PRIOR_DOF))
        found += calibration.score(rng.normal(0.0, np.hypot(shift, spread), 20)).tolist()
    for decades in (1.0, 2.0):
        exceeded = np.mean(np.array(found) >= decades)
        assert exceeded == pytest.approx(10.0**-decades, rel=0.35)


@pytest.mark.parametrize("dof", [2, 3, 5, 8, 20, 50, 200, 1000])
def test_scores_equal_those_of_scipy(dof: float) -> None:
    """Wallace's approximation: the score is too low by up to 0.26, above ν = 8 by less than 4 %."""
    t = np.linspace(-50.0, 50.0, 1001)
    exact = np.minimum(MAX_SCORE, -stats.t.logsf(t, dof) / np.log(10.0))
    found = student_score(t, dof)
    assert found == pytest.approx(exact, abs=0.27)
    assert (found <= exact + 0.003).all()
    if dof > 8:
        assert found == pytest.approx(exact, rel=0.04, abs=1e-4)


@given(st.floats(-300, 300), st.floats(2, 1e6))
def test_scores_equal_those_of_a_time_scale(evidence: float, dof: float) -> None:
    tail = ScaleTail(10.0, location=0.5, scale=2.0, dof=dof)
    found = float(student_score((evidence - 0.5) / 2.0, dof))
    assert found == pytest.approx(min(MAX_SCORE, tail.score(evidence)), abs=1e-5)


@given(st.floats(2, 1e6))
def test_scores_increase_from_0_to_12(dof: float) -> None:
    above = np.geomspace(1e-9, 1e9)
    found = student_score(np.concatenate([-above[::-1], [0.0], above]), dof)
    assert (np.diff(found) >= -1e-6).all()
    assert found[0] == pytest.approx(0.0, abs=1e-6)
    assert found[50] == pytest.approx(math.log10(2), abs=1e-6)
    assert found[-1] == MAX_SCORE


def test_parameters_are_restored_from_json_and_invalid_ones_refused() -> None:
    view = ViewCalibration.fit(training_distances(6), PRIOR)
    fused = FusedCalibration.fit(training_distances(6), PRIOR, hours=1, days=1, blocks=6)
    assert ViewCalibration.from_json(view.to_json()) == view
    assert FusedCalibration.from_json(fused.to_json()) == fused
    for broken in ({"unit": 0.0}, {"unit": -1.0}, {"unit": math.inf}, {"centre": math.nan}):
        with pytest.raises(ValueError, match="calibration"):
            ViewCalibration.from_json({**view.to_json(), **broken})
    for broken in ({"scale": 0.0}, {"dof": 0.0}, {"location": math.inf}):
        with pytest.raises(ValueError, match="calibration"):
            FusedCalibration.from_json({**fused.to_json(), **broken})
    with pytest.raises(ValueError, match="float"):
        ViewCalibration.from_json({**view.to_json(), "unit": "wide"})
    with pytest.raises(KeyError):
        ViewCalibration.from_json({})
