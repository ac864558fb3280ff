"""Opening a journal: missing, foreign and later files, permissions."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from asd_monitor.errors import UsageError
from asd_monitor.journal.journal_file import FILE_NAME
from asd_monitor.journal.machine_journal import MachineJournal
from asd_monitor.journal.sqlite_errors import JournalError
from asd_monitor.journal.store import Journal
from tests.doubles.command_line import without_privileges
from tests.doubles.journalled_machine import FAN_ALARM, LATER, NOW, RAISED, RETURNED, acknowledge


def test_the_first_acknowledgement_stays(journal: Journal) -> None:
    MachineJournal(journal, "fan01").record(RAISED, NOW, "v1")
    first = journal.acknowledge(FAN_ALARM, "ann", None, NOW)
    assert journal.acknowledge(FAN_ALARM, "bob", "me too", LATER) == first


def test_an_unknown_alarm_id_is_refused_with_a_suggestion(journal: Journal) -> None:
    MachineJournal(journal, "fan01").record(RAISED, NOW, "v1")
    with pytest.raises(UsageError, match=f"did you mean {FAN_ALARM}"):
        journal.acknowledge(FAN_ALARM[:-3], "ann", None, NOW)
    with pytest.raises(UsageError, match="see `asd-monitor alarms list --all`"):
        journal.alarm("x")


def test_text_that_is_not_valid_is_refused(journal: Journal) -> None:
    MachineJournal(journal, "fan01").record(RAISED, NOW, "v1")
    with pytest.raises(UsageError, match="not valid text"):
        journal.acknowledge(FAN_ALARM, "\udcff", None, NOW)
    assert not journal.alarm(FAN_ALARM).acknowledged


def test_the_oldest_events_are_deleted_when_the_daemon_opens_the_journal(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        fan = MachineJournal(journal, "fan01")
        fan.record(RAISED, NOW, "v1")
        fan.record(RETURNED, NOW, "v1")
    with Journal(tmp_path, max_events=1) as journal:
        assert [e.after for e in journal.events(FAN_ALARM)] == ["returned"]
        assert len(journal.alarms()) == 1


def test_a_command_creates_nothing_in_a_state_folder(tmp_path: Path) -> None:
    assert Journal.existing(tmp_path) is None
    with pytest.raises(JournalError, match="none: no such folder: name the daemon's"):
        Journal.existing(tmp_path / "none")
    assert list(tmp_path.iterdir()) == []


def test_an_empty_file_is_not_a_journal_yet(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).touch()
    assert Journal.existing(tmp_path) is None
    with Journal(tmp_path) as journal:
        assert journal.alarms() == []


def test_a_journal_of_a_later_version_is_refused(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / FILE_NAME) as later:
        later.execute("PRAGMA user_version = 99")
    later.close()
    with pytest.raises(JournalError, match="format 99 is not known to this version: use the"):
        Journal(tmp_path)


def test_a_state_folder_that_cannot_be_created(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    message = r"the state folder cannot be created .*: choose another"
    with pytest.raises(JournalError, match=message):
        Journal(tmp_path / "file" / "state")


def test_a_state_folder_without_write_permission(open_folder: Path) -> None:
    open_folder.chmod(0o555)
    message = r"unable to open database file: make .* writable for this user, or use sudo"
    with without_privileges(), pytest.raises(JournalError, match=message):
        Journal(open_folder)


def test_an_acknowledgement_without_write_permission(open_folder: Path) -> None:
    with Journal(open_folder) as journal:
        MachineJournal(journal, "fan01").record(RAISED, NOW, "v1")
        (open_folder / FILE_NAME).chmod(0o444)
        open_folder.chmod(0o555)
        message = r"alarms.db: .*: make .* writable for this user, or use sudo"
        with without_privileges(), pytest.raises(JournalError, match=message):
            acknowledge(open_folder)


def test_a_journal_without_read_permission(open_folder: Path) -> None:
    Journal(open_folder).close()
    open_folder.chmod(0)
    with (
        without_privileges(),
        pytest.raises(JournalError, match="no permission to read it: use sudo"),
    ):
        Journal.existing(open_folder)


def test_a_locked_journal(tmp_path: Path) -> None:
    def connect(*arguments: object, **options: object) -> sqlite3.Connection:
        return sqlite3.connect(*arguments, **options | {"timeout": 0.0})  # type: ignore[call-overload,no-any-return]

    Journal(tmp_path).close()
    other = sqlite3.connect(tmp_path / FILE_NAME, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(JournalError, match="another process holds it, try again"):
        Journal(tmp_path, connect=connect)
    other.close()
