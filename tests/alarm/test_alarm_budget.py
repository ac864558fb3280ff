from __future__ import annotations

import math
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from asd_monitor.alarm.budget import rule_for, thresholds_for
from asd_monitor.config.quantities import parse_budget
from asd_monitor.config.settings import AlarmSettings

UNITS = ["hour", "day", "week", "month", "year"]


@dataclass(frozen=True)
class Decades:
    """A machine whose alarm score exceeds s in a share of 10^-s of all seconds."""

    hop_s: float = 0.5

    def alarm_threshold(self, alarms_per_s: float) -> float:
        return -math.log10(alarms_per_s)


@given(st.integers(1, 60), st.sampled_from(UNITS), st.integers(1, 60), st.sampled_from(UNITS))
def test_each_threshold_leaves_its_budget_and_a_warning_never_needs_more(
    alarms: int, alarms_per: str, warnings: int, warnings_per: str
) -> None:
    false_alarms = parse_budget(f"{alarms} per {alarms_per}")
    expected = parse_budget(f"{warnings} per {warnings_per}")
    thresholds = thresholds_for(false_alarms, expected, Decades())
    assert math.isclose(10**-thresholds.alarm, false_alarms.per_second)
    rate = max(expected.per_second, false_alarms.per_second)
    assert math.isclose(10**-thresholds.warning, rate)


def test_the_rule_takes_over_the_settings() -> None:
    rule = rule_for(AlarmSettings(on_delay_s=1.0, off_delay_s=2.0, latch=False), Decades())
    assert (rule.on_delay_s, rule.off_delay_s, rule.latch, rule.hop_s) == (1.0, 2.0, False, 0.5)
    assert rule.thresholds.warning < rule.thresholds.alarm
