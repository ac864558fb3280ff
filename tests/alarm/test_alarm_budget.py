from __future__ import annotations

import math
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from asd_monitor.alarm.budget import alarm_rule, thresholds_for
from asd_monitor.records import AlarmCriteria

RATES_HZ = st.floats(1e-10, 1e-2)


@dataclass(frozen=True)
class Decades:
    """A detector whose alarm scores exceed s at a rate of 10^-s per second."""

    hop_s: float = 0.5

    def alarm_threshold(self, alarms_per_s: float) -> float:
        return -math.log10(alarms_per_s)


@given(RATES_HZ, RATES_HZ)
def test_each_threshold_has_the_accepted_rate_and_a_warning_is_never_above_an_alarm(
    false_alarms_hz: float, warnings_hz: float
) -> None:
    thresholds = thresholds_for(false_alarms_hz, warnings_hz, Decades())
    assert math.isclose(10**-thresholds.alarm, false_alarms_hz)
    assert math.isclose(10**-thresholds.warning, max(warnings_hz, false_alarms_hz))


def test_the_rule_has_the_delays_and_the_latch_of_the_criteria() -> None:
    criteria = AlarmCriteria(4e-7, 1e-5, on_delay_s=1.0, off_delay_s=2.0, latch=False)
    rule = alarm_rule(criteria, Decades())
    assert (rule.on_delay_s, rule.off_delay_s, rule.latch, rule.hop_s) == (1.0, 2.0, False, 0.5)
    assert rule.thresholds.warning < rule.thresholds.alarm
