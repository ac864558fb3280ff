"""Simulated months from the segments of some days, by the schedule of the hall."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from experiments.alarms.segments import Integers, Segments

HOURS_PER_DAY = 24
NEAREST_DAYS = 5
"""Of the days of the same kind, the nearest in the season that stand for a day."""
_FIRST_WEEKEND_DAY = 5


def plan_hours(
    library: Segments, first_day: int, days: int, rng: np.random.Generator, draws: int = 1
) -> Integers:
    """Return the segments that sound in each hour of the days, (days · 24, draws).

    A day is one of the library's, with its states by the hour and its gains: one of the nearest in
    the season that are working days as well, or days of a weekend.  Each hour has the library's
    segment of that hour, or several of that day in the same state of the hall.

    Args:
        library: a segment of each hour of some days.
        first_day: number of the first day.
        days: how many days.
        rng: which days, which segments.
        draws: segments in an hour.

    """
    chosen = [day_of_kind(library, day, rng) for day in range(first_day, first_day + days)]
    rows: list[Integers] = []
    for day in chosen:
        numbers = np.flatnonzero(library.day == day)
        if len(numbers) != HOURS_PER_DAY:
            raise ValueError(f"day {day} has {len(numbers)} segments")
        if draws == 1:
            rows.append(numbers[:, None])
            continue
        states = library.state[numbers]
        rows += [rng.choice(numbers[states == state], (1, draws)) for state in states]
    return np.concatenate(rows).astype(np.int64)


def day_of_kind(library: Segments, day: int, rng: np.random.Generator) -> int:
    """Return a day of the library that stands for another one."""
    days = np.unique(library.day)
    same = days[(days % 7 >= _FIRST_WEEKEND_DAY) == (day % 7 >= _FIRST_WEEKEND_DAY)]
    nearest = same[np.argsort(np.abs(same - day), kind="stable")[:NEAREST_DAYS]]
    return int(rng.choice(nearest))


def replacements(states: Sequence[int], library: Segments, rng: np.random.Generator) -> Integers:
    """Return a segment of the library for each state of the hall, (n,).

    One in the same state where there is one, else one that is in a shift as well, or is not.
    """
    numbers = []
    for state in states:
        found = np.flatnonzero(library.state == state)
        if not len(found):
            found = np.flatnonzero(library.state % 2 == state % 2)
        numbers.append(int(rng.choice(found if len(found) else len(library))))
    return np.array(numbers, np.int64)
