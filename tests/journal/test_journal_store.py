"""Opening a journal: missing, foreign and later files, permissions."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from asd_monitor.alarm.state import Alarm, AlarmCondition
from asd_monitor.errors import UsageError
from asd_monitor.journal.alarm_tables import create_tables
from asd_monitor.journal.checksums import row_checksum
from asd_monitor.journal.commands import make_request, outcome_of, read_journal
from asd_monitor.journal.journal_file import FILE_NAME
from asd_monitor.journal.machine_journal import MachineJournal
from asd_monitor.journal.requests import Request, Verb
from asd_monitor.journal.sqlite_errors import JournalError
from asd_monitor.journal.store import Journal
from asd_monitor.journal.table_definitions import TABLES_OF
from tests.doubles.command_line import without_privileges
from tests.doubles.journalled_machine import (
    FAN_ALARM,
    LATER,
    NOW,
    RAISED,
    RETURNED,
    acknowledge,
    acknowledgement,
    apply_requests,
    state_transition,
)


def test_the_first_acknowledgement_stays(tmp_path: Path, journal: Journal) -> None:
    fan = MachineJournal(journal, "fan01")
    fan.record(RAISED, NOW, "v1")
    acknowledge(tmp_path)
    again = acknowledgement(FAN_ALARM, "bob", "me too")
    make_request(tmp_path, again)
    apply_requests(fan)
    (stored,) = journal.alarms()
    assert (stored.who, stored.acknowledged_at) == ("ann", LATER)
    settled = outcome_of(tmp_path, again.id)
    assert settled is not None
    assert settled.accepted
    assert f"{FAN_ALARM}: already acknowledged by ann, 2026-11-23T05:45" in (settled.outcome or "")


def test_an_unknown_alarm_id_is_refused_with_a_suggestion(tmp_path: Path, journal: Journal) -> None:
    MachineJournal(journal, "fan01").record(RAISED, NOW, "v1")
    with pytest.raises(UsageError, match=f"did you mean {FAN_ALARM}"):
        acknowledge(tmp_path, FAN_ALARM[:-3])
    with pytest.raises(UsageError, match=r"see `asd-monitor alarms list --state \S+ --all`"):
        acknowledge(tmp_path, "x")
    with pytest.raises(UsageError, match=r"it is a machine: see its alarms .* --machine fan01`"):
        acknowledge(tmp_path, "fan01")


def test_text_that_is_not_valid_is_refused(tmp_path: Path, journal: Journal) -> None:
    fan = MachineJournal(journal, "fan01")
    fan.record(RAISED, NOW, "v1")
    with pytest.raises(UsageError, match="not valid text"):
        make_request(tmp_path, acknowledgement(FAN_ALARM, "\udcff", None))
    assert journal.requests.waiting("fan01") == []


def test_the_oldest_events_are_deleted_when_the_daemon_opens_the_journal(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        fan = MachineJournal(journal, "fan01")
        fan.record(RAISED, NOW, "v1")
        fan.record(RETURNED, NOW, "v1")
    with Journal(tmp_path, max_events=1) as journal:
        assert [e.after for e in journal.events(FAN_ALARM)] == ["returned"]
        assert len(journal.alarms()) == 1


def test_a_command_creates_nothing_in_a_state_folder(tmp_path: Path) -> None:
    assert read_journal(tmp_path) is None
    with pytest.raises(JournalError, match="none: no such folder: name the daemon's"):
        read_journal(tmp_path / "none")
    assert list(tmp_path.iterdir()) == []


def test_reading_changes_nothing(tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    with Journal(tmp_path) as journal:
        MachineJournal(journal, "fan01").record(RAISED, NOW, "v1")
        for name in (FILE_NAME, f"{FILE_NAME}-wal"):  # as after a kill
            (copy / name).write_bytes((tmp_path / name).read_bytes())
    before = {file.name: file.read_bytes() for file in copy.iterdir()}
    content = read_journal(copy)
    assert content is not None
    assert [alarm.id for alarm in content.alarms] == [FAN_ALARM]
    assert {file.name: file.read_bytes() for file in copy.iterdir()} == before


def test_a_journal_of_a_later_version_is_left_as_it_is(tmp_path: Path) -> None:
    Journal(tmp_path).close()
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as later, later:
        later.execute("CREATE TABLE more (number INTEGER PRIMARY KEY)")
        later.execute("PRAGMA user_version = 99")
    later.close()
    before = (tmp_path / FILE_NAME).read_bytes()
    message = "format 99 is not known to this version: use the"
    with pytest.raises(JournalError, match=message):
        read_journal(tmp_path)
    with Journal(tmp_path) as journal:
        assert message in (journal.fault or "")
    assert (tmp_path / FILE_NAME).read_bytes() == before


def test_a_journal_is_readable_for_its_owner_only(tmp_path: Path) -> None:
    state = tmp_path / "asd" / "hall"
    umask = os.umask(0)
    try:
        with Journal(state) as journal:
            MachineJournal(journal, "fan01").record(RAISED, NOW, "v1")
            modes = {path.name: path.stat().st_mode & 0o777 for path in state.iterdir()}
    finally:
        os.umask(umask)
    assert modes == {f"{FILE_NAME}{suffix}": 0o600 for suffix in ("", "-wal", "-shm", "-seq")}
    assert {path.stat().st_mode & 0o777 for path in (state, state.parent)} == {0o700}


def test_a_link_to_a_missing_disk_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).symlink_to(tmp_path / "disk" / "alarms.db")
    message = "a link to a file that does not exist"
    with pytest.raises(JournalError, match=message):
        read_journal(tmp_path)
    with Journal(tmp_path) as journal:
        assert message in (journal.fault or "")
    assert (tmp_path / FILE_NAME).is_symlink()


def test_a_state_folder_that_cannot_be_created(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with Journal(tmp_path / "file" / "state") as journal:
        assert "choose another folder with --state" in (journal.fault or "")


def test_an_acknowledgement_without_write_permission(open_folder: Path) -> None:
    with Journal(open_folder) as journal:
        MachineJournal(journal, "fan01").record(RAISED, NOW, "v1")
        for file in open_folder.iterdir():
            file.chmod(0o444)
        open_folder.chmod(0o555)
        message = r"alarms.db: .*: make .* writable for this user, or use sudo"
        with without_privileges(), pytest.raises(JournalError, match=message):
            acknowledge(open_folder)


def test_a_journal_without_read_permission(open_folder: Path) -> None:
    Journal(open_folder).close()
    open_folder.chmod(0o755)
    with (
        without_privileges(),
        pytest.raises(JournalError, match=r"alarms.db: no permission to read it: use sudo"),
    ):
        read_journal(open_folder)


def test_a_locked_journal_is_read_and_later_written(tmp_path: Path) -> None:
    def connect(*arguments: object, **options: object) -> sqlite3.Connection:
        return sqlite3.connect(*arguments, **options | {"timeout": 0.0})  # type: ignore[call-overload,no-any-return]

    with Journal(tmp_path) as journal:
        MachineJournal(journal, "fan01").record(RAISED, NOW, "v1")
    other = sqlite3.connect(tmp_path / FILE_NAME, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with Journal(tmp_path, connect=connect) as journal:
        assert "another process holds it, try again" in (journal.fault or "")
        assert journal.newest("fan01") is not None
        MachineJournal(journal, "fan02").record(RAISED, NOW, "v1")
        content = read_journal(tmp_path)
        assert content is not None
        assert [alarm.machine for alarm in content.alarms] == ["fan01"]
        other.close()
        journal.maintain()
        assert (journal.fault, journal.unwritten) == (None, 0)
        assert [alarm.machine for alarm in journal.alarms()] == ["fan02", "fan01"]


FORMAT_1 = """
CREATE TABLE alarms (id TEXT PRIMARY KEY, machine TEXT NOT NULL, severity TEXT NOT NULL,
    condition TEXT NOT NULL, raised TEXT NOT NULL, cleared TEXT, acknowledged_at TEXT, who TEXT,
    why TEXT, peak_score REAL NOT NULL, model TEXT, evidence TEXT,
    taken_up INTEGER NOT NULL DEFAULT 0);
