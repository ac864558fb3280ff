"""Of which stored blocks the sound is kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asd_monitor.commissioning.blocks import LiveBlock, SoundMode, SoundPiece
from asd_monitor.commissioning.sound_schedule import SoundSchedule, most_redundant_piece

NOTHING = np.zeros(0, np.float32)
MIDNIGHT_S = 1_699_920_000.0
DAY_MINUTES = 24 * 60
USUAL_DBFS, LOUD_DBFS = -30.0, -12.0


def block(age_s: float, level_dbfs: float = USUAL_DBFS) -> LiveBlock:
    """Return a block of a commissioning that began at midnight (UTC)."""
    return LiveBlock(
        time_s=MIDNIGHT_S + age_s,
        age_s=age_s,
        alarm_active=False,
        level_dbfs=level_dbfs,
        starts_s=NOTHING,
        levels_dbfs=NOTHING,
        vectors=np.zeros((0, 4), np.float16),
    )


def piece_of(kept: LiveBlock) -> SoundPiece:
    return SoundPiece(kept.time_s, kept.stratum.mode)


def play(
    schedule: SoundSchedule,
    minutes: range,
    *,
    level_dbfs: Callable[[int], float] = lambda minute: USUAL_DBFS,
    most: int = 1000,
    stored: list[SoundPiece] | None = None,
) -> list[SoundPiece]:
    """Offer a block each minute, and keep so many pieces at most; return those that are left."""
    stored = list(stored or [])
    for minute in minutes:
        offered = block(60.0 * minute, level_dbfs(minute))
        if schedule.is_due(offered, stored):
            schedule.note_tried(offered)
            stored.append(piece_of(offered))
            if len(stored) > most:
                stored.pop(most_redundant_piece(stored))
    return stored


def minutes_of(pieces: list[SoundPiece]) -> list[int]:
    return [round((piece.time_s - MIDNIGHT_S) / 60) for piece in pieces]


def test_sound_is_kept_every_two_hours_on_all_days() -> None:
    kept = play(SoundSchedule(phase=0.0), range(3 * DAY_MINUTES))
    assert minutes_of(kept) == list(range(0, 3 * DAY_MINUTES, 120))


@pytest.mark.parametrize("most", [3, 12])
@pytest.mark.parametrize("days", [1, 7, 37])
def test_the_pieces_that_are_left_are_spread_over_all_days(days: int, most: int) -> None:
    length = days * DAY_MINUTES
    at = minutes_of(play(SoundSchedule(phase=0.0), range(length), most=most))
    apart = [later - earlier for earlier, later in pairwise([*at, length])]
    assert len(at) == most
    assert at[0] == 0
    assert max(apart) <= 2.1 * length / most


def test_the_pieces_that_are_left_are_spread_over_operating_modes() -> None:
    """The machine runs loudly for half an hour a day."""
    kept = play(
        SoundSchedule(phase=0.0),
        range(7 * DAY_MINUTES),
        level_dbfs=lambda minute: LOUD_DBFS if minute % DAY_MINUTES >= 1410 else USUAL_DBFS,
        most=12,
    )
    loud = block(0.0, LOUD_DBFS).stratum.mode
    assert sum(piece.mode == loud for piece in kept) == 6


def test_a_rare_operating_mode_is_kept_sooner_and_not_twice_in_an_hour() -> None:
    kept = play(
        SoundSchedule(phase=0.0),
        range(5 * 60),
        level_dbfs=lambda minute: LOUD_DBFS if minute % 120 >= 50 else USUAL_DBFS,
    )
    assert minutes_of(kept) == [0, 60, 180, 240]


def test_pieces_of_an_earlier_run_count() -> None:
    stored = [piece_of(block(0.0)), piece_of(block(60.0 * 100))]
    kept = play(SoundSchedule(phase=0.0), range(110, 5 * 60), stored=stored)
    assert minutes_of(kept) == [0, 100, 220]


def test_a_piece_that_could_not_be_written_is_tried_again_two_hours_later() -> None:
    schedule = SoundSchedule(phase=0.0)
    tried = []
    for minute in range(5 * 60):
        if schedule.is_due(block(60.0 * minute), []):
            schedule.note_tried(block(60.0 * minute))
            tried.append(minute)
    assert tried == [0, 120, 240]


def test_machines_of_other_phases_keep_sound_at_other_times() -> None:
    kept = play(SoundSchedule(phase=0.8), range(5 * 60))
    assert minutes_of(kept) == [12, 132, 252]


@given(
    st.lists(
        st.tuples(st.floats(0, 1e6), st.integers(-3, 0), st.booleans()), min_size=2, max_size=30
    )
)
def test_the_piece_that_is_deleted_is_of_a_mode_with_the_most(rows) -> None:
    pieces = sorted(SoundPiece(time_s, SoundMode(band, alarm)) for time_s, band, alarm in rows)
    number = most_redundant_piece(pieces)
    counts = Counter(piece.mode for piece in pieces)
    most = {mode for mode, count in counts.items() if count == max(counts.values())}
    assert pieces[number].mode in most
    assert number > 0 or {piece.mode for piece in pieces[1:]}.isdisjoint(most)
