"""The calibration: a probability also for scores above the highest training score."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asd_monitor.detector.calibration import MAX_SCORE, MAX_SHAPE, TAIL_PROBABILITY, ParetoTail

score_lists = st.lists(st.floats(-1e3, 1e3, allow_nan=False, width=32), min_size=10, max_size=200)


def pareto(shape: float, size: int, seed: int) -> np.ndarray:
    """Draw from the generalised Pareto distribution with scale 1."""
    u = np.random.default_rng(seed).uniform(size=size)
    return -np.log(u) if shape == 0 else (u**-shape - 1) / shape


@given(score_lists, st.sampled_from([0.0, 0.5]))
def test_scores_increase_with_the_raw_score_from_0_to_12(
    reference: list[float], min_scale: float
) -> None:
    tail = ParetoTail.fit(reference, min_scale)
    assert tail.scale >= max(min_scale, 1e-12)
    assert 0 <= tail.shape <= MAX_SHAPE
    span = max(np.ptp(reference), 1.0)
    raw = np.linspace(min(reference) - span, max(reference) + 5 * span, 500)
    found = tail.score(raw)
    assert (np.diff(found) >= -1e-9).all()
    assert (found >= 0).all()
    assert (found <= MAX_SCORE).all()
    assert found[0] == 0


@given(score_lists)
def test_scores_do_not_saturate_below_the_maximum(reference: list[float]) -> None:
    tail = ParetoTail.fit(reference)
    raw = tail.knots[-1] + tail.scale * np.geomspace(1e-3, 1e12, 3000)
    found = tail.score(raw)
    below = found < MAX_SCORE
    assert found[-1] == MAX_SCORE
    assert (np.diff(found[below]) > 0).all()


@given(score_lists)
def test_the_tail_joins_the_body_without_a_step(reference: list[float]) -> None:
    tail = ParetoTail.fit(reference)
    above = float(tail.score(tail.knots[-1] + 1e-6 * tail.scale))
    assert above == pytest.approx(-np.log10(TAIL_PROBABILITY), abs=1e-3)


@given(st.lists(st.integers(0, 3), min_size=10, max_size=200))
def test_the_probability_of_a_tie_includes_all_equal_scores(reference: list[int]) -> None:
    tail = ParetoTail.fit(reference)
    for value in {*reference} - {max(reference)}:
        survival = 10.0 ** -float(tail.score(value))
        # the body has 18 steps, and lies between two training scores
        resolution = 0.05 + 1 / len(reference)
        assert survival == pytest.approx(np.mean(np.array(reference) >= value), abs=resolution)
    assert float(tail.score(min(reference))) == 0


@pytest.mark.parametrize("value", [0.0, 1.5, 1e6])
def test_equal_training_scores_are_certain_and_rounding_is_no_deviation(value: float) -> None:
    tail = ParetoTail.fit(np.full(100, value))
    assert float(tail.score(value)) == 0
    assert float(tail.score(np.nextafter(np.float32(value), np.float32(np.inf)))) < 1.1
    assert float(tail.score(value + 1e-3 * max(value, 1.0))) > 3


@given(score_lists, st.floats(1.001, MAX_SCORE - 0.1))
def test_raw_score_is_the_inverse_of_score(reference: list[float], score: float) -> None:
    tail = ParetoTail.fit(reference)
    assert float(tail.score(tail.raw_score(score))) == pytest.approx(score, rel=1e-6, abs=1e-4)


def test_the_body_is_the_empirical_distribution() -> None:
    reference = np.random.default_rng(0).normal(size=5000)
    tail = ParetoTail.fit(reference)
    for quantile in (0.1, 0.5, 0.85):
        survival = 10.0 ** -float(tail.score(np.quantile(reference, quantile)))
        assert survival == pytest.approx(1 - quantile, abs=0.01)


@pytest.mark.parametrize("shape", [0.0, 0.2, 0.4])
def test_the_parameters_of_a_pareto_distribution_are_recovered(shape: float) -> None:
    fits = [ParetoTail.fit(pareto(shape, 40_000, seed)) for seed in range(10)]
    assert np.median([tail.shape for tail in fits]) == pytest.approx(shape, abs=0.05)
    threshold = fits[0].knots[-1]
    scale = 1.0 + shape * threshold  # of the excesses over a threshold
    assert np.median([tail.scale for tail in fits]) == pytest.approx(scale, rel=0.1)


@pytest.mark.parametrize("shape", [0.0, 0.2, 0.4])
@pytest.mark.parametrize("decades", [1.5, 2.0, 3.0, 4.0])
def test_scores_are_the_probabilities_of_a_pareto_distribution(
    shape: float, decades: float
) -> None:
    log_survival = np.log(10) * decades
    raw = log_survival if shape == 0 else np.expm1(shape * log_survival) / shape
    found = [float(ParetoTail.fit(pareto(shape, 2000, seed)).score(raw)) for seed in range(40)]
    assert np.median(found) == pytest.approx(decades, abs=0.12 * decades)


def test_few_training_scores_give_a_conservative_score() -> None:
    rng = np.random.default_rng(6)
    few = [float(ParetoTail.fit(rng.exponential(size=60)).score(12)) for _ in range(40)]
    assert 2 < np.median(few) < MAX_SCORE


@pytest.mark.parametrize("size", [40, 2000])
def test_scores_of_one_shape_are_comparable(size: int) -> None:
    """An excess of as many scales has the same score, whatever the tail of the training scores."""
    rng = np.random.default_rng(9)
    found = []
    for reference in (rng.uniform(size=size), rng.exponential(size=size), rng.pareto(3, size)):
        tail = ParetoTail.fit_scale(reference, 0.4)
        assert tail.shape == 0.4
        found.append(float(tail.score(tail.knots[-1] + 50 * tail.scale)))
    assert found == pytest.approx([found[0]] * 3)
    assert 4 < found[0] < 6  # not yet at the maximum


def test_parameters_are_restored_from_json_and_invalid_ones_refused() -> None:
    tail = ParetoTail.fit(np.random.default_rng(8).exponential(size=100))
    parameters = tail.to_json()
    assert ParetoTail.from_json(parameters) == tail
    for broken in (
        {**parameters, "scale": 0.0},
        {**parameters, "shape": -0.1},
        {**parameters, "knots": [2.0, 1.0]},
        {**parameters, "knots": []},
        {**parameters, "scale": "wide"},
    ):
        with pytest.raises(ValueError, match=r"tail|float"):
            ParetoTail.from_json(broken)
    with pytest.raises(KeyError):
        ParetoTail.from_json({})
