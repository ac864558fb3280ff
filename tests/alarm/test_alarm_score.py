from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asd_monitor.alarm.score import SPAN_S, AlarmScore

HOP_S = 0.512
SCORES = st.floats(0, 12)


def test_a_slammed_door_is_not_seen() -> None:
    score = AlarmScore(HOP_S)
    for _ in range(20):
        score.push(0.5)
    assert max(score.push(s) for s in [12.0] * 5 + [0.5] * 20) == 0.5


def test_a_slammed_door_is_not_seen_in_the_first_sound_either() -> None:
    score = AlarmScore(HOP_S)
    assert max(score.push(s) for s in [12.0] * 5 + [0.5] * 20) == 0.5


def test_a_fault_that_lasts_shows_after_six_seconds() -> None:
    score = AlarmScore(HOP_S)
    for _ in range(20):
        score.push(0.5)
    assert [score.push(8.0) for _ in range(12)] == [0.5] * 10 + [8.0] * 2


def test_it_is_full_after_its_span_and_empty_after_a_reset() -> None:
    score = AlarmScore(HOP_S)
    for _ in range(19):
        score.push(1.0)
    assert not score.full
    score.push(1.0)
    assert score.full
    score.reset()
    assert not score.full
    assert score.push(1.0) == 0.0


def test_a_hop_longer_than_the_span_judges_each_window() -> None:
    assert AlarmScore(20.0).push(7.0) == 7.0


def test_a_score_that_is_no_number_is_refused() -> None:
    with pytest.raises(ValueError, match="not a number"):
        AlarmScore(HOP_S).push(math.nan)


@given(st.lists(SCORES, min_size=1, max_size=60), st.floats(0.05, 6))
def test_an_excess_is_an_excess_of_more_than_half(scores: list[float], hop_s: float) -> None:
    score = AlarmScore(hop_s)
    size = max(1, round(SPAN_S / hop_s))
    for n, newest in enumerate(scores, start=1):
        median = score.push(newest)
        last = scores[max(0, n - size) : n]
        assert median in last or (median == 0.0 and n < size)
        if median > 0:
            assert sum(s >= median for s in last) > size / 2
        assert sum(s <= median for s in last) + (size - len(last)) >= size / 2
