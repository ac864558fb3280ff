"""Sliding sums and maxima: of the rows of each window, and of none before."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asd_monitor.features.sliding_reduction import Array, SlidingReduction


def slide(reduction: SlidingReduction, rows: Array, hop: int, counts: list[int]) -> Array:
    """Reduce the first window, then so many windows at a time."""
    windows, state = reduction.first(rows[:, : reduction.length])
    reduced, at = [windows], reduction.length
    for count in counts:
        windows, state = reduction.next(rows[:, at : at + count * hop], state)
        at += count * hop
        reduced.append(windows)
    return np.concatenate(reduced, axis=1)


@given(
    length=st.integers(1, 23),
    hop=st.integers(1, 23),
    counts=st.lists(st.integers(1, 4), max_size=5),
    streams=st.integers(1, 3),
    seed=st.integers(0, 9),
)
def test_each_window_is_reduced_from_its_own_rows(
    length: int, hop: int, counts: list[int], streams: int, seed: int
) -> None:
    rows = np.random.default_rng(seed).standard_normal((streams, length + sum(counts) * hop, 3))
    for ufunc in (np.add, np.maximum):
        found = slide(SlidingReduction(ufunc, length, hop), rows, hop, counts)
        expected = [
            ufunc.reduce(rows[:, k * hop : k * hop + length], 1) for k in range(found.shape[1])
        ]
        assert found == pytest.approx(np.stack(expected, axis=1), abs=1e-12)


@given(length=st.integers(1, 23), hop=st.integers(1, 23), seed=st.integers(0, 9))
def test_earlier_rows_have_no_effect(length: int, hop: int, seed: int) -> None:
    """However large they were: there is no running sum from which they are subtracted."""
    rng = np.random.default_rng(seed)
    windows = -(-length // hop) + 2
    rows = rng.standard_normal((1, length + windows * hop, 2))
    loud = rows.copy()
    loud[:, : windows * hop] *= 1e30
    for ufunc in (np.add, np.maximum):
        after_quiet, after_loud = (
            slide(SlidingReduction(ufunc, length, hop), each, hop, [1] * windows)[:, -1]
            for each in (rows, loud)
        )
        assert np.array_equal(after_quiet, after_loud)


@pytest.mark.slow
def test_no_error_accumulates_in_a_hundred_million_frames() -> None:
    """That is 37 days of frames of 32 ms; the last window is exactly that of its own rows."""
    length, hop, at_once = 61, 16, 62_500
    rng = np.random.default_rng(1)
    reduction = SlidingReduction(np.add, length, hop)
    rows = rng.standard_normal((1, length, 1))
    _, state = reduction.first(rows)
    newest = rows
    chunk = rng.standard_normal((1, at_once * hop, 1))
    for number in range(100):
        rows = chunk * (1.0 + number)
        windows, state = reduction.next(rows, state)
        newest = rows[:, -length:]
    assert windows[0, -1] == pytest.approx(newest.sum(1)[0], rel=1e-13)
