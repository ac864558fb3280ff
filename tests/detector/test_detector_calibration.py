"""The tail: a probability for scores that no normal has reached yet."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asd_monitor.detector.calibration import HIGHEST, SHAPE_LIMIT, TAIL_SHARE, Tail

scores = st.lists(st.floats(-1e3, 1e3, allow_nan=False, width=32), min_size=10, max_size=200)


@given(scores, st.sampled_from([0.0, 0.5]))
def test_it_is_monotone_and_within_bounds(reference: list[float], least: float) -> None:
    tail = Tail.fit(reference, least)
    assert tail.scale > 0
    assert 0 <= tail.shape <= SHAPE_LIMIT
    span = max(np.ptp(reference), 1.0)
    raw = np.linspace(min(reference) - span, max(reference) + 5 * span, 500)
    found = tail.score(raw)
    assert (np.diff(found) >= -1e-9).all()
    assert (found >= 0).all()
    assert (found <= HIGHEST).all()
    assert found[0] == 0


@given(scores)
def test_it_never_saturates_below_the_end_of_the_scale(reference: list[float]) -> None:
    tail = Tail.fit(reference)
    raw = tail.knots[-1] + tail.scale * np.geomspace(1e-3, 1e12, 3000)
    found = tail.score(raw)
    below = found < HIGHEST
    assert found[-1] == HIGHEST
    assert (np.diff(found[below]) > 0).all()


@given(scores)
def test_it_has_no_jump_where_the_fitted_part_begins(reference: list[float]) -> None:
    tail = Tail.fit(reference)
    edge = tail.knots[-1]
    near = tail.score([edge, edge + 1e-6 * tail.scale])
    assert near == pytest.approx([-np.log10(TAIL_SHARE)] * 2, abs=1e-3)


@given(scores, st.floats(1.0, HIGHEST - 0.1))
def test_raw_at_is_the_way_back(reference: list[float], score: float) -> None:
    tail = Tail.fit(reference)
    assert float(tail.score(tail.raw_at(score))) == pytest.approx(score, rel=1e-6, abs=1e-4)


@pytest.mark.parametrize("decades", [1.5, 2.0, 3.0, 4.0])
def test_exponential_normals_get_their_probability(decades: float) -> None:
    rng = np.random.default_rng(5)
    truth = np.log(10) * decades  # P(x ≥ this) = 10^−decades
    found = [float(Tail.fit(rng.exponential(size=2000)).score(truth)) for _ in range(40)]
    assert np.median(found) == pytest.approx(decades, abs=0.12 * decades)


def test_few_normals_promise_little() -> None:
    rng = np.random.default_rng(6)
    few = [float(Tail.fit(rng.exponential(size=60)).score(12)) for _ in range(40)]
    assert 2 < np.median(few) < HIGHEST


def test_heavy_tails_are_seen_as_such() -> None:
    rng = np.random.default_rng(7)
    assert Tail.fit(rng.pareto(3, 5000)).shape > Tail.fit(rng.exponential(size=5000)).shape + 0.1


@pytest.mark.parametrize("size", [40, 2000])
def test_tails_of_one_shape_count_alike(size: int) -> None:
    """Views whose normals differ in their tails say the same of what lies as many scales away."""
    rng = np.random.default_rng(9)
    found = []
    for reference in (rng.uniform(size=size), rng.exponential(size=size), rng.pareto(3, size)):
        tail = Tail.of_shape(reference, 0.4)
        assert tail.shape == 0.4
        found.append(float(tail.score(tail.knots[-1] + 50 * tail.scale)))
    assert found == pytest.approx([found[0]] * 3)
    assert 4 < found[0] < 6  # farther away there is still something to say


def test_json_gives_it_back_and_nonsense_is_refused() -> None:
    tail = Tail.fit(np.random.default_rng(8).exponential(size=100))
    parameters = tail.to_json()
    assert Tail.from_json(parameters) == tail
    for broken in (
        {**parameters, "scale": 0.0},
        {**parameters, "shape": -0.1},
        {**parameters, "knots": [2.0, 1.0]},
        {**parameters, "knots": []},
        {**parameters, "scale": "wide"},
    ):
        with pytest.raises(ValueError, match=r"tail|float"):
            Tail.from_json(broken)
    with pytest.raises(KeyError):
        Tail.from_json({})
