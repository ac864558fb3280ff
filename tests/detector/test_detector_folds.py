"""Out-of-fold scores: folds are blocks of time, and no training window shares their sound."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from asd_monitor.detector.back_end import BackEnd, Vectors
from asd_monitor.detector.evidence import Blocks
from asd_monitor.detector.fit import (
    BLOCK_S,
    DAY_S,
    FOLDS,
    HOUR_S,
    MAX_DAY_FOLDS,
    assign_folds,
    count_days,
    count_hours,
    fewest_kept,
    find_blocks,
    held_out_scores,
    window_times,
)
from asd_monitor.detector.spans import Spans
from asd_monitor.detector.views import ViewKind
from asd_monitor.features.windows import Window

LENGTH = 200  # of a window, in samples
RATE_HZ = 100


@dataclass(frozen=True, slots=True, eq=False)
class OverlapsTraining(BackEnd):
    """Scores 1 for a window that overlaps one of those that it was fitted to, else 0."""

    kind = "overlaps_training"
    positions: Vectors  # (n, 3): segment, start, end

    @classmethod
    def fit(cls, reference: Vectors, spans: Spans) -> Self:
        assert np.array_equal(reference, np.stack([spans.segment, spans.start, spans.end], 1))
        return cls(reference)

    @classmethod
    def score_each(cls, machines: Sequence[Self], vectors: Vectors) -> Vectors:
        segment, start, end = (vectors[0][:, axis, None] for axis in range(3))
        theirs = machines[0].positions
        overlap = (segment == theirs[:, 0]) & (start < theirs[:, 2]) & (theirs[:, 1] < end)
        return np.asarray(overlap.any(1)[None], np.float32)


POSITION = ViewKind("position", "position", OverlapsTraining, "overlap")


def windows_at(starts: Sequence[int], segment: int = 0) -> list[Window]:
    return [
        Window(
            start,
            start + LENGTH,
            {"position": np.array([segment, start, start + LENGTH], np.float32)},
        )
        for start in starts
    ]


def folds_of(placed: Sequence[Sequence[Window]]) -> np.ndarray:
    return assign_folds(find_blocks(placed, RATE_HZ))


segments = st.lists(
    st.lists(st.integers(0, 4000), max_size=60, unique=True).map(sorted), min_size=1, max_size=8
).filter(any)


@given(segments)
def test_folds_are_consecutive_blocks_of_time(starts: list[list[int]]) -> None:
    folds = folds_of([windows_at(each) for each in starts])
    assert len(folds) == sum(map(len, starts))
    assert set(np.diff(folds)) <= {0, 1}
    assert folds[0] == 0
    assert folds.max() < FOLDS


def test_a_long_recording_is_divided_into_blocks_of_time() -> None:
    windows = windows_at(list(range(0, 6000, 50)))
    folds = folds_of([windows])
    changes = [windows[i].start / RATE_HZ for i in np.flatnonzero(np.diff(folds)) + 1]
    assert len(changes) == FOLDS - 1
    assert all(change % BLOCK_S == 0 for change in changes)


@given(segments)
@example([list(range(0, 6000, 50))])
def test_no_window_is_scored_by_a_fit_to_windows_that_overlap_it(starts: list[list[int]]) -> None:
    placed = [windows_at(each, segment) for segment, each in enumerate(starts)]
    windows = [window for segment in placed for window in segment]
    vectors = np.stack([window.features["position"] for window in windows])
    usual = np.full(len(windows), True)
    scores = held_out_scores(POSITION, vectors, Spans.of(placed), folds_of(placed), usual)
    assert scores.tolist() == [0.0] * len(windows)


def test_windows_in_one_fold_overlap_windows_of_the_next() -> None:
    """The condition of the test above is not met by the folds alone."""
    placed = [windows_at(list(range(0, 6000, 50)))]
    spans, folds = Spans.of(placed), folds_of(placed)
    first_of_next = np.flatnonzero(np.diff(folds)) + 1
    assert (spans.start[first_of_next] < spans.end[first_of_next - 1]).all()


def test_windows_that_overlap_the_chosen_ones_are_found_on_both_sides() -> None:
    spans = Spans.of([windows_at(list(range(0, 4000, 50)))])  # every sample is in four windows
    chosen = np.zeros(80, bool)
    chosen[30:40] = True
    assert np.flatnonzero(spans.overlapping(chosen)).tolist() == list(range(27, 43))


@given(segments, st.data())
def test_windows_overlap_within_a_segment_only(
    starts: list[list[int]], data: st.DataObject
) -> None:
    spans = Spans.of([windows_at(each) for each in starts])
    n = len(spans.start)
    pairs = np.array(
        [
            [
                spans.segment[i] == spans.segment[j]
                and max(spans.start[i], spans.start[j]) < min(spans.end[i], spans.end[j])
                for j in range(n)
            ]
            for i in range(n)
        ]
    )
    assert np.array_equal(spans.overlapping_pairs(), pairs)
    chosen = np.array(data.draw(st.lists(st.booleans(), min_size=n, max_size=n)))
    assert np.array_equal(spans.overlapping(chosen), (pairs & chosen).any(1))


@pytest.mark.parametrize("indices", [[], [0], [2, 0]])
def test_positions_can_be_selected(indices: list[int]) -> None:
    spans = Spans.of([windows_at([0, 50]), windows_at([10])]).take(np.array(indices, np.int64))
    assert spans.start.tolist() == [[0, 50, 10][index] for index in indices]
    assert spans.segment.tolist() == [[0, 0, 1][index] for index in indices]


@given(segments)
def test_blocks_are_ten_seconds_long_and_do_not_span_segments(starts: list[list[int]]) -> None:
    placed = [windows_at(each, segment) for segment, each in enumerate(starts)]
    blocks, spans = find_blocks(placed, RATE_HZ), Spans.of(placed)
    assert set(blocks.number) == set(range(len(blocks)))
    for block in range(len(blocks)):
        own = blocks.number == block
        assert np.ptp(spans.start[own]) < BLOCK_S * RATE_HZ
        assert len(set(spans.segment[own])) == 1
    assert (np.diff(blocks.begins_s) > BLOCK_S - 1e-6).all(), "segments follow each other"


def test_the_times_of_blocks_and_windows_are_those_of_their_segments() -> None:
    """The second segment is the earlier one; the first has a pause of 15 s."""
    placed = [windows_at([100, 600, 1150, 2700]), [], windows_at([700, 1700])]
    blocks = find_blocks(placed, RATE_HZ, begins_s=[5000.0, 0.0, 1000.0])
    assert blocks.number.tolist() == [0, 0, 1, 2, 3, 4]
    assert blocks.begins_s.tolist() == [5000.0, 5010.5, 5026.0, 1000.0, 1010.0]
    times_s = window_times(blocks, Spans.of(placed), RATE_HZ)
    assert times_s.tolist() == [5000.0, 5005.0, 5010.5, 5026.0, 1000.0, 1010.0]


def test_hours_and_days_with_sound_are_counted() -> None:
    assert count_hours([]) == count_days([]) == 1
    assert count_hours([7000.0, 7000.0 + HOUR_S - 1]) == 1
    assert count_hours([7000.0 + 5 * HOUR_S, 7000.0]) == 2
    three_days = [day * DAY_S + 600.0 * number for day in range(3) for number in range(20)]
    assert count_days(three_days) == 3
    assert count_days([*three_days, 3 * DAY_S]) == 3, "a day with one block does not count"
    assert count_hours(three_days) == 3 * 4


@pytest.mark.parametrize(("days", "folds"), [(2, FOLDS), (3, 3), (7, 7), (30, MAX_DAY_FOLDS)])
def test_sound_of_several_days_is_held_out_day_by_day(days: int, folds: int) -> None:
    begins_s = np.concatenate([day * DAY_S + np.arange(10) * HOUR_S for day in range(days)])
    number = np.repeat(np.arange(len(begins_s)), 3)
    blocks = Blocks(number, begins_s, count_hours(begins_s.tolist()), count_days(begins_s.tolist()))
    found = assign_folds(blocks)
    assert len(set(found)) == folds
    if folds != FOLDS:
        day = (begins_s // DAY_S)[number]
        assert all(len(set(found[day == each])) == 1 for each in range(days))


def test_the_windows_outside_each_fold_are_counted() -> None:
    placed = [windows_at(list(range(0, 1000, 50))), windows_at([0, 100, 200], 1)]
    assert fewest_kept(Spans.of(placed), folds_of(placed)) == 3
    overlapping = [windows_at(list(range(0, 1100, 50)))]  # a second block of two windows
    assert fewest_kept(Spans.of(overlapping), folds_of(overlapping)) == 0
