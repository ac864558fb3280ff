"""Whether a machine is in service, whatever is damaged in the journal."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from asd_monitor.journal.event_numbers import RESERVED
from asd_monitor.journal.journal_file import FILE_NAME
from asd_monitor.journal.requests import Request, Verb
from asd_monitor.journal.store import Journal
from tests.doubles.journalled_machine import JournalledMachine, acknowledgement, state_transition

DAMAGED_ROW = "UPDATE machines SET number = 7"
DAMAGED_RETURN = "UPDATE events SET why = 'noXreason' WHERE \"to\" = 'in_service'"


def change_service(fan: JournalledMachine, verb: Verb) -> None:
    fan.journal.requests.add(Request(verb, "fan01", "ann", fan.now, why="belt"))
    fan.apply()


def damage(state: Path, *statements: str) -> None:
    database = sqlite3.connect(state / FILE_NAME)
    for statement in statements:
        database.execute(statement)
    database.commit()
    database.close()


@pytest.fixture
def returned(tmp_path: Path) -> Path:
    """The state folder of a machine that was out of service and is in service again."""
    with Journal(tmp_path) as journal:
        fan = JournalledMachine(journal)
        change_service(fan, Verb.OUT_OF_SERVICE)
        change_service(fan, Verb.IN_SERVICE)
    return tmp_path


def test_a_damaged_event_does_not_take_a_machine_out_of_service(returned: Path) -> None:
    damage(returned, DAMAGED_RETURN)
    with Journal(returned) as journal:
        assert journal.out_of_service("fan01") is None


def test_a_machine_whose_row_and_event_are_lost_is_in_service(returned: Path) -> None:
    damage(returned, DAMAGED_RETURN, DAMAGED_ROW)
    with capture_logs() as logs, Journal(returned) as journal:
        assert journal.out_of_service("fan01") is None
    [entry] = [each for each in logs if "restored_machines" in each]
    assert entry["restored_machines"] == ["fan01: in service, and may have been out of service"]


def test_a_machine_whose_row_alone_is_lost_stays_out_of_service(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        change_service(JournalledMachine(journal), Verb.OUT_OF_SERVICE)
    damage(tmp_path, DAMAGED_ROW)
    with capture_logs() as logs, Journal(tmp_path) as journal:
        assert journal.out_of_service("fan01") is not None
    [entry] = [each for each in logs if "restored_machines" in each]
    assert entry["restored_machines"] == ["fan01: out of service by ann"]


def test_a_machine_whose_row_is_damaged_meanwhile_stays_out_of_service(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        fan = JournalledMachine(journal)
        change_service(fan, Verb.OUT_OF_SERVICE)
        damage(tmp_path, DAMAGED_ROW)
        for _ in range(RESERVED):
            fan.machine.record(state_transition(), fan.now, None)
    with Journal(tmp_path) as journal:
        assert journal.out_of_service("fan01") is not None


def test_an_alarm_that_is_rebuilt_has_the_reason_of_its_sound(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        fan = JournalledMachine(journal)
        fan.play(8.0, 10)
        journal.requests.add(acknowledgement(time=fan.now))
        fan.apply()
        fan.play(12.0, 10)
        change_service(fan, Verb.OUT_OF_SERVICE)
        change_service(fan, Verb.IN_SERVICE)
        before = journal.newest("fan01")
    damage(tmp_path, "UPDATE alarms SET severity = 'none'")
    with Journal(tmp_path) as journal:
        after = journal.newest("fan01")
    assert before is not None
    assert after is not None
    assert (after.condition, after.reason) == (before.condition, before.reason)
