"""Sliding sums and maxima: those of each window's own rows, and nothing of what was before."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asd_monitor.features.sliding_reduction import Array, SlidingReduction


def slide(sliding: SlidingReduction, rows: Array, hop: int, counts: list[int]) -> Array:
    """Push the first window, then so many windows at a time."""
    found, kept = sliding.first(rows[:, : sliding.length])
    windows, at = [found], sliding.length
    for count in counts:
        new = rows[:, at : at + count * hop]
        at += count * hop
        found, kept = sliding.next(new, kept)
        windows.append(found)
    return np.concatenate(windows, axis=1)


@given(
    length=st.integers(1, 23),
    hop=st.integers(1, 23),
    counts=st.lists(st.integers(1, 4), max_size=5),
    streams=st.integers(1, 3),
    seed=st.integers(0, 9),
)
def test_each_window_is_that_of_its_own_rows(
    length: int, hop: int, counts: list[int], streams: int, seed: int
) -> None:
    rows = np.random.default_rng(seed).standard_normal((streams, length + sum(counts) * hop, 3))
    for run_batch in (np.add, np.maximum):
        found = slide(SlidingReduction(run_batch, length, hop), rows, hop, counts)
        expected = [
            run_batch.reduce(rows[:, k * hop : k * hop + length], 1) for k in range(found.shape[1])
        ]
        assert found == pytest.approx(np.stack(expected, axis=1), abs=1e-12)


@given(length=st.integers(1, 23), hop=st.integers(1, 23), seed=st.integers(0, 9))
def test_what_was_before_a_window_leaves_no_trace(length: int, hop: int, seed: int) -> None:
    """However large it was: there is no running sum from which it was taken away."""
    rng = np.random.default_rng(seed)
    windows = -(-length // hop) + 2
    rows = rng.standard_normal((1, length + windows * hop, 2))
    loud = rows.copy()
    loud[:, : windows * hop] *= 1e30
    for run_batch in (np.add, np.maximum):
        quiet_end, loud_end = (
            slide(SlidingReduction(run_batch, length, hop), each, hop, [1] * windows)[:, -1]
            for each in (rows, loud)
        )
        assert np.array_equal(quiet_end, loud_end)


@pytest.mark.slow
def test_a_hundred_million_frames_leave_no_trace() -> None:
    """That is 37 days of frames of 32 ms; the last window is exactly that of its own rows."""
    length, hop, at_once = 61, 16, 62_500
    rng = np.random.default_rng(1)
    sliding = SlidingReduction(np.add, length, hop)
    rows = rng.standard_normal((1, length, 1))
    _, kept = sliding.first(rows)
    newest = rows
    chunk = rng.standard_normal((1, at_once * hop, 1))
    for number in range(100):
        rows = chunk * (1.0 + number)
        windows, kept = sliding.next(rows, kept)
        newest = rows[:, -length:]
    assert windows[0, -1] == pytest.approx(newest.sum(1)[0], rel=1e-13)
