"""A file that another program overwrites while the daemon writes to it."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from asd_monitor.alarm.state import AlarmCondition
from asd_monitor.journal.commands import read_journal
from asd_monitor.journal.journal_file import FILE_NAME
from asd_monitor.journal.machine_journal import MachineJournal
from asd_monitor.journal.sqlite_errors import JournalError
from asd_monitor.journal.store import Journal
from tests.doubles.journalled_machine import NOW, alarm_transition, state_transition


class UncachedDatabase(sqlite3.Connection):
    """A database that keeps hardly a page in memory: what was overwritten is lost."""

    def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:
        if "journal_mode" in sql:
            super().execute("PRAGMA cache_size = 1")
        return super().execute(sql, *values)


connect = partial(sqlite3.connect, factory=UncachedDatabase)


def with_zeros(path: Path) -> None:
    path.write_bytes(bytes(8192))


def with_nothing(path: Path) -> None:
    path.write_bytes(b"")


def with_an_earlier_copy(path: Path) -> None:
    path.write_bytes(path.with_name("earlier").read_bytes())


def overwrite_within_the_next_transaction(
    journal: Journal, monkeypatch: pytest.MonkeyPatch, overwrite: Callable[[Path], None]
) -> None:
    write = journal._stored._write_queue

    def write_and_overwrite(database: sqlite3.Connection) -> None:
        write(database)
        monkeypatch.undo()
        overwrite(journal.path)

    monkeypatch.setattr(journal._stored, "_write_queue", write_and_overwrite)


def record(journal: Journal, *, events: int = 1) -> None:
    for _ in range(events):
        MachineJournal(journal, "fan01").record(state_transition(), NOW, "v1")


def raise_alarm(journal: Journal, machine: str) -> str:
    before, after = AlarmCondition.NORMAL, AlarmCondition.UNACKNOWLEDGED
    event = MachineJournal(journal, machine).record(alarm_transition(before, after), NOW, "v1")
    return event.id


@pytest.mark.parametrize("overwrite", [with_zeros, with_nothing, with_an_earlier_copy])
def test_a_file_that_is_overwritten_within_a_transaction_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, overwrite: Callable[[Path], None]
) -> None:
    with Journal(tmp_path, connect=connect) as journal, capture_logs() as logs:
        raise_alarm(journal, "fan01")
        (tmp_path / "earlier").write_bytes((tmp_path / FILE_NAME).read_bytes())
        published = [each.event.id for each in journal.outbox.take("fan01", 10)]
        for number in range(20):  # beyond the first pages
            raise_alarm(journal, f"mill{number:02}")
        overwrite_within_the_next_transaction(journal, monkeypatch, overwrite)
        last = raise_alarm(journal, "pump02")
        assert "overwritten" in (journal.fault or "")
        for _ in range(3):
            with contextlib.suppress(JournalError):
                journal.maintain()
        after = raise_alarm(journal, "saw03")
        assert (journal.fault, journal.unwritten, journal.dropped) == (None, 0, 0)
        machines = {"fan01", "pump02", "saw03", *(f"mill{number:02}" for number in range(20))}
        assert {alarm.machine for alarm in journal.alarms()} == machines
        waiting = [
            each.event.id
            for machine in sorted(machines)
            for each in journal.outbox.take(machine, 100)
        ]
        assert last in waiting
        assert after in waiting
        assert not set(published) & set(waiting), "taken twice"
        lost = journal.outbox.figures.dropped.get("lost", 0)
        assert len(published) + len(waiting) + lost == 23, "an event is lost silently"
        assert bool(lost) == any("lost with the file" in entry["event"] for entry in logs)
    reported = [entry for entry in logs if entry.get("reason") == "the file was overwritten"]
    assert [entry["log_level"] for entry in reported] == ["error"]
    content = read_journal(tmp_path)
    assert content is not None
    assert content.damage is None


def test_the_event_that_is_with_the_session_is_in_the_new_file(tmp_path: Path) -> None:
    """It is published by the next run where this one is killed before."""
    with capture_logs() as logs, Journal(tmp_path, connect=connect) as journal:
        record(journal, events=4)
        (held,) = journal.outbox.take("fan01", 1)
        with_zeros(tmp_path / FILE_NAME)
        (tmp_path / f"{FILE_NAME}-wal").write_bytes(b"")
        journal.maintain()
        assert journal.outbox.take("fan01", 10) == []
        assert journal.outbox.figures.dropped == {"lost": 3}
        assert journal.outbox.figures.waiting == 1
        record(journal)
        (new,) = journal.outbox.take("fan01", 10)
        assert new.event.seq == 5
    assert any("lost with the file" in entry["event"] for entry in logs)
    with Journal(tmp_path) as journal:
        again, _ = journal.outbox.take("fan01", 10)
    assert again.event == held.event


def test_what_is_written_at_the_end_to_a_file_that_is_overwritten_is_written_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal(tmp_path)
    raise_alarm(journal, "fan01")
    assert journal._stored.database is not None
    journal._stored.database.execute("PRAGMA query_only = ON")
    raise_alarm(journal, "pump02")
    journal._stored.database.execute("PRAGMA query_only = OFF")
    overwrite_within_the_next_transaction(journal, monkeypatch, with_zeros)
    with capture_logs():
        journal.close()
    assert journal.missing.events == 0
    content = read_journal(tmp_path)
    assert content is not None
    assert {alarm.machine for alarm in content.alarms} == {"fan01", "pump02"}


def test_no_checkpoint_of_the_daemon_is_taken_for_a_change_by_another_program(
    tmp_path: Path,
) -> None:
    with capture_logs() as logs, Journal(tmp_path) as journal:
        for number in range(60):
            raise_alarm(journal, f"fan{number:02}")
            journal.maintain()
        size = (tmp_path / FILE_NAME).stat().st_size
        assert journal._stored.database is not None
        journal._stored.database.execute("PRAGMA query_only = ON")
        record(journal, events=200)
        journal._stored.database.execute("PRAGMA query_only = OFF")
        journal.maintain()  # one large transaction
        assert (journal.fault, journal.unwritten) == (None, 0)
    assert not logs
    assert size > 60_000, "the write-ahead log was not copied to the file"


class FullDisk(sqlite3.Connection):
    """A database on a disk that is full: a checkpoint fails after it has changed the file."""

    is_full = False

    def execute(self, sql: str, *arguments: Any) -> sqlite3.Cursor:
        if FullDisk.is_full and sql.startswith("INSERT"):
            raise full_error()
        if FullDisk.is_full and sql.startswith("PRAGMA wal_checkpoint"):
            super().execute(sql).fetchall()
            raise full_error()
        return super().execute(sql, *arguments)


def full_error() -> sqlite3.OperationalError:
    error = sqlite3.OperationalError("database or disk is full")
    error.sqlite_errorcode = sqlite3.SQLITE_FULL
    return error


def test_a_checkpoint_that_fails_on_a_full_disk_is_no_overwrite(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Journal(tmp_path, connect=partial(sqlite3.connect, factory=FullDisk)) as journal:
        record(journal)
        record(journal)  # in the write-ahead log only
        monkeypatch.setattr(FullDisk, "is_full", True)
        record(journal)
        assert "full" in (journal.fault or "")
        assert journal.counters.rebuilt == 0
        monkeypatch.setattr(FullDisk, "is_full", False)
        journal.maintain()
        assert journal.fault is None
        assert journal.counters.rebuilt == 0
    assert not list(tmp_path.glob("*.abandoned*"))
