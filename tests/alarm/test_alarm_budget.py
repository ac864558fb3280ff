from __future__ import annotations

import math
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asd_monitor.alarm.budget import MIN_THRESHOLD, alarm_rule, threshold_for, thresholds_for
from asd_monitor.alarm.scale_tail import ScaleTail
from asd_monitor.config.quantities import parse_budget
from asd_monitor.records import AlarmCriteria

RATES_HZ = st.floats(1e-10, 1.0)


@dataclass(frozen=True)
class Evidence:
    """The evidence of a detector."""

    window_s: float = 2.0
    hop_s: float = 0.5
    tails: tuple[ScaleTail, ...] = field(default=(ScaleTail(10.0, 0.1, 0.5, 9.0),))
    effect_bound: float = 7.0
    hours: float = 1000


@given(RATES_HZ, RATES_HZ)
def test_each_threshold_has_the_accepted_rate_and_a_warning_is_never_above_an_alarm(
    false_alarms_hz: float, warnings_hz: float
) -> None:
    thresholds = thresholds_for(false_alarms_hz, warnings_hz)
    alarms = false_alarms_hz * 10.0  # in ten seconds
    assert math.isclose(10**-thresholds.alarm, min(0.1, alarms), rel_tol=1e-9)
    expected = min(0.1, max(alarms, warnings_hz * 10.0))
    assert math.isclose(10**-thresholds.warning, expected, rel_tol=1e-9)


@pytest.mark.parametrize(
    ("budget", "threshold"), [("1 per month", 5.42), ("1 per day", 3.94), ("5 per day", 3.24)]
)
def test_the_threshold_of_a_budget(budget: str, threshold: float) -> None:
    assert threshold_for(parse_budget(budget).per_second) == pytest.approx(threshold, abs=0.005)


def test_a_threshold_is_never_below_the_lowest() -> None:
    assert threshold_for(1.0) == MIN_THRESHOLD


def test_the_rule_has_the_tails_the_delays_and_the_latch() -> None:
    criteria = AlarmCriteria(4e-7, 1e-5, on_delay_s=1.0, off_delay_s=2.0, latch=False)
    rule, evidence = alarm_rule(criteria, Evidence()), Evidence()
    assert (rule.on_delay_s, rule.off_delay_s, rule.latch) == (1.0, 2.0, False)
    assert (rule.window_s, rule.hop_s) == (evidence.window_s, evidence.hop_s)
    assert (rule.tails, rule.effect_bound) == (evidence.tails, evidence.effect_bound)
    assert rule.thresholds.warning < rule.thresholds.alarm


def test_the_thresholds_are_those_of_the_budget_that_the_training_sound_supports() -> None:
    month, day = parse_budget("1 per month").per_second, parse_budget("1 per day").per_second
    criteria = AlarmCriteria(month, day)
    provisional = alarm_rule(criteria, Evidence(hours=1)).thresholds
    assert provisional == thresholds_for(day, day**2 / month)
    assert alarm_rule(criteria, Evidence(hours=168)).thresholds == thresholds_for(month, day)
