"""Alarms of one healthy machine over its first week and the half year after it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from asd_monitor.wording import PERIOD_S
from experiments.alarms.alarm_counting import (
    Evidence,
    Mask,
    count_alarms,
    exceedances,
    limits_of,
)
from experiments.alarms.life_history import LifeHistory, LifeModel
from experiments.alarms.machine_files import COMMISSIONING, LATER
from experiments.alarms.schedules import plan_hours
from experiments.alarms.segments import DAY_S, Floats, Integers, Segments

PERIODS_S = {name: float(PERIOD_S[name]) for name in ("month", "week", "day")}
MONTH_S = PERIODS_S["month"]
WEEK_DAYS = 7
FIRST_DAY = 9
DAYS = 183
HALF_YEAR_S = 182.625 * DAY_S


@dataclass(frozen=True, slots=True, eq=False)
class AlarmCount:
    """Alarms over some time."""

    total: int
    by_scale: tuple[int, ...]  # of each time scale alone

    @staticmethod
    def of(exceeding: Mask) -> AlarmCount:
        """Return the alarms of the exceedances of each time scale, (n, scales)."""
        by_scale = tuple(count_alarms(each) for each in exceeding.T)
        return AlarmCount(count_alarms(np.asarray(exceeding.any(1))), by_scale)


def model_limits(model: LifeModel, period_s: float, effect_bound: float | None = None) -> Floats:
    """Return the evidence of each time scale that is an alarm by a model, (scales,).

    Args:
        model: the model; its hours may support less than the configured budget.
        period_s: configured time between false alarms.
        effect_bound: another bound than the model's.

    """
    facts = model.facts
    bound = facts.effect_bound if effect_bound is None else effect_bound
    return limits_of(facts.tails, facts.hours, bound, period_s)


def first_week(
    life: LifeHistory,
    commissioning: Segments,
    period_s: float,
    rng: np.random.Generator,
    effect_bound: float | None = None,
) -> AlarmCount:
    """Return the alarms of the first week by the models as they follow each other.

    ``commissioning`` has the segments after the training; a new model begins without the evidence
    of the one before.
    """
    times_s = commissioning.times_s
    week = np.flatnonzero(times_s < life.begin_s + WEEK_DAYS * DAY_S)
    fits_s = np.array([model.facts.time_s for model in life.models])
    in_use = np.searchsorted(fits_s, times_s[week], side="right") - 1
    parts, limits = [], []
    for number, model in enumerate(life.models):
        own = week[in_use == number]
        if len(own):
            parts.append(Evidence.of(model.scores[COMMISSIONING].evidence[own]))
            limits.append(np.tile(model_limits(model, period_s, effect_bound), (len(own), 1)))
    restarts: Mask = np.concatenate([[True], in_use[1:] != in_use[:-1]])
    hours = np.arange(len(week), dtype=np.int64)[:, None]
    found = exceedances(hours, Evidence.joined(parts), np.concatenate(limits), rng, restarts)
    return AlarmCount.of(found)


def half_year(
    model: LifeModel, later: Segments, period_s: float, rng: np.random.Generator, draws: int
) -> AlarmCount:
    """Return the alarms in the half year after the commissioning.

    ``draws`` segments make up an hour; see `plan_hours`.
    """
    hours = planned(later, rng, draws)
    evidence = Evidence.of(model.scores[LATER].evidence)
    return AlarmCount.of(exceedances(hours, evidence, model_limits(model, period_s), rng))


def planned(later: Segments, rng: np.random.Generator, draws: int) -> Integers:
    """Return the segments of each hour of the half year."""
    return plan_hours(later, FIRST_DAY, DAYS, rng, draws)


def count_of_segments(alarming: Mask, hours: Integers) -> int:
    """Return the alarms where each segment (n,) alarms or does not, in hours (h, draws)."""
    draws = hours.shape[1]
    size = max(1, 360 // draws)
    return count_alarms(np.repeat(alarming[hours.ravel()], size))
