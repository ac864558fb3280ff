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
from asd_monitor.detector.fit import BLOCK_S, FOLDS, assign_folds, held_out_scores
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


segments = st.lists(
    st.lists(st.integers(0, 4000), max_size=60, unique=True).map(sorted), min_size=1, max_size=8
).filter(any)


@given(segments)
def test_folds_are_consecutive_blocks_of_time(starts: list[list[int]]) -> None:
    folds = assign_folds([windows_at(each) for each in starts], RATE_HZ)
    assert len(folds) == sum(map(len, starts))
    assert set(np.diff(folds)) <= {0, 1}
    assert folds[0] == 0
    assert folds.max() < FOLDS


def test_a_long_recording_is_divided_into_blocks_of_time() -> None:
    windows = windows_at(list(range(0, 6000, 50)))
    folds = assign_folds([windows], RATE_HZ)
    changes = [windows[i].start / RATE_HZ for i in np.flatnonzero(np.diff(folds)) + 1]
    assert len(changes) == FOLDS - 1
    assert all(change % BLOCK_S == 0 for change in changes)


@given(segments)
@example([list(range(0, 6000, 50))])
def test_no_window_is_scored_by_a_fit_to_windows_that_overlap_it(starts: list[list[int]]) -> None:
    placed = [windows_at(each, segment) for segment, each in enumerate(starts)]
    windows = [window for segment in placed for window in segment]
    folds = assign_folds(placed, RATE_HZ)
    scores = held_out_scores(POSITION, windows, Spans.of(placed), folds)
    assert scores.tolist() == [0.0] * len(windows)


def test_windows_in_one_fold_overlap_windows_of_the_next() -> None:
    """The condition of the test above is not met by the folds alone."""
    placed = [windows_at(list(range(0, 6000, 50)))]
    spans, folds = Spans.of(placed), assign_folds(placed, RATE_HZ)
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
