"""When self-tests are due and overdue."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asd_monitor.self_test.schedule import (
    DAY_S,
    OVERDUE_S,
    RETRY_S,
    TimesOfTests,
    day_of_test,
    is_due,
    phase_s,
)


def test_machines_and_boxes_are_spread_over_the_day() -> None:
    times_s = sorted(phase_s(f"box{b}", f"fan{m}") for b in range(4) for m in range(16))
    by_hour = [sum(h * 3600 <= each < (h + 1) * 3600 for each in times_s) for h in range(24)]
    assert max(by_hour) <= 8
    assert min(times_s) >= 0
    assert max(times_s) < DAY_S
    assert phase_s("box0", "fan0") == phase_s("box0", "fan0")


@given(now_s=st.floats(0, 4e9), begins_s=st.floats(0, DAY_S - 1))
def test_a_day_of_tests_lasts_a_day(now_s: float, begins_s: float) -> None:
    day = day_of_test(now_s, begins_s)
    assert day_of_test(now_s + DAY_S + 1e-3, begins_s) in (day + 1, day + 2)
    assert 0 <= now_s - begins_s - day * DAY_S <= DAY_S


@pytest.mark.parametrize(
    ("times", "since_attempt_s", "due"),
    [
        (TimesOfTests(), math.inf, True),  # never tested
        (TimesOfTests(100.0, 7), math.inf, False),  # tested on this day
        (TimesOfTests(100.0, 6), math.inf, True),
        (TimesOfTests(100.0, 9), math.inf, True),  # the clock was set back
        (TimesOfTests(100.0, 7, failed=True), RETRY_S, True),
        (TimesOfTests(100.0, 7, failed=True), RETRY_S - 1, False),
        (TimesOfTests(100.0, 6), RETRY_S - 1, False),
        (TimesOfTests(DAY_S, 7), math.inf, True),  # the clock stands still
    ],
)
def test_due(times: TimesOfTests, since_attempt_s: float, due: bool) -> None:
    assert is_due(times, 7, since_attempt_s) is due


@given(st.lists(st.floats(0, 7200), max_size=60))
def test_a_test_is_overdue_after_25_hours_of_running(runs_s: list[float]) -> None:
    times = TimesOfTests()
    for run_s in runs_s:
        times = times.ran(run_s)
    assert times.is_overdue is (sum(runs_s) > OVERDUE_S) or math.isclose(sum(runs_s), OVERDUE_S)
    assert not times.completed(3, failed=True).is_overdue


def test_a_monotonic_clock_that_goes_back_takes_nothing_away() -> None:
    assert TimesOfTests(100.0).ran(-5.0).running_s == 100.0
