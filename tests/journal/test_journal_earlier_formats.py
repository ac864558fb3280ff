"""Journals of earlier formats: read, acknowledged, migrated, repaired."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from asd_monitor.journal.commands import make_request, read_journal
from asd_monitor.journal.journal_file import FILE_NAME
from asd_monitor.journal.machine_journal import MachineJournal
from asd_monitor.journal.requests import Request, Verb
from asd_monitor.journal.sqlite_errors import JournalError
from asd_monitor.journal.store import Journal
from tests.doubles.earlier_journals import FORMAT_1, write_earlier_format
from tests.doubles.journalled_machine import (
    FAN_ALARM,
    NOW,
    RAISED,
    acknowledge,
    apply_requests,
    state_transition,
)


@pytest.fixture
def format_1(tmp_path: Path) -> Path:
    """A state folder with the journal of an earlier version."""
    database = sqlite3.connect(tmp_path / FILE_NAME)
    database.executescript(f"PRAGMA journal_mode = WAL; {FORMAT_1}")
    database.close()
    return tmp_path


def test_a_journal_of_the_earlier_format_is_read_and_acknowledged(format_1: Path) -> None:
    content = read_journal(format_1)
    assert content is not None
    assert [(a.id, a.peak_score) for a in content.alarms] == [
        (FAN_ALARM, 7.0),
        ("fan01-20261120T010000Z", 8.5),
    ]
    assert content.damage is None
    assert content.machines == ["fan01", "pump02"]
    assert len(content.events(FAN_ALARM)) == 1
    acknowledge(format_1)
    database = sqlite3.connect(format_1 / FILE_NAME)
    row = database.execute(
        "SELECT who, why, taken_up FROM alarms WHERE id = ?", (FAN_ALARM,)
    ).fetchone()
    database.close()
    assert row == ("ann", "greased", 0)


def test_a_journal_of_the_earlier_format_is_migrated(format_1: Path) -> None:
    acknowledge(format_1)
    before = read_journal(format_1)
    assert before is not None
    with Journal(format_1) as journal:
        assert [alarm.id for alarm in journal.alarms()] == [alarm.id for alarm in before.alarms]
        assert journal.events(FAN_ALARM) == before.events(FAN_ALARM)
        check_acknowledgement(journal)
        after = read_journal(format_1)
    assert after is not None
    assert after.machines == before.machines
    database = sqlite3.connect(format_1 / f"{FILE_NAME}.format-1-1")
    assert database.execute("SELECT count(*) FROM alarms").fetchone() == (2,)
    database.close()


def check_acknowledgement(journal: Journal) -> None:
    """Check that an acknowledgement that was written before the migration is applied once."""
    fan = MachineJournal(journal, "fan01")
    (event,) = apply_requests(fan, NOW)
    assert (event.alarm_id, event.after, event.who) == (FAN_ALARM, "acknowledged", "ann")
    assert fan.newest is not None
    assert (fan.newest.who, fan.newest.why) == ("ann", "greased")
    assert journal.alarms()[0] == fan.newest
    assert apply_requests(fan) == []


@pytest.fixture
def format_2(tmp_path: Path) -> Path:
    """A state folder with the journal of the version before the time scales."""
    return write_earlier_format(tmp_path, 2)


@pytest.fixture
def format_3(tmp_path: Path) -> Path:
    """A state folder with the journal of the version before the outbox."""
    return write_earlier_format(tmp_path, 3)


@pytest.fixture
def format_4(tmp_path: Path) -> Path:
    """A state folder with the journal of the version before the requests."""
    return write_earlier_format(tmp_path, 4)


def test_a_journal_of_format_4_is_acknowledged_and_migrated(format_4: Path) -> None:
    acknowledge(format_4)
    before = read_journal(format_4)
    assert before is not None
    assert (before.damage, before.alarms[0].who) == (None, "ann")
    with Journal(format_4) as journal:
        assert journal.fault is None
        check_acknowledgement(journal)
        MachineJournal(journal, "pump02").record(state_transition(), NOW, "v1")
        assert [each.event.seq for each in journal.outbox.take("pump02", 10)] == [2]
    assert (format_4 / f"{FILE_NAME}.format-4-1").exists()


def test_an_alarm_of_format_4_has_the_reason_of_its_event(
    format_4: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> list[object]:
        raise JournalError("disk I/O error")

    with Journal(format_4) as journal:
        read = MachineJournal(journal, "fan01").newest
        monkeypatch.setattr(Journal, "events", fail)
        with capture_logs() as logs:
            unread = MachineJournal(journal, "fan01").newest
    assert read is not None
    assert unread is not None
    assert (read.reason, unread.id, unread.reason) == ("a test", read.id, None)
    assert logs[0]["reason"] == "disk I/O error"


def test_a_journal_of_format_4_takes_acknowledgements_only(format_4: Path) -> None:
    request = Request(Verb.OUT_OF_SERVICE, "fan01", "ann", NOW, why="belt")
    with pytest.raises(JournalError, match="start this version of the daemon"):
        make_request(format_4, request)


@pytest.mark.parametrize("version", [2, 3, 4, 5])
def test_a_damaged_first_page_of_any_format_is_repaired(tmp_path: Path, version: int) -> None:
    if version < 5:
        write_earlier_format(tmp_path, version)
    else:
        with Journal(tmp_path) as journal:
            MachineJournal(journal, "fan01").record(RAISED, NOW, "v1")
    file = tmp_path / FILE_NAME
    content = bytearray(file.read_bytes())
    content[100:1000] = b"\xff" * 900
    file.write_bytes(content)
    with capture_logs() as logs, Journal(tmp_path) as journal:
        assert [(alarm.id, alarm.peak_score) for alarm in journal.alarms()] == [(FAN_ALARM, 7.0)]
        assert len(journal.events(FAN_ALARM)) == 1
    assert logs[0]["damaged_rows"] == 0


def test_a_journal_of_format_2_is_read_and_acknowledged(format_2: Path) -> None:
    content = read_journal(format_2)
    assert content is not None
    assert content.damage is None
    assert content.machines == ["fan01", "pump02"]
    [alarm] = content.alarms
    assert (alarm.id, alarm.peak_score, alarm.time_scale_s) == (FAN_ALARM, 7.0, None)
    acknowledge(format_2)
    acknowledged = read_journal(format_2)
    assert acknowledged is not None
    assert (acknowledged.alarms[0].who, acknowledged.damage) == ("ann", None)
    assert acknowledged.warnings == content.warnings


def test_a_journal_of_format_2_is_migrated(format_2: Path) -> None:
    acknowledge(format_2)
    before = read_journal(format_2)
    assert before is not None
    with Journal(format_2) as journal:
        assert journal.fault is None
        assert [alarm.id for alarm in journal.alarms()] == [alarm.id for alarm in before.alarms]
        assert journal.events(FAN_ALARM) == before.events(FAN_ALARM)
        check_acknowledgement(journal)
    after = read_journal(format_2)
    assert after is not None
    assert (after.machines, after.warnings) == (before.machines, [])
    assert (format_2 / f"{FILE_NAME}.format-2-1").exists()


def test_a_journal_of_format_3_is_migrated_and_its_events_are_counted_from_1(
    format_3: Path,
) -> None:
    acknowledge(format_3)
    before = read_journal(format_3)
    assert before is not None
    assert before.damage is None
    with Journal(format_3) as journal:
        assert journal.fault is None
        (request,) = journal.requests.waiting("fan01")
        assert (request.alarm_id, request.who, request.why) == (FAN_ALARM, "ann", "greased")
        assert [event.seq for event in journal.events(FAN_ALARM)] == [None]
        assert journal.outbox.machines_due == frozenset(), (
            "what was written before is published again"
        )
        MachineJournal(journal, "fan01").record(state_transition(), NOW, "v1")
        assert [each.event.seq for each in journal.outbox.take("fan01", 10)] == [1]
    assert (format_3 / f"{FILE_NAME}.format-3-1").exists()


@pytest.mark.parametrize("claimed", [0, 1, 2, 3, 4, 7])
def test_a_journal_with_another_format_in_its_header_is_repaired(
    tmp_path: Path, claimed: int
) -> None:
    with Journal(tmp_path) as journal:
        MachineJournal(journal, "fan01").record(RAISED, NOW, "v1")
    database = sqlite3.connect(tmp_path / FILE_NAME)
    database.execute(f"PRAGMA user_version = {claimed}")
    database.close()
    with Journal(tmp_path) as journal:
        assert journal.fault is None
        assert [alarm.id for alarm in journal.alarms()] == [FAN_ALARM]


def test_a_journal_with_a_damaged_schema_format_is_repaired(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        MachineJournal(journal, "fan01").record(RAISED, NOW, "v1")
    file = tmp_path / FILE_NAME
    content = bytearray(file.read_bytes())
    content[47] ^= 2  # "Database Header", offset 44 of the file format
    file.write_bytes(content)
    with Journal(tmp_path) as journal:
        assert [alarm.id for alarm in journal.alarms()] == [FAN_ALARM]
