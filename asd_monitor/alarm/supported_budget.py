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

from asd_monitor.records import MAX_COMMISSIONING_DAYS, AlarmCriteria
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
_DAY_H = 24.0


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


@dataclass(frozen=True, slots=True)
class CommissioningExtent:
    """For how long a model is extended from live sound, and has been."""

    days: float = 0.0  # as configured; 0: it is not
    age_s: float = 0.0  # of sound evaluated before the newest refit, also of the idle machine

    @property
    def is_over(self) -> bool:
        """Whether the model is frozen."""
        return self.age_s >= self.days * DAY_S


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
    return f"provisional model: false alarms at most {budget.false_alarms} for now"


def provisional_text(
    budget: EffectiveBudget, configured: str, commissioning: CommissioningExtent
) -> str:
    """Return what a provisional model supports, and what the full budget needs.

    Hours in which the machine was idle show nothing of its sound and do not count.  After a day of
    commissioning the days that it takes follow from the hours a day that the machine has run in.

    Args:
        budget: that of the model.
        configured: the budget as configured: ``1 per month``.
        commissioning: that of the model.

    """
    hours = "within one hour" if budget.hours <= 1 else f"{budget.hours:g} different hours"
    return (
        f"{PROVISIONAL}training sound from {hours} supports a budget of {budget.false_alarms}; the "
        f"full budget of {configured} needs sound of the running machine from "
        f"{budget.needed_hours} different hours: {_remedy(budget, commissioning)}"
    )


def _remedy(budget: EffectiveBudget, commissioning: CommissioningExtent) -> str:
    """Return how a model gets the hours that the full budget needs."""
    recordings = f"record in {budget.needed_hours} hours with `asd-monitor record` and train again"
    if not commissioning.days:
        return recordings
    run_h = _DAY_H  # hours a day
    so_far = "where it runs day and night"
    if commissioning.age_s >= DAY_S:
        run_h = min(_DAY_H, budget.hours / (commissioning.age_s / DAY_S))
        so_far = f"as it has run in about {run_h:.2g} hours a day"
    days = math.ceil(round(budget.needed_hours / run_h, 6))
    ended = f", of which {commissioning.days:g} are over" if commissioning.is_over else ""
    needed = f"{count(days, 'day')} of commissioning, {so_far}{ended}"
    if days > MAX_COMMISSIONING_DAYS:
        return f"{recordings}, since it would take {needed}"
    if days > commissioning.days:
        needed += f": set `commissioning: {{days: {days}}}`" + (" to go on" if ended else "")
    return f"{needed}, or {recordings}"
