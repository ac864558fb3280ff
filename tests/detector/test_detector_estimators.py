"""The back ends: distances from the training vectors, defined by arrays alone."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.covariance import ledoit_wolf as reference_ledoit_wolf

from asd_monitor.detector.back_end import BackEnd
from asd_monitor.detector.covariance import ledoit_wolf
from asd_monitor.detector.estimators import (
    BACK_ENDS,
    KernelDensity,
    LocalDensityKNN,
    Mahalanobis,
    PCAReconstructionError,
    TopKRobustZ,
    distances,
)
from asd_monitor.detector.spans import Spans


def spans_of(n: int, *, overlapping: bool = False) -> Spans:
    start = np.arange(n) * (50 if overlapping else 100)
    return Spans(np.zeros(n, np.int64), start, start + 100)


def vectors_of(n: int = 80, d: int = 6, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(n, d)) @ rng.normal(size=(d, d)) + 3).astype(np.float32)


def coordinates(kind: str) -> int:
    return 1 if kind == "density" else 6


@settings(max_examples=30)
@given(n=st.integers(3, 60), d=st.integers(1, 40), seed=st.integers(0, 1000))
def test_ledoit_wolf_is_that_of_scikit_learn(n: int, d: int, seed: int) -> None:
    x = np.random.default_rng(seed).normal(size=(n, d)) * np.linspace(1, 3, d)
    centred = x - x.mean(0)
    expected, _ = reference_ledoit_wolf(centred, assume_centered=True)
    assert ledoit_wolf(centred) == pytest.approx(expected, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("kind", BACK_ENDS)
def test_a_back_end_restored_from_its_arrays_gives_the_same_scores(kind: str) -> None:
    d = coordinates(kind)
    reference, probes = vectors_of(d=d), vectors_of(20, d, seed=9) * 2
    fitted = BACK_ENDS[kind].fit(reference, spans_of(len(reference)))
    restored = BACK_ENDS[kind].restore(fitted.arrays(), d)
    assert np.array_equal(restored.score(probes), fitted.score(probes))


@pytest.mark.parametrize("kind", BACK_ENDS)
def test_arrays_of_another_shape_are_refused(kind: str) -> None:
    d = coordinates(kind)
    arrays = BACK_ENDS[kind].fit(vectors_of(d=d), spans_of(80)).arrays()
    for name, array in arrays.items():
        for other in (array[:-1], array[None], np.zeros((*array.shape[:-1], 0), np.float32)):
            with pytest.raises(ValueError, match=f"the array {name} of shape"):
                BACK_ENDS[kind].restore(arrays | {name: other}, d)
        with pytest.raises(ValueError, match="in place of"):
            BACK_ENDS[kind].restore({key: arrays[key] for key in arrays.keys() - {name}}, d)
    with pytest.raises(ValueError, match="in place of"):
        BACK_ENDS[kind].restore(arrays | {"other": np.zeros(1, np.float32)}, d)


@pytest.mark.parametrize("kind", BACK_ENDS)
def test_scores_increase_with_the_distance_from_the_training_vectors(kind: str) -> None:
    d = coordinates(kind)
    reference = vectors_of(d=d)
    fitted = BACK_ENDS[kind].fit(reference, spans_of(len(reference)))
    direction = np.zeros(d, np.float32)
    direction[-1] = 1
    middle = reference.mean(0)
    steps = np.stack([middle + step * direction * reference.std() for step in (0, 5, 20, 80)])
    scores = fitted.score(steps)
    assert (scores >= 0).all()
    assert (np.diff(scores) > 0).all()


@pytest.mark.parametrize("kind", BACK_ENDS)
def test_constant_training_vectors_give_finite_scores(kind: str) -> None:
    d = coordinates(kind)
    reference = np.ones((30, d), np.float32)
    fitted = BACK_ENDS[kind].fit(reference, spans_of(30))
    scores = fitted.score(np.concatenate([reference[:1], reference[:1] + 1]))
    assert np.isfinite(scores).all()
    assert scores[1] >= scores[0]


@pytest.mark.parametrize("kind", BACK_ENDS)
def test_machines_evaluated_together_get_the_scores_of_each(kind: str) -> None:
    d = coordinates(kind)
    machines = [BACK_ENDS[kind].fit(vectors_of(n, d, seed=n), spans_of(n)) for n in (12, 40, 90)]
    vectors = np.stack([vectors_of(7, d, seed=seed) for seed in range(3)])
    together = BACK_ENDS[kind].score_each(machines, vectors)
    each = [machine.score(own) for machine, own in zip(machines, vectors, strict=True)]
    assert together == pytest.approx(np.stack(each), rel=1e-5)


def test_mahalanobis_of_white_vectors_is_their_root_mean_square() -> None:
    rng = np.random.default_rng(1)
    fitted = Mahalanobis.fit(rng.normal(size=(5000, 4)).astype(np.float32), spans_of(5000))
    probe = np.array([[3.0, 0, 0, 0]], np.float32)
    assert fitted.score(probe)[0] == pytest.approx(3 / 2, rel=0.1)


def test_overlapping_windows_are_not_counted_as_neighbours() -> None:
    # the same vectors, as if from overlapping windows or not
    reference = np.repeat(vectors_of(20), 2, axis=0) + np.tile([[0], [1e-3]], (20, 1)).astype("f4")
    apart = LocalDensityKNN.fit(reference, spans_of(40))
    overlapping = LocalDensityKNN.fit(reference, spans_of(40, overlapping=True))
    density = [np.median(each.bank[-2]) for each in (apart, overlapping)]  # 1 / spacing²
    assert density[0] > 1e4 > density[1]


def test_the_reconstruction_error_is_orthogonal_to_the_components() -> None:
    rng = np.random.default_rng(2)
    reference = (rng.normal(size=(200, 1)) * [[1.0, 1.0, 0.0]]).astype(np.float32)
    reference[:, 2] = 0.01 * rng.normal(size=200)
    fitted: BackEnd = PCAReconstructionError.fit(reference, spans_of(200))
    along, across = fitted.score(np.array([[2, 2, 0], [2, -2, 0]], np.float32))
    assert along < 0.1 < across


def test_the_top_k_z_score_responds_to_one_coordinate_of_many() -> None:
    rng = np.random.default_rng(3)
    reference = rng.normal(size=(300, 100)).astype(np.float32)
    probe = reference[:1].copy()
    probe[0, 7] += 40
    fitted = TopKRobustZ.fit(reference, spans_of(300))
    assert fitted.score(probe)[0] > 3 * fitted.score(reference).max()


def test_the_kernel_density_score_is_the_distance_from_a_single_mode() -> None:
    fitted = KernelDensity.fit(np.full((50, 1), -40.0, np.float32), spans_of(50))
    probes = np.array([[-40.0], [-43.0], [-34.0]], np.float32)
    assert fitted.score(probes) == pytest.approx([0.0, 3.0, 6.0], abs=1e-3)


def test_the_kernel_density_may_have_several_modes() -> None:
    levels = np.repeat([-60.0, -40.0], 50)[:, None].astype(np.float32)
    fitted = KernelDensity.fit(levels, spans_of(100))
    low, between, high = fitted.score(np.array([[-60.0], [-50.0], [-40.0]], np.float32))
    assert max(low, high) < 0.5
    assert between > 9


def test_distances_are_normalised_by_the_number_of_coordinates() -> None:
    a, b = np.array([[0.0, 0.0]]), np.array([[3.0, 4.0], [0.0, 0.0]])
    assert distances(a, b)[0] == pytest.approx([5 / np.sqrt(2), 0], abs=1e-9)
