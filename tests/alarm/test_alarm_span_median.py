from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asd_monitor.alarm.span_median import ALARM_SPAN_S, SpanMedian, max_outliers, span_windows

HOP_S = 0.512
SIZE = 20  # windows in the span
EVIDENCE = st.floats(-3, 40)


def full_span(score: float = 0.5) -> SpanMedian:
    alarm_score = SpanMedian(HOP_S)
    for _ in range(SIZE):
        alarm_score.push(score)
    return alarm_score


def test_an_impact_does_not_change_the_median() -> None:
    score = full_span()
    assert max(score.push(s) for s in [12.0] * 5 + [0.5] * 20) == 0.5


def test_an_impact_in_the_first_sound_does_not_raise_the_median() -> None:
    score = SpanMedian(HOP_S)
    assert max(score.push(s) for s in [12.0] * 5 + [0.5] * 20) == 0.5


def test_a_persistent_fault_raises_the_median_after_six_seconds() -> None:
    score = full_span()
    assert [score.push(8.0) for _ in range(12)] == [0.5] * 10 + [8.0] * 2


@pytest.mark.parametrize(("hop_s", "windows"), [(0.512, 20), (1.0, 10), (2.0, 5), (20.0, 1)])
def test_the_evidence_is_the_lower_median_of_the_span(hop_s: float, windows: int) -> None:
    score = SpanMedian(hop_s)
    found = [score.push(float(value)) for value in range(1, windows + 1)][-1]
    assert found == sorted(range(1, windows + 1))[(windows - 1) // 2]
    assert span_windows(hop_s) == windows
    assert max_outliers(windows) == found - 1


def test_the_span_is_full_after_ten_seconds_and_empty_after_a_reset() -> None:
    score = SpanMedian(HOP_S)
    for _ in range(SIZE - 1):
        score.push(1.0)
    assert not score.full
    score.push(1.0)
    assert score.full
    score.reset()
    assert not score.full
    assert score.push(1.0) == -math.inf


@pytest.mark.parametrize("missing", [1, 9, 10, 1000])
def test_missing_windows_count_as_the_lowest(missing: int) -> None:
    score = full_span(8.0)
    score.push_missing(missing)
    assert not score.full
    assert score.push(8.0) == (8.0 if missing <= 9 else -math.inf)


def test_a_window_that_stands_for_several_hops_counts_as_many_times() -> None:
    score = full_span()
    assert [score.push(8.0, hops=4) for _ in range(3)] == [0.5, 0.5, 8.0]


def test_a_hop_longer_than_the_span_gives_the_score_of_each_window() -> None:
    assert SpanMedian(20.0).push(7.0) == 7.0


@pytest.mark.parametrize("evidence", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_refused(evidence: float) -> None:
    with pytest.raises(ValueError, match="not a number"):
        SpanMedian(HOP_S).push(evidence)


@given(st.lists(EVIDENCE, min_size=1, max_size=60), st.floats(0.05, 6))
def test_more_than_half_of_the_span_reaches_the_median(scores: list[float], hop_s: float) -> None:
    score = SpanMedian(hop_s)
    size = max(1, round(ALARM_SPAN_S / hop_s))
    for n, newest in enumerate(scores, start=1):
        median = score.push(newest)
        last = scores[max(0, n - size) : n]
        assert median in last or (median == -math.inf and n < size)
        if median > -math.inf:
            assert sum(s >= median for s in last) > size / 2
        assert sum(s <= median for s in last) + (size - len(last)) >= size / 2
