"""Damaged journals, and errors of SQLite that are not damage."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from asd_monitor.journal.alarm_tables import alarm_entry
from asd_monitor.journal.journal_file import FILE_NAME, set_aside
from asd_monitor.journal.machine_journal import MachineJournal
from asd_monitor.journal.sqlite_errors import DamagedJournalError, JournalError, translated
from asd_monitor.journal.store import Journal
from tests.doubles.journalled_machine import NOW, RAISED

DAMAGE = b"no database" * 100


@pytest.mark.parametrize("size", [10, 5000])
def test_a_file_that_is_not_a_database_is_damaged(tmp_path: Path, size: int) -> None:
    (tmp_path / FILE_NAME).write_bytes(b"no database" * size)
    for opening in (Journal, Journal.existing):
        with pytest.raises(
            DamagedJournalError, match=r"alarms.db: file is not a database: restart"
        ):
            opening(tmp_path)


def test_damaged_pages_are_found_when_the_daemon_opens_the_journal(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        alarm = MachineJournal(journal, "fan01").record(RAISED, NOW, "v1").alarm
        assert alarm is not None
        journal.write(
            [alarm_entry(replace(alarm, id=str(number)), applied=False) for number in range(200)]
        )
    path = tmp_path / FILE_NAME
    content = bytearray(path.read_bytes())
    content[4096 : len(content) - 4096] = b"\xa5" * (len(content) - 8192)
    path.write_bytes(content)
    with pytest.raises(DamagedJournalError, match="restart the daemon"):
        Journal(tmp_path)


@pytest.mark.parametrize("user_version", [0, 1])
def test_another_database_is_not_a_journal(tmp_path: Path, user_version: int) -> None:
    with sqlite3.connect(tmp_path / FILE_NAME) as other:
        other.execute("CREATE TABLE events (number INTEGER PRIMARY KEY)")
        other.execute(f"PRAGMA user_version = {user_version}")
    other.close()
    for opening in (Journal, Journal.existing):
        with pytest.raises(DamagedJournalError, match="not a journal of alarms"):
            opening(tmp_path)


def test_a_damaged_journal_is_renamed(tmp_path: Path) -> None:
    for count in (1, 2):
        (tmp_path / FILE_NAME).write_bytes(DAMAGE)
        kept = set_aside(tmp_path)
        assert kept.name == f"{FILE_NAME}.damaged-{count}"
        assert kept.read_bytes() == DAMAGE
        Journal(tmp_path).close()


@pytest.mark.parametrize("earlier", [["damaged-2"], ["damaged-1", "damaged-12"], ["damaged-1-wal"]])
def test_an_earlier_damaged_journal_is_not_overwritten(tmp_path: Path, earlier: list[str]) -> None:
    files = [tmp_path / f"{FILE_NAME}.{name}" for name in earlier]
    for file in files:
        file.write_text("the alarms of last year")
    (tmp_path / FILE_NAME).write_bytes(DAMAGE)
    kept = set_aside(tmp_path)
    assert kept not in files
    assert kept.read_bytes() == DAMAGE
    assert all(file.read_text() == "the alarms of last year" for file in files)


def test_the_write_ahead_log_is_kept_with_the_damaged_journal(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_bytes(DAMAGE)
    (tmp_path / f"{FILE_NAME}-wal").write_bytes(b"newest alarms")
    kept = set_aside(tmp_path)
    assert (tmp_path / f"{kept.name}-wal").read_bytes() == b"newest alarms"
    with Journal(tmp_path) as journal:
        assert journal.alarms() == []


def test_use_after_close_is_not_damage(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    fan = MachineJournal(journal, "fan01")
    journal.close()
    with pytest.raises(JournalError) as error:
        journal.alarms()
    assert not isinstance(error.value, DamagedJournalError)
    fan.record(RAISED, NOW, "v1")
    assert "closed database" in str(journal.fault)
    assert (journal.unwritten, journal.dropped) == (2, 0)


@pytest.mark.parametrize(
    ("code", "damaged"),
    [
        (sqlite3.SQLITE_CORRUPT, True),
        (sqlite3.SQLITE_NOTADB, True),
        (sqlite3.SQLITE_CORRUPT_INDEX, True),
        (sqlite3.SQLITE_IOERR_CORRUPTFS, False),
        (sqlite3.SQLITE_READONLY_DBMOVED, False),
        (sqlite3.SQLITE_ERROR, False),
        (sqlite3.SQLITE_INTERNAL, False),
        (None, False),
    ],
)
def test_damage_is_recognised_by_the_result_code(
    tmp_path: Path, code: int | None, damaged: bool
) -> None:
    error = sqlite3.DatabaseError("disk is full, locked and malformed")
    if code is not None:
        error.sqlite_errorcode = code
    with pytest.raises(JournalError) as translation, translated(tmp_path / FILE_NAME):
        raise error
    assert isinstance(translation.value, DamagedJournalError) is damaged
