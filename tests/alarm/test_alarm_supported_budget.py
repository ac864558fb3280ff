"""The budget that training sound supports."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asd_monitor.alarm.supported_budget import (
    LOOSEST_HZ,
    MAX_EXTRAPOLATION,
    CommissioningExtent,
    effective_budget,
    provisional_text,
)
from asd_monitor.config.quantities import parse_budget
from asd_monitor.records import MAX_COMMISSIONING_DAYS, AlarmCriteria
from asd_monitor.wording import DAY_S

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


RECORD = "record in 147 hours with `asd-monitor record` and train again"


@pytest.mark.parametrize(
    ("hours", "extent", "remedy"),
    [
        pytest.param(1, CommissioningExtent(), RECORD, id="no commissioning"),
        pytest.param(
            1,
            CommissioningExtent(7.0),
            f"7 days of commissioning, where it runs day and night, or {RECORD}",
            id="before the first day",
        ),
        pytest.param(
            1,
            CommissioningExtent(3.0),
            "7 days of commissioning, where it runs day and night: set `commissioning: {days: 7}`, "
            f"or {RECORD}",
            id="a short commissioning",
        ),
        pytest.param(
            46,
            CommissioningExtent(7.0, 2 * DAY_S),
            f"7 days of commissioning, as it has run in about 23 hours a day, or {RECORD}",
            id="runs day and night",
        ),
        pytest.param(
            16,
            CommissioningExtent(7.0, 2 * DAY_S),
            "19 days of commissioning, as it has run in about 8 hours a day: set `commissioning: "
            f"{{days: 19}}`, or {RECORD}",
            id="runs in one shift",
        ),
        pytest.param(
            56,
            CommissioningExtent(7.0, 7.1 * DAY_S),
            "19 days of commissioning, as it has run in about 7.9 hours a day, of which 7 are "
            f"over: set `commissioning: {{days: 19}}` to go on, or {RECORD}",
            id="over",
        ),
        pytest.param(
            14,
            CommissioningExtent(7.0, 7 * DAY_S),
            f"{RECORD}, since it would take 74 days of commissioning, as it has run in about 2 "
            "hours a day, of which 7 are over",
            id="runs rarely",
        ),
    ],
)
def test_the_text_says_what_is_supported_and_what_the_full_budget_needs(
    hours: int, extent: CommissioningExtent, remedy: str
) -> None:
    budget = effective_budget(criteria("1 per month"), hours)
    text = provisional_text(budget, "1 per month", extent)
    of = "within one hour" if hours == 1 else f"{hours} different hours"
    assert text == (
        f"provisional: training sound from {of} supports a budget of {budget.false_alarms}; the "
        "full budget of 1 per month needs sound of the running machine from 147 different hours: "
        f"{remedy}"
    )


@given(
    st.integers(1, 1752), st.floats(0.1, 60), st.floats(0, 90), st.sampled_from(["week", "year"])
)
def test_the_days_that_are_recommended_are_more_than_configured_and_possible(
    hours: int, days: float, age_days: float, period: str
) -> None:
    budget = effective_budget(criteria(f"1 per {period}"), hours)
    extent = CommissioningExtent(days, age_days * DAY_S)
    text = provisional_text(budget, f"1 per {period}", extent)
    assert "`asd-monitor record`" in text
    found = re.search(r"`commissioning: \{days: (\d+)\}`", text)
    if found is not None:
        assert days < int(found[1]) <= MAX_COMMISSIONING_DAYS
    elif budget.provisional and extent.is_over:
        assert "would take" in text
