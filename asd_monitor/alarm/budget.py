"""Thresholds of the alarm score from the accepted rates of false alarms and warnings."""

from __future__ import annotations

from typing import Protocol

from asd_monitor.alarm.state import AlarmRule
from asd_monitor.records import AlarmCriteria, Thresholds


class AlarmScale(Protocol):
    """The relation between alarm scores and their rate in normal sound; a detector has one."""

    @property
    def hop_s(self) -> float:
        """Seconds from window to window."""

    def alarm_threshold(self, alarms_per_s: float) -> float:
        """Return the alarm score that normal sound exceeds at this rate."""


def thresholds_for(false_alarms_hz: float, warnings_hz: float, scale: AlarmScale) -> Thresholds:
    """Return both thresholds; that of the warning is at most that of the alarm.

    Args:
        false_alarms_hz: accepted rate of false alarms, in events per second.
        warnings_hz: accepted rate of false warnings, in events per second.
        scale: the detector's scale of alarm scores.

    """
    alarm = scale.alarm_threshold(false_alarms_hz)
    return Thresholds(min(alarm, scale.alarm_threshold(warnings_hz)), alarm)


def alarm_rule(criteria: AlarmCriteria, scale: AlarmScale) -> AlarmRule:
    """Return the alarm rule of a machine for the criteria of the user."""
    return AlarmRule(
        thresholds=thresholds_for(criteria.false_alarms_hz, criteria.warnings_hz, scale),
        hop_s=scale.hop_s,
        on_delay_s=criteria.on_delay_s,
        off_delay_s=criteria.off_delay_s,
        latch=criteria.latch,
        when_quiet=criteria.when_quiet,
    )
