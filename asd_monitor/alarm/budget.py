"""From the false alarms that the user accepts to thresholds.

Which alarm score normal sound reaches how often, a machine's detector has learned; here
the budget is only handed to it.
"""

from __future__ import annotations

from typing import Protocol

from asd_monitor.alarm.state import AlarmRule
from asd_monitor.config.quantities import Budget
from asd_monitor.config.settings import AlarmSettings
from asd_monitor.records import Thresholds


class AlarmScale(Protocol):
    """How high the alarm score of a machine's normals gets; its detector knows."""

    @property
    def hop_s(self) -> float:
        """Seconds from window to window."""

    def alarm_threshold(self, alarms_per_s: float) -> float:
        """Return the alarm score that normals exceed about so often."""


def thresholds_for(false_alarms: Budget, warnings: Budget, scale: AlarmScale) -> Thresholds:
    """Return both thresholds; a warning never needs more than an alarm."""
    alarm = scale.alarm_threshold(false_alarms.per_second)
    return Thresholds(min(alarm, scale.alarm_threshold(warnings.per_second)), alarm)


def rule_for(settings: AlarmSettings, scale: AlarmScale) -> AlarmRule:
    """Return the alarm rule for a machine."""
    return AlarmRule(
        thresholds=thresholds_for(settings.false_alarms, settings.warnings, scale),
        hop_s=scale.hop_s,
        on_delay_s=settings.on_delay_s,
        off_delay_s=settings.off_delay_s,
        latch=settings.latch,
    )
