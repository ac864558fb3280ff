"""Shelving: its length, its end by whichever clock, and unshelving."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pytest

from asd_monitor.journal.commands import outcome_of
from asd_monitor.journal.requests import (
    Request,
    Verb,
)
from asd_monitor.journal.store import Journal
from tests.doubles.applied_requests import ask, condition, path_of, raised
from tests.doubles.journalled_machine import (
    FAN_ALARM,
    JournalledMachine,
)

HOUR = timedelta(hours=1)


def test_shelving_is_applied_with_its_time_and_its_event(journal: Journal) -> None:
    fan = raised(journal)
    until = fan.now + HOUR
    assert ask(fan, Verb.SHELVE, until=until) == (
        f"{FAN_ALARM}: shelved until 2026-11-23T05:45:20.512Z by ann"
    )
    assert condition(fan) == "shelved"
    newest = fan.machine.newest
    assert newest is not None
    assert (newest.shelved_until, newest.acknowledged) == (until, False)
    event = journal.events(FAN_ALARM)[-1]
    assert (event.who, event.why) == ("ann", "shelved until 2026-11-23T05:45:20.512Z: a test")
    assert "already shelved" in ask(fan, Verb.SHELVE, until=until)
    assert len(journal.events(FAN_ALARM)) == 2
    assert ask(fan, Verb.SHELVE, until=until + HOUR).startswith(FAN_ALARM)
    assert [after for after, _ in path_of(journal)] == ["unacknowledged", "shelved", "shelved"]


def test_a_shelf_expires_at_its_time_and_the_alarm_is_unacknowledged(journal: Journal) -> None:
    fan = raised(journal)
    ask(fan, Verb.ACK)
    ask(fan, Verb.SHELVE, until=fan.now + HOUR)
    fan.now += HOUR - timedelta(seconds=1)
    assert fan.expire() == []
    fan.now += timedelta(seconds=1)
    assert fan.expire() == ["shelved→unacknowledged"]
    assert condition(fan) == "unacknowledged"
    newest = fan.machine.newest
    assert newest is not None
    assert (newest.acknowledged, newest.who, newest.shelved_until) == (False, None, None)
    assert newest.reason is not None
    assert newest.reason.startswith("alarm score at least")


YEAR = timedelta(days=365)


class RunningTime:
    """A monotonic clock."""

    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.mark.parametrize("length", [HOUR, 7 * 24 * HOUR])
@pytest.mark.parametrize("back", [timedelta(seconds=3), YEAR])
@pytest.mark.parametrize("is_restarted", [False, True])
def test_a_shelf_lasts_for_its_length_where_the_clock_is_set_back(
    tmp_path: Path, length: timedelta, back: timedelta, is_restarted: bool
) -> None:
    running = RunningTime()
    with Journal(tmp_path, monotonic_s=running) as journal:
        fan = raised(journal)
        ask(fan, Verb.SHELVE, until=fan.now + length)
        now = fan.now - back
        if not is_restarted:
            expect_end(fan, running, now, length)
    if is_restarted:
        with Journal(tmp_path, monotonic_s=running) as journal:
            expect_end(JournalledMachine(journal), running, now, length)


def expect_end(
    fan: JournalledMachine, running: RunningTime, now: datetime, length: timedelta
) -> None:
    fan.now = now
    assert fan.expire() == []
    running.now_s += length.total_seconds() - 1
    assert fan.expire() == []
    running.now_s += 1
    assert fan.expire() == ["shelved→unacknowledged"]
    event = fan.journal.events(FAN_ALARM)[-1]
    hours = round(length / HOUR)
    assert event.why.startswith(
        f"the shelving has expired after {hours}.0 h: by the clock, which was set back, it would"
    )


def test_a_shelf_ends_at_its_time_after_a_start_with_a_clock_that_is_behind(
    tmp_path: Path,
) -> None:
    with Journal(tmp_path) as journal:
        fan = raised(journal)
        until = fan.now + 2 * HOUR
        ask(fan, Verb.SHELVE, until=until)
    with Journal(tmp_path) as journal:
        fan = JournalledMachine(journal)
        fan.now = until - YEAR
        assert fan.expire() == []
        fan.now = until - timedelta(seconds=1)  # it is set
        assert fan.expire() == []
        fan.now = until
        assert fan.expire() == ["shelved→unacknowledged"]


def test_a_shelf_asked_while_the_clock_was_ahead_is_refused(journal: Journal) -> None:
    fan = raised(journal)
    ahead = fan.now + timedelta(days=365)
    until = {"until": (ahead + HOUR).isoformat()}
    asked = Request(Verb.SHELVE, "fan01", "ann", ahead, alarm_id=FAN_ALARM, arguments=until)
    journal.requests.add(asked)
    assert fan.apply() == []
    settled = outcome_of(journal.path.parent, asked.id)
    assert settled is not None
    assert "the longest time is 7 days" in (settled.outcome or "")


def test_a_shelf_asked_while_the_clock_was_a_little_ahead_lasts_for_its_length(
    tmp_path: Path,
) -> None:
    running = RunningTime()
    with Journal(tmp_path, monotonic_s=running) as journal:
        fan = raised(journal)
        ahead = fan.now + timedelta(days=1)
        until = {"until": (ahead + HOUR).isoformat()}
        journal.requests.add(
            Request(Verb.SHELVE, "fan01", "ann", ahead, alarm_id=FAN_ALARM, arguments=until)
        )
        assert fan.apply() == ["unacknowledged→shelved"]
        running.now_s += HOUR.total_seconds() - 1
        assert fan.expire() == []
        running.now_s += 1
        assert fan.expire() == ["shelved→unacknowledged"]


def test_an_alarm_that_is_unshelved_is_acknowledged_by_that_person(journal: Journal) -> None:
    fan = raised(journal)
    ask(fan, Verb.SHELVE, until=fan.now + HOUR)
    assert "unshelved and acknowledged by bob" in ask(fan, Verb.UNSHELVE, who="bob")
    assert condition(fan) == "acknowledged"
    assert fan.machine.newest is not None
    assert fan.machine.newest.who == "bob"
    assert "is not shelved" in ask(fan, Verb.UNSHELVE)


def test_an_alarm_in_normal_sound_is_closed_when_it_is_unshelved(journal: Journal) -> None:
    fan = raised(journal)
    ask(fan, Verb.SHELVE, until=fan.now + HOUR)
    fan.play(0.5, 60)
    assert ask(fan, Verb.UNSHELVE, who="bob") == (
        f"{FAN_ALARM}: unshelved and acknowledged by bob; its sound is normal, and it is closed"
    )
    assert condition(fan) == "normal"


@pytest.mark.parametrize(
    ("after_s", "message"),
    [(-1.0, "give a later time"), (30.0, "the shortest time"), (8 * 86400.0, "the longest time")],
)
def test_a_shelf_is_between_a_minute_and_seven_days(
    journal: Journal, after_s: float, message: str
) -> None:
    fan = raised(journal)
    answer = ask(fan, Verb.SHELVE, until=fan.now + timedelta(seconds=after_s))
    assert answer.startswith("refused")
    assert message in answer
    assert condition(fan) == "unacknowledged"
