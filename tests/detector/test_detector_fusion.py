"""The fused score: the root mean square of the positive deviations."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asd_monitor.detector.fusion import fuse

deviation_lists = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=12)


@given(deviation_lists)
def test_the_fused_score_lies_between_mean_and_maximum(deviations: list[float]) -> None:
    positive = np.maximum(deviations, 0.0)
    fused = float(fuse(np.array(deviations)))
    assert positive.mean() - 1e-6 <= fused <= positive.max() + 1e-6


@given(deviation_lists, st.integers(0, 11), st.floats(0, 1e6))
def test_a_higher_deviation_does_not_lower_the_fused_score(
    deviations: list[float], view: int, increase: float
) -> None:
    higher = np.array(deviations)
    higher[view % len(higher)] += increase
    assert fuse(higher) >= fuse(np.array(deviations)) * (1 - 1e-12)


@given(deviation_lists)
def test_deviations_below_0_count_as_0(deviations: list[float]) -> None:
    assert fuse(np.array(deviations)) == fuse(np.maximum(deviations, 0.0))


def test_several_machines_and_windows_are_fused_at_once() -> None:
    deviations = np.random.default_rng(0).normal(size=(3, 5, 4))
    found = fuse(deviations)
    assert found.shape == (3, 5)
    assert found[2, 4] == pytest.approx(float(fuse(deviations[2, 4])))


def test_one_view_of_ten_counts_more_than_in_a_mean() -> None:
    assert float(fuse(np.array([9.0] + [0.0] * 8))) == pytest.approx(3.0)
