"""Opening a journal: missing, foreign and later files, permissions."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from asd_monitor.alarm.state import Alarm, AlarmCondition
from asd_monitor.journal.commands import read_journal
from asd_monitor.journal.journal_file import FILE_NAME
from asd_monitor.journal.machine_journal import MachineJournal
from asd_monitor.journal.sqlite_errors import JournalError
from asd_monitor.journal.store import Journal
from tests.doubles.command_line import without_privileges
from tests.doubles.journalled_machine import (
    FAN_ALARM,
    NOW,
    RAISED,
    RETURNED,
    acknowledge,
)


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


def test_an_alarm_keeps_its_time_scale(tmp_path: Path) -> None:
    alarm = Alarm(1, AlarmCondition.UNACKNOWLEDGED, 7.0, time_scale_s=3600.0)
    raised = replace(RAISED, alarm=alarm)
    with Journal(tmp_path) as journal:
        MachineJournal(journal, "fan01").record(raised, NOW, "v1")
    with Journal(tmp_path) as journal:
        restored = MachineJournal(journal, "fan01").restored_alarm()
    assert restored is not None
    assert restored.time_scale_s == 3600.0
