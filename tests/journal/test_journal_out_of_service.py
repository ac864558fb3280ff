"""Machines out of service: their alarms, and what outlives restarts and damage."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from asd_monitor.journal.journal_file import FILE_NAME
from asd_monitor.journal.machine_requests import MachineRequests
from asd_monitor.journal.requests import (
    Verb,
)
from asd_monitor.journal.store import Journal
from tests.doubles.applied_requests import ask, condition, raised
from tests.doubles.journalled_machine import (
    FAN_ALARM,
    JournalledMachine,
)


def test_out_of_service_is_of_the_machine_and_kept_over_a_restart(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        fan = raised(journal)
        assert ask(fan, Verb.OUT_OF_SERVICE, alarm_id=None, why=None).startswith("refused")
        assert "taken out of service by ann" in ask(fan, Verb.OUT_OF_SERVICE, alarm_id=None)
        assert condition(fan) == "out_of_service"
        assert "already out of service by ann" in ask(fan, Verb.OUT_OF_SERVICE, alarm_id=None)
    with Journal(tmp_path) as journal:
        fan = JournalledMachine(journal)
        service = fan.machine.out_of_service
        assert service is not None
        assert (service.who, service.why) == ("ann", "a test")
        assert not fan.monitor.in_service
        fan.play(0.5, 60)
        assert condition(fan) == "out_of_service_returned"
        fan.play(9.0, 60)
        assert condition(fan) == "out_of_service"
        assert "returned to service" in ask(fan, Verb.IN_SERVICE, alarm_id=None)
        assert condition(fan) == "unacknowledged"
        assert ask(fan, Verb.IN_SERVICE, alarm_id=None) == "fan01 is in service"
        assert journal.out_of_service("fan01") is None
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as database, database:
        rows = database.execute(
            'SELECT "from", "to", who FROM events WHERE kind = ?', ("service",)
        ).fetchall()
    database.close()
    assert rows == [
        ("in_service", "out_of_service", "ann"),
        ("out_of_service", "in_service", "ann"),
    ]


def test_the_outcome_says_what_becomes_of_the_alarm_of_the_machine(journal: Journal) -> None:
    fan = raised(journal)
    fan.play(0.5, 60)
    assert condition(fan) == "latched"
    taken = ask(fan, Verb.OUT_OF_SERVICE, alarm_id=None)
    assert (
        taken == f"fan01: taken out of service by ann; alarm {FAN_ALARM} is hidden until it returns"
    )
    assert ask(fan, Verb.IN_SERVICE, alarm_id=None, who="bob") == (
        f"fan01: returned to service by bob; alarm {FAN_ALARM} is closed, and acknowledged by that:"
        " its sound is normal"
    )
    assert fan.machine.newest is not None
    assert (condition(fan), fan.machine.newest.who) == ("normal", "bob")
    assert ask(fan, Verb.OUT_OF_SERVICE, alarm_id=None) == "fan01: taken out of service by ann"
    assert ask(fan, Verb.IN_SERVICE, alarm_id=None) == "fan01: returned to service by ann"


def test_the_outcome_says_that_an_acknowledged_alarm_is_unacknowledged_again(
    journal: Journal,
) -> None:
    fan = raised(journal)
    ask(fan, Verb.ACK)
    ask(fan, Verb.OUT_OF_SERVICE, alarm_id=None)
    assert ask(fan, Verb.IN_SERVICE, alarm_id=None, who="bob") == (
        f"fan01: returned to service by bob; alarm {FAN_ALARM} is unacknowledged: its sound is"
        " abnormal"
    )
    fan.play(9.0, 1)
    ask(fan, Verb.ACK)
    ask(fan, Verb.OUT_OF_SERVICE, alarm_id=None)
    fan.play(0.5, 60)
    closed = ask(fan, Verb.IN_SERVICE, alarm_id=None, who="bob")
    assert closed.endswith(f"alarm {FAN_ALARM} is closed: its sound is normal")
    assert fan.machine.newest is not None
    assert fan.machine.newest.who == "ann"


def test_a_machine_without_an_alarm_raises_none_out_of_service(journal: Journal) -> None:
    fan = JournalledMachine(journal)
    ask(fan, Verb.OUT_OF_SERVICE, alarm_id=None)
    fan.play(9.0, 60)
    assert journal.alarms() == []
    ask(fan, Verb.IN_SERVICE, alarm_id=None)
    fan.play(9.0, 0.5)
    assert [alarm.condition for alarm in journal.alarms()] == ["unacknowledged"]


def test_out_of_service_outlives_the_file_and_the_damage_of_its_row(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        fan = raised(journal)
        ask(fan, Verb.OUT_OF_SERVICE, alarm_id=None)
        (tmp_path / FILE_NAME).unlink()
        journal.maintain()
        assert journal.fault is None
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as database, database:
        assert database.execute("SELECT out_who FROM machines").fetchall() == [("ann",)]
    database.close()


def test_a_damaged_row_of_a_machine_does_not_return_it_to_service(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        ask(raised(journal), Verb.OUT_OF_SERVICE, alarm_id=None)
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as database, database:
        database.execute("UPDATE machines SET out_since = NULL")
    database.close()
    with Journal(tmp_path) as journal:
        service = journal.out_of_service("fan01")
        assert service is not None
        assert (service.who, service.why) == ("ann", "a test")


@pytest.mark.parametrize(
    ("score", "hidden", "shown"),
    [
        (9.0, "out_of_service", "unacknowledged"),
        (0.5, "out_of_service_returned", "returned"),
    ],
)
@pytest.mark.parametrize("has_session", [True, False])
def test_an_alarm_is_shown_where_it_is_lost_that_its_machine_is_out_of_service(
    tmp_path: Path, score: float, hidden: str, shown: str, has_session: bool
) -> None:
    with Journal(tmp_path) as journal:
        fan = raised(journal)
        ask(fan, Verb.OUT_OF_SERVICE, alarm_id=None)
        fan.play(score, 60)
        assert condition(fan) == hidden
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as database, database:
        database.execute("UPDATE machines SET out_since = NULL")
        database.execute("UPDATE events SET why = '' WHERE kind = 'service'")
    database.close()
    with Journal(tmp_path) as journal:
        fan = JournalledMachine(journal)
        assert fan.machine.out_of_service is None
        monitor = fan.monitor if has_session else None
        (event,) = MachineRequests(fan.machine).apply(monitor, fan.now, "v1")[:1]
        assert (event.before, event.after, event.who) == (hidden, shown, None)
        (record,) = journal.alarms()
        assert (record.condition, record.acknowledged) == (shown, False)
        assert fan.requests.apply(fan.monitor, fan.now, "v1") == []
