"""The budget that training sound supports."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asd_monitor.alarm.supported_budget import (
    LOOSEST_HZ,
    MAX_EXTRAPOLATION,
    effective_budget,
    provisional_text,
)
from asd_monitor.config.quantities import parse_budget
from asd_monitor.records import AlarmCriteria

RATES_HZ = st.floats(1e-10, 1 / 60)
HOURS = st.integers(1, 2000)


def criteria(false_alarms: str, warnings: str = "1 per day") -> AlarmCriteria:
    return AlarmCriteria(parse_budget(false_alarms).per_second, parse_budget(warnings).per_second)


@pytest.mark.parametrize(
    ("configured", "hours", "effective", "provisional"),
    [
        ("1 per month", 1, "1 per day", True),
        ("1 per month", 4, "1 per day", True),
        ("1 per month", 24, "1.4 per week", True),  # one in 120 hours
        ("1 per month", 100, "1.5 per month", True),
        ("1 per month", 168, "1 per month", False),
        ("1 per week", 33, "1 per week", True),  # one in 165 hours
        ("1 per week", 34, "1 per week", False),
        ("1 per day", 1, "1 per day", False),
        ("1 per hour", 1, "1 per hour", False),
    ],
)
def test_the_effective_budget(
    configured: str, hours: int, effective: str, *, provisional: bool
) -> None:
    budget = effective_budget(criteria(configured), hours)
    assert (budget.false_alarms, budget.provisional) == (effective, provisional)


def test_the_warning_is_relaxed_by_the_same_factor() -> None:
    budget = effective_budget(criteria("1 per week", "2 per day"), 1)
    assert budget.false_alarms_hz == pytest.approx(parse_budget("1 per day").per_second)
    assert budget.warnings_hz == pytest.approx(parse_budget("14 per day").per_second)


@given(RATES_HZ, RATES_HZ, HOURS)
def test_it_is_never_stricter_than_configured_and_at_worst_one_per_day(
    false_alarms_hz: float, warnings_hz: float, hours: int
) -> None:
    budget = effective_budget(AlarmCriteria(false_alarms_hz, warnings_hz), hours)
    assert budget.false_alarms_hz >= false_alarms_hz
    assert budget.provisional == (budget.false_alarms_hz > false_alarms_hz)
    if budget.provisional:
        assert budget.false_alarms_hz <= LOOSEST_HZ
        between_h = 1 / budget.false_alarms_hz / 3600
        assert between_h <= max(24.0, MAX_EXTRAPOLATION * hours) * (1 + 1e-9)
        assert hours < budget.needed_hours


@given(RATES_HZ)
def test_the_needed_hours_are_the_fewest_that_support_the_budget(false_alarms_hz: float) -> None:
    accepted = AlarmCriteria(false_alarms_hz, 1e-5)
    needed = effective_budget(accepted, 1).needed_hours
    assert not effective_budget(accepted, needed * (1 + 1e-6)).provisional
    assert needed == 1 or effective_budget(accepted, needed - 1).provisional


def test_seven_days_support_one_per_month() -> None:
    assert effective_budget(criteria("1 per month"), 1).needed_hours == 147


@pytest.mark.parametrize(
    ("configured", "hours", "text"),
    [
        (
            "1 per month",
            1,
            "provisional: training sound from within one hour supports a budget of 1 per day; the "
            "full budget of 1 per month is expected to hold after 7 days of commissioning, or with "
            "recordings by `asd-monitor record` in 147 different hours",
        ),
        (
            "1 per week",
            10,
            "provisional: training sound from 10 different hours supports a budget of 3.4 per "
            "week; the full budget of 1 per week is expected to hold after 34 hours of "
            "commissioning, or with recordings by `asd-monitor record` in 34 different hours",
        ),
    ],
)
def test_the_text_says_what_is_supported_and_from_when_the_full_budget_is(
    configured: str, hours: int, text: str
) -> None:
    assert provisional_text(effective_budget(criteria(configured), hours), configured) == text
