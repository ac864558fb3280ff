"""Of which stored blocks the sound is kept."""

from __future__ import annotations

import numpy as np

from asd_monitor.commissioning.blocks import LiveBlock
from asd_monitor.commissioning.sound_schedule import SoundSchedule

NOTHING = np.zeros(0, np.float32)
MIDNIGHT_S = 1_699_920_000.0


def block(age_s: float) -> LiveBlock:
    """Return a block of a commissioning that began at midnight (UTC)."""
    return LiveBlock(
        time_s=MIDNIGHT_S + age_s,
        age_s=age_s,
        alarm_active=False,
        level_dbfs=-30.0,
        starts_s=NOTHING,
        levels_dbfs=NOTHING,
        vectors=np.zeros((0, 4), np.float16),
    )


def kept_minutes(schedule: SoundSchedule, minutes: range) -> list[int]:
    """Return at which ages, in minutes, sound is kept."""
    kept = []
    for minute in minutes:
        if schedule.is_due(block(60.0 * minute)):
            schedule.note_kept(block(60.0 * minute))
            kept.append(minute)
    return kept


def test_sound_of_each_hour_of_the_day_is_kept_once() -> None:
    kept = kept_minutes(SoundSchedule((), phase=0.0), range(3 * 24 * 60))
    assert kept == [60 * hour for hour in range(24)]


def test_an_hour_of_which_there_is_sound_is_left_out() -> None:
    kept = kept_minutes(SoundSchedule({1, 2}, phase=0.0), range(5 * 60))
    assert kept == [0, 3 * 60, 4 * 60]


def test_machines_of_other_phases_keep_sound_at_other_times() -> None:
    kept = kept_minutes(SoundSchedule((), phase=0.8), range(4 * 60))
    assert kept == [12, 72, 132, 192]
