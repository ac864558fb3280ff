"""When a model is refitted during commissioning.

Pure: the time is passed in.  A refit is due after the first hour and after the first day of
evaluated sound, then each day at a local time, until the days are over; the one that follows their
end is the last, and the model is frozen after it, unless more days are configured.  A first refit
that failed is tried again after each hour of sound.  Sound counts, and not the calendar: a box that
was switched off for a week has learned nothing meanwhile.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, tzinfo

from asd_monitor.config.quantities import TimeOfDay
from asd_monitor.wording import DAY_S

HOUR_S = 3600.0

KEPT_AFTER_S = 30 * DAY_S
"""How long blocks are stored after the commissioning, without being learned from."""


@dataclass(frozen=True, slots=True)
class RefitNote:
    """What came of a refit."""

    time_s: float  # Unix time of its end
    result: str  # in a few words
    version: str | None = None  # None: there is no new version
    moved: float | None = None
    in_use: bool = False


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the commissioning of a model has come."""

    model_sha256: str  # of the first model: it tells one commissioning from another
    first_version: str
    begun_s: float  # Unix time
    age_s: float = 0.0  # sound that was evaluated, in s
    refits: int = 0
    day_done: bool = False  # whether the refit after the first day was made
    tried_age_s: float = 0.0  # at the newest refit
    refitted_age_s: float = 0.0  # at the newest refit that has given a version
    last: RefitNote | None = None  # the newest refit

    def is_frozen(self, days: float) -> bool:
        """Return whether the model has been refitted to the sound of so many days."""
        return self.refitted_age_s >= days * DAY_S

    def stores(self, days: float) -> bool:
        """Return whether live blocks are still stored."""
        return self.age_s < days * DAY_S + KEPT_AFTER_S


def day_of(progress: Progress, days: float) -> int:
    """Return the number of the day of commissioning, from 1 to ``days`` rounded up."""
    return max(1, min(math.ceil(days), int(progress.age_s // DAY_S) + 1))


def is_due(
    progress: Progress, days: float, refit_at: TimeOfDay, now_s: float, zone: tzinfo | None = None
) -> bool:
    """Return whether a refit is due.

    Args:
        progress: how far the commissioning has come.
        days: its length in days; 0: no refit is due.
        refit_at: local time of the daily refit.
        now_s: Unix time, in s.
        zone: the local time zone; None: that of this computer.

    """
    if progress.is_frozen(days) or not progress.stores(days):
        return False
    if progress.last is None or not progress.day_done:
        return progress.age_s >= _due_age_s(progress, days)
    return progress.last.time_s < _latest(refit_at, now_s, zone)


def next_refit_s(
    progress: Progress, days: float, refit_at: TimeOfDay, now_s: float, zone: tzinfo | None = None
) -> float | None:
    """Return the Unix time at which the next refit is due if all sound until then is evaluated.

    None: no refit follows.  Arguments as for `is_due`.
    """
    if progress.is_frozen(days) or not progress.stores(days):
        return None
    if is_due(progress, days, refit_at, now_s, zone):
        return now_s
    if progress.last is None or not progress.day_done:
        return now_s + _due_age_s(progress, days) - progress.age_s
    return _occurrence(refit_at, now_s, zone, after=True)


def after_refit(progress: Progress, days: float, note: RefitNote) -> Progress:
    """Return the progress after a refit; one that failed after the days is tried again."""
    return replace(
        progress,
        refits=progress.refits + 1,
        day_done=progress.day_done or progress.age_s >= min(days * DAY_S, DAY_S),
        tried_age_s=progress.age_s,
        refitted_age_s=progress.refitted_age_s if note.version is None else progress.age_s,
        last=note,
    )


def _due_age_s(progress: Progress, days: float) -> float:
    """Return the age at which a refit is due before that of the first day is made, in s."""
    if progress.last is None:
        return HOUR_S
    first_day_s = min(days * DAY_S, DAY_S)
    if progress.last.version is None:
        return min(first_day_s, progress.tried_age_s + HOUR_S)
    return first_day_s


def with_clock_set_back(progress: Progress, now_s: float) -> Progress:
    """Return the progress with the newest refit not later than now.

    A clock that was wrong at the newest refit must not delay the next one for years.
    """
    if progress.last is None or progress.last.time_s <= now_s + DAY_S:
        return progress
    return replace(progress, last=replace(progress.last, time_s=now_s))


def _latest(refit_at: TimeOfDay, now_s: float, zone: tzinfo | None) -> float:
    return _occurrence(refit_at, now_s, zone, after=False)


def _occurrence(refit_at: TimeOfDay, now_s: float, zone: tzinfo | None, *, after: bool) -> float:
    """Return the Unix time of the first such local time after now, or of the last up to now."""
    today = datetime.fromtimestamp(now_s, UTC).astimezone(zone).date()
    found = [
        datetime(day.year, day.month, day.day, refit_at.hour, refit_at.minute, tzinfo=zone)
        .astimezone(zone)
        .timestamp()
        for day in (today + timedelta(days=offset) for offset in (-1, 0, 1))
    ]
    if after:
        return min(time_s for time_s in found if time_s > now_s)
    return max(time_s for time_s in found if time_s <= now_s)
