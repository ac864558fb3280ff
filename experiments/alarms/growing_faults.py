"""Faults that grow in simulated time: which segment of which severity sounds in each hour."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from asd_monitor.synthesis.added_faults import SEVERITIES_DB, FaultKind
from experiments.alarms.fault_ladder import LADDER_DB, fault_name
from experiments.alarms.machine_files import LATER
from experiments.alarms.schedules import plan_hours, replacements
from experiments.alarms.segments import Integers, Segments

LEAD_IN_DAYS = 2
OBSERVED_DAYS = 14
"""How long a fault that has grown is left to be found."""
GROWTHS_H = (1.0, 24.0, 168.0)
HOURS_PER_DAY = 24


@dataclass(frozen=True, slots=True)
class GrowingFault:
    """A fault that grows from the lowest step of its ladder to its severity, linearly in steps."""

    kind: FaultKind
    severity_db: float
    growth_h: float

    @property
    def name(self) -> str:
        """Name of the severity it grows to."""
        return fault_name(self.kind, self.severity_db)

    def at(self, age_h: float) -> str | None:
        """Return the name of its severity so many hours after the onset; None: not yet audible."""
        ladder = LADDER_DB[self.kind]
        steps = ladder.index(self.severity_db) + 1
        reached = int(np.floor(min(1.0, age_h / self.growth_h) * steps))
        return fault_name(self.kind, ladder[reached - 1]) if reached > 0 else None

    @property
    def observed_h(self) -> int:
        """Hours from the onset to the end of the observation."""
        return round(self.growth_h) + OBSERVED_DAYS * HOURS_PER_DAY


def all_faults() -> list[GrowingFault]:
    """Return a fault of each kind, severity and growth."""
    return [
        GrowingFault(kind, severity_db, growth_h)
        for kind in FaultKind
        for severity_db in SEVERITIES_DB[kind]
        for growth_h in GROWTHS_H
    ]


@dataclass(frozen=True, slots=True, eq=False)
class Course:
    """The hours of a simulated time, of a fault or of none."""

    names: Sequence[str]  # (h,): which segments
    numbers: Integers  # (h,): the number among these
    onset: int  # hour in which the fault begins


def course_of(
    fault: GrowingFault | None,
    hours: int,
    segments: Mapping[str, Segments],
    first_day: int,
    rng: np.random.Generator,
) -> Course:
    """Return a course with a fault that begins at a random hour of a day.

    Args:
        fault: the fault; None: sound without one, drawn by the same random numbers.
        hours: from the onset to the end.
        segments: normal ones by the name `LATER`, those with a fault by its name.
        first_day: number of the first day, `LEAD_IN_DAYS` before that of the onset.
        rng: which hour, which segments.

    """
    onset = LEAD_IN_DAYS * HOURS_PER_DAY + int(rng.integers(HOURS_PER_DAY))
    days = -(-(onset + hours) // HOURS_PER_DAY)
    normal = plan_hours(segments[LATER], first_day, days, rng)[: onset + hours, 0]
    states = segments[LATER].state[normal]
    names = [LATER] * len(normal)
    numbers = normal.copy()
    for hour in range(onset, len(normal)):
        name = None if fault is None else fault.at(hour - onset + 1.0)
        if name is not None:
            names[hour] = name
            [numbers[hour]] = replacements([int(states[hour])], segments[name], rng)
    return Course(names, numbers, onset)
