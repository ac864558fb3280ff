"""Requests that come too late, or to an alarm that is hidden or old."""

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
from tests.doubles.applied_requests import ask, condition, raised
from tests.doubles.journalled_machine import (
    FAN_ALARM,
    JournalledMachine,
)

HOUR = timedelta(hours=1)


def test_a_hidden_alarm_is_not_acknowledged(journal: Journal) -> None:
    fan = raised(journal)
    ask(fan, Verb.SHELVE, until=fan.now + HOUR)
    assert "it is shelved: unshelve it" in ask(fan, Verb.ACK)
    ask(fan, Verb.OUT_OF_SERVICE, alarm_id=None)
    for verb in (Verb.ACK, Verb.SHELVE):
        answer = ask(fan, verb, until=fan.now + HOUR)
        assert answer.startswith("refused")
        assert "return the machine to service first" in answer


def test_a_late_request_does_not_change_a_newer_alarm(journal: Journal) -> None:
    fan = raised(journal, latch=False)
    fan.play(0.5, 60)
    fan.play(8.0, 20)
    newest = fan.machine.newest
    assert newest is not None
    assert newest.id != FAN_ALARM
    answer = ask(fan, Verb.SHELVE, until=fan.now + HOUR)
    assert answer.startswith(f"refused: {FAN_ALARM} is not changed: it is not the newest alarm")
    assert "acknowledged by ann" in ask(fan, Verb.ACK)
    assert "already acknowledged by ann" in ask(fan, Verb.ACK)
    assert condition(fan) == "unacknowledged"
    earlier = journal.find(FAN_ALARM)
    assert earlier is not None
    assert earlier.closed


def raised_again(fan: JournalledMachine) -> datetime:
    """Have an acknowledged alarm raised again by worse sound; return the time before that."""
    ask(fan, Verb.ACK)
    newest, before = fan.machine.newest, fan.now
    fan.now += timedelta(seconds=5)
    fan.play(12.0, 10)
    assert condition(fan) == "unacknowledged"
    again = fan.machine.newest
    assert newest is not None
    assert again is not None
    assert (again.id, again.raised) == (newest.id, newest.raised)
    assert again.reason != newest.reason
    return before


@pytest.mark.parametrize("verb", [Verb.ACK, Verb.SHELVE])
def test_a_request_from_before_an_alarm_was_raised_again_is_refused(
    tmp_path: Path, verb: Verb
) -> None:
    with Journal(tmp_path) as journal:
        fan = raised(journal)
        before = raised_again(fan)
        now = fan.now
    with Journal(tmp_path) as journal:
        fan = JournalledMachine(journal)
        until = now + HOUR
        journal.requests.add(
            Request(
                verb,
                "fan01",
                "bob",
                before,
                alarm_id=FAN_ALARM,
                why="seen",
                arguments={"until": until.isoformat()},
                id="late",
            )
        )
        fan.now = now
        assert fan.apply() == []
        late = outcome_of(tmp_path, "late")
        assert late is not None
        assert not late.accepted
        assert "unacknowledged again since" in (late.outcome or "")
        assert "acknowledged by ann" in ask(fan, Verb.ACK)


def test_an_alarm_raised_again_while_the_clock_was_ahead_can_be_acknowledged(
    journal: Journal,
) -> None:
    fan = raised(journal)
    fan.now += timedelta(days=365)
    raised_again(fan)
    fan.now -= timedelta(days=365)
    assert "acknowledged by ann" in ask(fan, Verb.ACK)


def test_an_old_alarm_can_be_labelled(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        fan = raised(journal, latch=False)
        ask(fan, Verb.ACK)
        fan.play(0.5, 60)
        fan.play(8.0, 20)
    with Journal(tmp_path) as journal:
        fan = JournalledMachine(journal, latch=False)
        newest = fan.machine.newest
        assert "labelled invalid" in ask(fan, Verb.LABEL, label="invalid", why="a door")
        assert "already labelled invalid" in ask(fan, Verb.LABEL, label="invalid", why="a door")
        assert fan.machine.newest == newest
        assert journal.newest("fan01") == newest
        found = journal.find(FAN_ALARM)
        assert found is not None
        assert (found.label, found.label_why, found.labelled_by) == ("invalid", "a door", "ann")
        assert len(journal.alarms()) == 2