CREATE INDEX alarms_of_machine ON alarms (machine, raised);
CREATE TABLE events (number INTEGER PRIMARY KEY, id TEXT UNIQUE NOT NULL, machine TEXT NOT NULL,
    time TEXT NOT NULL, kind TEXT NOT NULL, "from" TEXT NOT NULL, "to" TEXT NOT NULL, who TEXT,
    why TEXT NOT NULL, alarm_id TEXT);
CREATE INDEX events_of_alarm ON events (alarm_id);
INSERT INTO alarms VALUES
    ('fan01-20261120T010000Z', 'fan01', 'alarm', 'normal', '2026-11-20T01:00:00.000Z',
     '2026-11-20T02:00:00.000Z', '2026-11-20T01:30:00.000Z', 'bob', 'belt', 8.5, 'v1', NULL, 1),
    ('fan01-20261123T044500Z', 'fan01', 'alarm', 'unacknowledged', '2026-11-23T04:45:00.512Z',
     NULL, NULL, NULL, NULL, 7.0, 'v1', NULL, 0);
INSERT INTO events VALUES
    (7, 'e7', 'fan01', '2026-11-23T04:45:00.512Z', 'alarm', 'normal', 'unacknowledged', NULL,
     'a test', 'fan01-20261123T044500Z'),
    (8, 'e8', 'pump02', '2026-11-23T04:46:00.000Z', 'state', 'normal', 'idle', NULL, 'off', NULL);
