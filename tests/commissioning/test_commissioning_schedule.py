"""When a refit is due: pure, with the time passed in."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asd_monitor.commissioning.schedule import (
    KEPT_AFTER_S,
    Progress,
    RefitNote,
    after_refit,
    day_of,
    is_due,
    next_refit_s,
    with_clock_set_back,
)
from asd_monitor.config.quantities import TimeOfDay

BEGUN = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)
AT_THREE = TimeOfDay(3, 0)
HOUR_S, DAY_S = 3600.0, 86400.0


def _progress(age_s: float = 0.0) -> Progress:
    return Progress("0" * 64, "v1", BEGUN.timestamp(), age_s)


def _refits(
    days: float, hours: float, down: tuple[float, float] | None = None, failing_until_h: float = 0.0
) -> list[tuple[datetime, Progress]]:
    """Return when refits are made, checked every ten minutes, and the progress after each."""
    progress, made = _progress(), []
    for step in range(round(hours * 6)):
        now = BEGUN + timedelta(minutes=10 * step)
        if down is not None and down[0] <= step / 6 < down[1]:
            continue
        if is_due(progress, days, AT_THREE, now.timestamp(), UTC):
            version = "v2" if step / 6 >= failing_until_h else None
            note = RefitNote(now.timestamp(), "failed" if version is None else "v2 in use", version)
            progress = after_refit(progress, days, note)
            made.append((now, progress))
        progress = replace(progress, age_s=progress.age_s + 600)
    return made


def test_refits_follow_the_first_hour_the_first_day_and_then_each_night_until_the_days_are_over():
    made = _refits(7, 24 * 20)
    times = [time for time, _ in made]
    assert times[:2] == [BEGUN + timedelta(hours=1), BEGUN + timedelta(days=1)]
    nights = [datetime(2026, 3, day, 3, 0, tzinfo=UTC) for day in range(4, 11)]
    assert times[2:] == nights
    assert [progress.is_frozen(7) for _, progress in made] == [False] * 8 + [True]
    assert made[-1][1].age_s >= 7 * DAY_S


def test_a_refit_that_was_due_while_the_daemon_was_down_is_made_soon_after():
    made = _refits(7, 24 * 4, down=(40.0, 46.0))  # from 02:00 to 08:00 of the second night
    times = [time for time, _ in made]
    assert times[2] == BEGUN + timedelta(hours=46)


def test_time_without_sound_does_not_count():
    made = _refits(7, 24 * 3, down=(0.5, 30.0))
    assert made[0][0] == BEGUN + timedelta(hours=30.5)
    assert made[1][0] >= BEGUN + timedelta(hours=24 + 29.5)


def test_a_first_refit_that_failed_is_tried_again_after_each_hour_of_sound():
    made = _refits(7, 30, down=(1.5, 4.0), failing_until_h=6.4)
    hours = [(time - BEGUN) / timedelta(hours=1) for time, _ in made]
    assert hours == [1.0, 4.5, 5.5, 6.5, 26.5]


def test_refits_that_all_fail_are_one_an_hour_in_the_first_day_and_one_a_night_then():
    made = _refits(7, 24 * 4, failing_until_h=1e9)
    assert len(made) == 24 + 3


def test_a_commissioning_that_is_over_goes_on_where_more_days_are_configured():
    over = _refits(7, 24 * 20)[-1][1]
    now_s = (BEGUN + timedelta(days=20)).timestamp()
    assert not is_due(over, 7, AT_THREE, now_s, UTC)
    assert is_due(over, 19, AT_THREE, now_s, UTC)
    assert next_refit_s(over, 19, AT_THREE, now_s, UTC) == now_s


def test_without_days_nothing_is_due():
    assert _refits(0, 48) == []
    assert next_refit_s(_progress(), 0, AT_THREE, BEGUN.timestamp(), UTC) is None


def test_a_commissioning_shorter_than_a_day_ends_with_its_second_refit():
    made = _refits(0.25, 72)
    assert [time for time, _ in made] == [BEGUN + timedelta(hours=1), BEGUN + timedelta(hours=6)]
    assert made[-1][1].is_frozen(0.25)


def test_a_refit_that_failed_after_the_last_day_is_tried_again_the_next_night():
    done = replace(_progress(7.1 * DAY_S), day_done=True)
    now = datetime(2026, 3, 10, 3, 0, tzinfo=UTC).timestamp()
    failed = after_refit(done, 7, RefitNote(now, "failed: no memory"))
    assert not failed.is_frozen(7)
    assert not is_due(failed, 7, AT_THREE, now + 20 * HOUR_S, UTC)
    assert is_due(failed, 7, AT_THREE, now + 24 * HOUR_S, UTC)
    given_up = replace(failed, age_s=7 * DAY_S + KEPT_AFTER_S)
    assert not is_due(given_up, 7, AT_THREE, now + 24 * HOUR_S, UTC)


def test_refits_are_made_at_the_local_time_in_summer_and_winter():
    zone = ZoneInfo("Europe/Berlin")
    progress = replace(
        _progress(2 * DAY_S),
        day_done=True,
        last=RefitNote(datetime(2026, 3, 28, 12, tzinfo=UTC).timestamp(), ""),
    )
    before_change = datetime(2026, 3, 28, 13, tzinfo=UTC).timestamp()
    found = next_refit_s(progress, 7, AT_THREE, before_change, zone)
    assert found is not None
    assert datetime.fromtimestamp(found, zone).hour == 3  # 02:00 to 03:00 does not exist
    assert found == datetime(2026, 3, 29, 1, tzinfo=UTC).timestamp()


@given(
    age_s=st.floats(0, 50 * DAY_S),
    since_s=st.floats(0, 3 * DAY_S),
    day_done=st.booleans(),
    has_refit=st.booleans(),
    has_version=st.booleans(),
    since_tried_s=st.floats(0, DAY_S),
    now_s=st.floats(1e9, 2e9),
)
def test_the_next_refit_is_due_when_it_is_announced(
    *, age_s, since_s, day_done, has_refit, has_version, since_tried_s, now_s
):
    last = RefitNote(now_s - since_s, "", "v2" if has_version else None) if has_refit else None
    day_done = day_done and has_refit
    needed_s = DAY_S if day_done else HOUR_S if has_refit else 0.0  # before such a refit
    tried_age_s = max(HOUR_S, needed_s + age_s - since_tried_s) if has_refit else 0.0
    progress = replace(
        _progress(needed_s + age_s), day_done=day_done, last=last, tried_age_s=tried_age_s
    )
    next_s = next_refit_s(progress, 7, AT_THREE, now_s, UTC)
    if next_s is None:
        assert not is_due(progress, 7, AT_THREE, now_s, UTC)
        return
    assert next_s >= now_s
    later = replace(progress, age_s=progress.age_s + next_s - now_s + 1e-3)
    if later.stores(7):
        assert is_due(later, 7, AT_THREE, next_s + 1e-3, UTC)
    assert (next_s == now_s) == is_due(progress, 7, AT_THREE, now_s, UTC)


def test_a_refit_noted_by_a_wrong_clock_does_not_delay_the_next_one():
    wrong = datetime(2060, 1, 1, tzinfo=UTC).timestamp()
    progress = replace(_progress(2 * DAY_S), day_done=True, last=RefitNote(wrong, "v2 in use"))
    now = datetime(2026, 3, 5, 12, tzinfo=UTC).timestamp()
    assert not is_due(progress, 7, AT_THREE, now + 3 * DAY_S, UTC)
    corrected = with_clock_set_back(progress, now)
    assert is_due(corrected, 7, AT_THREE, now + DAY_S, UTC)


@pytest.mark.parametrize(
    ("age_s", "day"), [(0, 1), (DAY_S - 1, 1), (DAY_S, 2), (6.5 * DAY_S, 7), (9 * DAY_S, 7)]
)
def test_days_are_counted_from_one(age_s, day):
    assert day_of(_progress(age_s), 7) == day
