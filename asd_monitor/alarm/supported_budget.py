"""The budget that the training sound of a model supports.

The tails of the evidence say how often normal sound exceeds a threshold, far beyond what minutes or
hours of recording can show.  So the mean time between false alarms is limited to a multiple of the
hours that the training sound is from.  A model whose training sound does not support the configured
budget is provisional: its thresholds are those of the strictest budget that it supports, and the
budget of the warning is relaxed by the same factor.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from asd_monitor.records import AlarmCriteria
from asd_monitor.wording import DAY_S, count, rate

HOUR_S = 3600.0
MAX_EXTRAPOLATION = 5.0
"""Longest supported time between false alarms, as a multiple of the hours of the training sound.

A tail is extrapolated to a probability five times smaller than that of one of these hours, no
further.  Seven days, 168 h, support `1 per month`."""
LOOSEST_HZ = 1.0 / DAY_S
"""A budget as loose as this is supported by any training sound."""
PROVISIONAL = "provisional: "
"""Begin of the text about the budget of a provisional model."""
_HOURS_IN_WORDS = 48  # more are given as days


@dataclass(frozen=True, slots=True)
class EffectiveBudget:
    """The budgets by which the thresholds of a model are set, in events per second."""

    false_alarms_hz: float
    warnings_hz: float
    provisional: bool  # whether they are looser than the configured ones
    hours: float  # different hours that the training sound is from
    needed_hours: int  # from which it would support the configured budget

    @property
    def false_alarms(self) -> str:
        """The accepted rate of false alarms as text: ``1 per day``."""
        return rate(self.false_alarms_hz)

    @property
    def warnings(self) -> str:
        """The accepted rate of false warnings as text."""
        return rate(self.warnings_hz)


def effective_budget(criteria: AlarmCriteria, hours: float) -> EffectiveBudget:
    """Return the budgets that training sound from so many different hours supports.

    They are never stricter than configured.  A budget looser than `LOOSEST_HZ` stays.
    """
    configured = criteria.false_alarms_hz
    supported = min(LOOSEST_HZ, 1.0 / (MAX_EXTRAPOLATION * HOUR_S * max(1.0, hours)))
    effective = max(configured, supported)
    return EffectiveBudget(
        effective,
        criteria.warnings_hz * effective / configured,
        provisional=effective > configured,
        hours=hours,
        needed_hours=_needed_hours(configured),
    )


def _needed_hours(false_alarms_hz: float) -> int:
    """Return from how many hours training sound must be to support a budget, 1 at least."""
    if false_alarms_hz >= LOOSEST_HZ:
        return 1
    return math.ceil(round(1.0 / (MAX_EXTRAPOLATION * HOUR_S * false_alarms_hz), 6))


def provisional_note(budget: EffectiveBudget) -> str:
    """Return in a few words which budget a provisional model has."""
    return f"provisional budget of {budget.false_alarms}"


def provisional_text(budget: EffectiveBudget, configured: str) -> str:
    """Return what a provisional model supports, and from when the full budget is expected to hold.

    ``configured`` is the budget as configured: ``1 per month``.
    """
    hours = "within one hour" if budget.hours <= 1 else f"{budget.hours:g} different hours"
    needed = count(budget.needed_hours, "hour")
    if budget.needed_hours > _HOURS_IN_WORDS:
        needed = count(math.ceil(budget.needed_hours * HOUR_S / DAY_S), "day")
    return (
        f"{PROVISIONAL}training sound from {hours} supports a budget of {budget.false_alarms}; the "
        f"full budget of {configured} is expected to hold after {needed} of commissioning, or "
        f"with recordings by `asd-monitor record` in {budget.needed_hours} different hours"
    )
