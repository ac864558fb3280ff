"""Single events in the training recordings: few, short and far from the rest."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asd_monitor.detector.events import MAX_EVENTS, MAX_SHARE, find_events
from asd_monitor.detector.spans import Spans

N = 240


def spans_of(n: int, *, segments: int = 1) -> Spans:
    start = np.arange(n, dtype=np.int64) * 50
    return Spans(np.arange(n) * segments // n, start, start + 200)


def scores(seed: int = 0) -> np.ndarray:
    """Return fused scores (N,) with a few of twice the usual height."""
    return np.abs(np.random.default_rng(seed).normal(0.5, 0.2, N))


@given(st.integers(0, 100), st.integers(5, N - 10), st.floats(4.0, 1e4))
def test_a_knock_is_an_event_with_its_edges(seed: int, at: int, height: float) -> None:
    fused = scores(seed)
    fused[at : at + 5] = [2.0, height, height, height, 2.0]
    assert np.flatnonzero(find_events(fused, spans_of(N))).tolist() == list(range(at, at + 5))


@given(st.integers(0, 300))
def test_usual_sound_has_no_event(seed: int) -> None:
    assert not find_events(scores(seed), spans_of(N)).any()


@pytest.mark.parametrize("count", [MAX_EVENTS, MAX_EVENTS + 1])
def test_events_that_recur_are_part_of_the_sound(count: int) -> None:
    fused = scores()
    fused[20 : 20 + 40 * count : 40] = 9.0
    assert np.count_nonzero(find_events(fused, spans_of(N))) == (count if count <= 2 else 0)


def test_a_long_event_is_part_of_the_sound() -> None:
    fused = scores()
    longest = int(MAX_SHARE * N)
    fused[20 : 20 + longest] = 9.0
    assert np.count_nonzero(find_events(fused, spans_of(N))) == longest
    fused[20 + longest] = 9.0
    assert not find_events(fused, spans_of(N)).any()


def test_events_do_not_span_segments() -> None:
    fused = scores()
    fused[N // 2 - 1 : N // 2 + 1] = 9.0  # two events, in segments of half the windows
    fused[10] = 9.0
    assert np.count_nonzero(find_events(fused, spans_of(N))) == 3
    assert not find_events(fused, spans_of(N, segments=2)).any()


def test_constant_scores_have_no_event() -> None:
    assert not find_events(np.full(N, 3.0), spans_of(N)).any()
