"""Order statistics of the spectra of the last ten seconds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asd_monitor.microphone.recent_spectra import (
    SPAN_S,
    RecentSpectra,
    SpectralStatistics,
    blocks_of_span,
    ring_size,
)

RATE_HZ, HOP_S, WINDOW_S = 1000, 0.5, 2.0
HOP, WINDOW = 500, 2000


def recent(ends: list[int]) -> RecentSpectra:
    """Return spectra of one band, each of which is the number of its window."""
    found = RecentSpectra(1, HOP_S, WINDOW_S, RATE_HZ)
    for number, end in enumerate(ends):
        found.push(np.array([number], np.float32), end)
    return found


def test_the_statistics_are_elements_of_the_sample_in_decibels() -> None:
    spectra = np.array([[3.0], [1.0], [2.0], [5.0], [4.0]], np.float32)
    found = SpectralStatistics.of(spectra)
    assert found.lower_quartile.tolist() == [20.0]
    assert found.median.tolist() == [30.0]


def test_the_last_ten_seconds_are_kept() -> None:
    rows = recent(list(range(WINDOW, WINDOW + 40 * HOP, HOP))).rows()
    assert rows is not None
    assert sorted(rows[:, 0].tolist()) == list(range(20, 40))


def test_too_little_sound_has_no_statistics() -> None:
    ends = list(range(WINDOW, round(SPAN_S * RATE_HZ / 2) + 1, HOP))
    assert recent(ends).rows() is not None
    assert recent(ends[:-1]).rows() is None
    assert recent([]).rows() is None


def test_windows_before_a_long_gap_are_left_out() -> None:
    before = [WINDOW + number * HOP for number in range(10)]
    after = [100_000 + number * HOP for number in range(8)]
    rows = recent(before + after).rows()
    assert rows is not None
    assert sorted(rows[:, 0].tolist()) == list(range(10, 18))


def test_nothing_is_left_after_it_was_cleared() -> None:
    found = recent(list(range(WINDOW, WINDOW + 40 * HOP, HOP)))
    found.clear()
    assert found.rows() is None


@pytest.mark.parametrize(("hop_s", "size"), [(0.5, 20), (0.512, 20), (20.0, 1)])
def test_the_ring_holds_the_windows_of_ten_seconds(hop_s: float, size: int) -> None:
    assert ring_size(hop_s) == size


@given(st.integers(1, 200), st.sampled_from([HOP, WINDOW]))
def test_blocks_cover_what_is_long_enough(count: int, hop: int) -> None:
    starts = [number * hop for number in range(count)]
    ends = [start + WINDOW for start in starts]
    found = blocks_of_span(starts, ends, RATE_HZ)
    span = SPAN_S * RATE_HZ
    assert bool(found) == (ends[-1] >= span / 2)
    for block in found:
        covered = ends[block.stop - 1] - starts[block.start]
        assert span / 2 <= covered <= span
    if found and ends[-1] >= span:
        assert (found[0].start, found[-1].stop) == (0, count)


def test_no_windows_have_no_blocks() -> None:
    assert blocks_of_span([], [], RATE_HZ) == []