PRAGMA user_version = 1;
"""


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


def write_earlier_format(folder: Path, version: int) -> Path:
    """Write the journal of two machines as an earlier version has left it."""
    with Journal(folder) as journal:
        MachineJournal(journal, "fan01").record(RAISED, NOW, "v1")
        MachineJournal(journal, "pump02").record(state_transition(), NOW, "v1")
    present = sqlite3.connect(folder / FILE_NAME)
    columns = {"machines": {4: 3}, "events": {4: 11}, "alarms": {4: 15, 3: 15}}
    shortest = {"machines": 2, "events": 10, "alarms": 14}
    tables = {
        table: list(present.execute(f"SELECT * FROM {table}"))  # noqa: S608
        for table in columns
    }
    present.close()
    (folder / FILE_NAME).unlink()
    earlier = sqlite3.connect(folder / FILE_NAME)
    earlier.execute("PRAGMA journal_mode = WAL")
    create_tables(earlier, TABLES_OF[version], version)
    for table, rows in tables.items():
        length = columns[table].get(version, shortest[table])
        for row in rows:
            values = row[:length]
            marks = ", ".join("?" * (length + 1))
            statement = f"INSERT INTO {table} VALUES ({marks})"  # noqa: S608
            earlier.execute(statement, (*values, row_checksum(table, values)))
    earlier.commit()
    earlier.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    earlier.close()
    return folder


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


def test_an_alarm_keeps_its_time_scale(tmp_path: Path) -> None:
    alarm = Alarm(1, AlarmCondition.UNACKNOWLEDGED, 7.0, time_scale_s=3600.0)
    raised = replace(RAISED, alarm=alarm)
    with Journal(tmp_path) as journal:
        MachineJournal(journal, "fan01").record(raised, NOW, "v1")
    with Journal(tmp_path) as journal:
        restored = MachineJournal(journal, "fan01").restored_alarm()
    assert restored is not None
    assert restored.time_scale_s == 3600.0
