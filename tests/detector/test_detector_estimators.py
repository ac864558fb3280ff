"""How far a vector lies from the normals: each back end does what it says, and is only arrays."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.covariance import ledoit_wolf as reference_ledoit_wolf

from asd_monitor.detector.estimators import (
    BACK_ENDS,
    BackEnd,
    LocalDensityKNN,
    Mahalanobis,
    PCAReconstructionError,
    TopKRobustZ,
    distances,
    ledoit_wolf,
)
from asd_monitor.detector.spans import Spans


def _spans(n: int, *, shared: bool = False) -> Spans:
    start = np.arange(n) * (50 if shared else 100)
    return Spans(np.zeros(n, np.int64), start, start + 100)


def _reference(n: int = 80, d: int = 6, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(n, d)) @ rng.normal(size=(d, d)) + 3).astype(np.float32)


@settings(max_examples=30)
@given(n=st.integers(3, 60), d=st.integers(1, 40), seed=st.integers(0, 1000))
def test_ledoit_wolf_is_scikit_learn_s(n: int, d: int, seed: int) -> None:
    x = np.random.default_rng(seed).normal(size=(n, d)) * np.linspace(1, 3, d)
    centred = x - x.mean(0)
    expected, _ = reference_ledoit_wolf(centred, assume_centered=True)
    assert ledoit_wolf(centred) == pytest.approx(expected, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("kind", BACK_ENDS)
def test_what_a_bundle_stores_restores_exactly(kind: str) -> None:
    d = 1 if kind == "density" else 6
    reference, probes = _reference(d=d), _reference(20, d, seed=9) * 2
    fitted = BACK_ENDS[kind].fit(reference, _spans(len(reference)))
    restored = BACK_ENDS[kind].restore(fitted.arrays())
    assert np.array_equal(restored.score(probes), fitted.score(probes))
    with pytest.raises(KeyError):
        BACK_ENDS[kind].restore({})


@pytest.mark.parametrize("kind", BACK_ENDS)
def test_far_from_the_normals_scores_higher(kind: str) -> None:
    d = 1 if kind == "density" else 6
    reference = _reference(d=d)
    fitted = BACK_ENDS[kind].fit(reference, _spans(len(reference)))
    off = np.zeros(d, np.float32)
    off[-1] = 1
    middle = reference.mean(0)
    steps = np.stack([middle + step * off * reference.std() for step in (0, 5, 20, 80)])
    scores = fitted.score(steps)
    assert (scores >= 0).all()
    assert (np.diff(scores) > 0).all()


@pytest.mark.parametrize("kind", BACK_ENDS)
def test_normals_that_never_vary_give_numbers(kind: str) -> None:
    d = 1 if kind == "density" else 6
    reference = np.ones((30, d), np.float32)
    fitted = BACK_ENDS[kind].fit(reference, _spans(30))
    scores = fitted.score(np.concatenate([reference[:1], reference[:1] + 1]))
    assert np.isfinite(scores).all()
    assert scores[1] >= scores[0]


def test_mahalanobis_of_white_normals_is_their_distance() -> None:
    rng = np.random.default_rng(1)
    fitted = Mahalanobis.fit(rng.normal(size=(5000, 4)).astype(np.float32), _spans(5000))
    probe = np.array([[3.0, 0, 0, 0]], np.float32)
    assert fitted.score(probe)[0] == pytest.approx(3 / 2, rel=0.1)  # root mean square of four


def test_neighbours_that_share_sound_are_no_neighbours() -> None:
    # the same vectors, as if cut from overlapping windows or not
    reference = np.repeat(_reference(20), 2, axis=0) + np.tile([[0], [1e-3]], (20, 1)).astype("f4")
    apart = LocalDensityKNN.fit(reference, _spans(40))
    shared = LocalDensityKNN.fit(reference, _spans(40, shared=True))
    density = [np.median(each.bank[-2]) for each in (apart, shared)]  # of a vector's mean square
    assert density[0] > 1e4 > density[1]


def test_the_residual_is_what_the_components_do_not_hold() -> None:
    rng = np.random.default_rng(2)
    reference = (rng.normal(size=(200, 1)) * [[1.0, 1.0, 0.0]]).astype(np.float32)
    reference[:, 2] = 0.01 * rng.normal(size=200)
    fitted: BackEnd = PCAReconstructionError.fit(reference, _spans(200))
    along, across = fitted.score(np.array([[2, 2, 0], [2, -2, 0]], np.float32))
    assert along < 0.1 < across


def test_one_odd_coordinate_among_many_is_the_largest() -> None:
    rng = np.random.default_rng(3)
    reference = rng.normal(size=(300, 100)).astype(np.float32)
    probe = reference[:1].copy()
    probe[0, 7] += 40
    fitted = TopKRobustZ.fit(reference, _spans(300))
    assert fitted.score(probe)[0] > 3 * fitted.score(reference).max()


def test_distances_are_euclidean_by_coordinate() -> None:
    a, b = np.array([[0.0, 0.0]]), np.array([[3.0, 4.0], [0.0, 0.0]])
    assert distances(a, b)[0] == pytest.approx([5 / np.sqrt(2), 0], abs=1e-9)
