"""Thresholds of the alarm score from the accepted rates of false alarms and warnings."""

from __future__ import annotations

from math import log10
from typing import Protocol

from asd_monitor.alarm.scale_tail import ScaleTail
from asd_monitor.alarm.state import AlarmRule
from asd_monitor.alarm.supported_budget import effective_budget
from asd_monitor.alarm.time_scales import STEP_S
from asd_monitor.records import AlarmCriteria, Thresholds

MIN_THRESHOLD = 1.0


class EvidenceScale(Protocol):
    """The distribution of the evidence in normal sound; a detector has one."""

    @property
    def window_s(self) -> float:
        """Length of a window in seconds."""

    @property
    def hop_s(self) -> float:
        """Seconds from window to window."""

    @property
    def tails(self) -> tuple[ScaleTail, ...]:
        """The tail of each time scale, the shortest first."""

    @property
    def effect_bound(self) -> float:
        """Evidence of ten seconds that is an alarm whatever the tails say; inf: none."""

    @property
    def hours(self) -> float:
        """Different hours that the training sound is from; inf: no budget is too strict."""


def threshold_for(rate_hz: float) -> float:
    """Return the alarm score that normal sound exceeds at this rate in events per second.

    It is the same for every machine: −log10 of the events in ten seconds, at least
    `MIN_THRESHOLD`.
    """
    return max(MIN_THRESHOLD, -log10(rate_hz * STEP_S))


def thresholds_for(false_alarms_hz: float, warnings_hz: float) -> Thresholds:
    """Return both thresholds; that of the warning is at most that of the alarm.

    Args:
        false_alarms_hz: accepted rate of false alarms, in events per second.
        warnings_hz: accepted rate of false warnings, in events per second.

    """
    alarm = threshold_for(false_alarms_hz)
    return Thresholds(min(alarm, threshold_for(warnings_hz)), alarm)


def alarm_rule(criteria: AlarmCriteria, scale: EvidenceScale) -> AlarmRule:
    """Return the alarm rule of a machine for the criteria of the user.

    The thresholds are those of the effective budget (`asd_monitor.alarm.supported_budget`).
    """
    budget = effective_budget(criteria, scale.hours)
    return AlarmRule(
        thresholds=thresholds_for(budget.false_alarms_hz, budget.warnings_hz),
        hop_s=scale.hop_s,
        window_s=scale.window_s,
        tails=scale.tails,
        effect_bound=scale.effect_bound,
        on_delay_s=criteria.on_delay_s,
        off_delay_s=criteria.off_delay_s,
        latch=criteria.latch,
        when_quiet=criteria.when_quiet,
    )
