"""From the false alarms that the user accepts to a threshold.

A score s means that one normal window in 10^s scores as high.  A machine has
`period / hop` windows in the budget's period; if each were judged by itself, allowing
`allowed` of them means

    threshold = log10(period_s / hop_s / allowed).

Neighbouring windows share sound and so exceed together, and the alarm score takes more
than half of the windows of some seconds: both make real false alarms rarer than the
budget.  The rule errs on the quiet side by a factor that depends on the machine.
"""

from __future__ import annotations

import math

from asd_monitor.alarm.machine import AlarmRule
from asd_monitor.config.quantities import Budget
from asd_monitor.config.settings import AlarmSettings
from asd_monitor.records import Thresholds


def threshold_for(budget: Budget, hop_s: float) -> float:
    """Return the alarm score that normal sound reaches as often as the budget allows."""
    return max(0.0, -math.log10(budget.per_second * hop_s))


def thresholds_for(false_alarms: Budget, warnings: Budget, hop_s: float) -> Thresholds:
    """Return both thresholds; a warning never needs more than an alarm."""
    alarm = threshold_for(false_alarms, hop_s)
    return Thresholds(warning=min(alarm, threshold_for(warnings, hop_s)), alarm=alarm)


def rule_for(settings: AlarmSettings, hop_s: float) -> AlarmRule:
    """Return the alarm rule for a detector that scores a window every ``hop_s``."""
    return AlarmRule(
        thresholds=thresholds_for(settings.false_alarms, settings.warnings, hop_s),
        hop_s=hop_s,
        on_delay_s=settings.on_delay_s,
        off_delay_s=settings.off_delay_s,
        latch=settings.latch,
    )
