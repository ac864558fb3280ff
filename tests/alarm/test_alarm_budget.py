from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asd_monitor.alarm.budget import rule_for, threshold_for, thresholds_for
from asd_monitor.config.quantities import parse_budget
from asd_monitor.config.settings import AlarmSettings


@pytest.mark.parametrize(
    ("budget", "threshold"),
    [("1 per month", 6.711), ("1 per day", 5.227), ("2 per week", 5.771), ("1 per year", 7.790)],
)
def test_the_threshold_leaves_the_budget(budget: str, threshold: float) -> None:
    assert threshold_for(parse_budget(budget), 0.512) == pytest.approx(threshold, abs=1e-3)


@given(st.integers(1, 60), st.sampled_from(["hour", "day", "week", "month", "year"]))
def test_normal_windows_exceed_it_as_often_as_allowed(count: int, unit: str) -> None:
    budget = parse_budget(f"{count} per {unit}")
    windows_a_second = 1 / 0.512
    expected = windows_a_second * 10 ** -threshold_for(budget, 0.512)
    assert expected == pytest.approx(budget.per_second)


def test_a_warning_never_needs_more_than_an_alarm() -> None:
    often, rarely = parse_budget("1 per hour"), parse_budget("1 per year")
    thresholds = thresholds_for(false_alarms=often, warnings=rarely, hop_s=0.512)
    assert thresholds.warning == thresholds.alarm


def test_the_rule_takes_over_the_settings() -> None:
    rule = rule_for(AlarmSettings(on_delay_s=1.0, off_delay_s=2.0, latch=False), hop_s=0.5)
    assert (rule.on_delay_s, rule.off_delay_s, rule.latch, rule.hop_s) == (1.0, 2.0, False, 0.5)
    assert rule.thresholds.warning < rule.thresholds.alarm
