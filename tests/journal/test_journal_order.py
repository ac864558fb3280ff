"""The order of a machine's events while the file is not there, cannot be opened, or is damaged."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from asd_monitor.alarm.state import TransitionKind
from asd_monitor.journal.journal_file import FILE_NAME
from asd_monitor.journal.sqlite_errors import JournalError
from asd_monitor.journal.store import Journal
from tests.doubles.journal_outbox import (
    Clock,
    Disk,
    numbers,
    raise_alarm,
    record,
    settle_all,
    take_all,
)


def make_unusable(tmp_path: Path) -> None:
    """Put a link to a missing file in the place of the journal."""
    for file in tmp_path.glob(f"{FILE_NAME}*"):
        file.unlink()
    (tmp_path / FILE_NAME).symlink_to(tmp_path / "missing")


def test_a_backlog_of_a_file_that_is_gone_comes_before_new_events(tmp_path: Path) -> None:
    with capture_logs(), Journal(tmp_path) as journal:
        record(journal, events=40)
        first = journal.outbox.take("fan01", 32)
        make_unusable(tmp_path)
        raise_alarm(journal)
        assert "the file was" in str(journal.fault)
        for each in first:
            journal.outbox.settle(each, None)
        events = take_all(journal)
        assert numbers(events) == [*range(33, 41), None]
        (tmp_path / FILE_NAME).unlink()
        settle_all(journal, events)
        assert journal.fault is None
        assert journal.outbox.figures.waiting == 0
        record(journal)
        assert numbers(take_all(journal)) == [42]


class UnavailableDisk(Disk):
    """A disk with files that cannot be opened for writing."""

    available = False

    def connect(self, *arguments: Any, **options: Any) -> sqlite3.Connection:
        if not self.available:
            raise sqlite3.OperationalError("unable to open database file")
        return super().connect(*arguments, **options)


def test_a_backlog_of_a_file_that_cannot_be_opened_comes_before_new_events(
    tmp_path: Path, clock: Clock
) -> None:
    with Journal(tmp_path, monotonic_s=clock) as journal:
        record(journal, events=3)
    disk = UnavailableDisk()
    with capture_logs(), Journal(tmp_path, connect=disk.connect, monotonic_s=clock) as journal:
        raise_alarm(journal)
        assert journal.outbox.figures.waiting == 4
        events = take_all(journal)
        assert numbers(events) == [1, 2, 3, None]
        assert [journal.outbox.is_historical(each) for each in events] == [True, True, True, False]
        disk.available = True
        settle_all(journal, events)
        assert journal.fault is None
        assert journal.outbox.figures.waiting == 0
        assert dict(journal.outbox.figures.dropped) == {}
        record(journal)
        assert numbers(take_all(journal)) == [5]


def test_a_damaged_row_that_cannot_be_set_aside_does_not_hold_up_the_others(
    tmp_path: Path, disk: Disk
) -> None:
    with capture_logs(), Journal(tmp_path, connect=disk.connect) as journal:
        record(journal, events=6)
        disk.newest.execute("UPDATE outbox SET why = 'another cause' WHERE seq = 3")
        disk.make_read_only(True)
        assert numbers(take_all(journal)) == [1, 2, 4, 5, 6]
        disk.make_read_only(False)
        record(journal)
        assert numbers(take_all(journal)) == [7]
    with capture_logs(), Journal(tmp_path) as journal:
        assert numbers(take_all(journal)) == [1, 2, 4, 5, 6, 7]


def test_a_reading_that_fails_loses_no_event(tmp_path: Path, disk: Disk) -> None:
    with Journal(tmp_path, connect=disk.connect) as journal:
        record(journal, events=3)
        disk.newest.set_authorizer(lambda *_: sqlite3.SQLITE_DENY)
        with pytest.raises(JournalError, match="not authorized"):
            take_all(journal)
        disk.newest.set_authorizer(None)
        assert numbers(take_all(journal)) == [1, 2, 3]


def test_alarms_are_the_last_to_be_dropped_from_memory(tmp_path: Path, disk: Disk) -> None:
    with Journal(tmp_path, max_unwritten=20, connect=disk.connect) as journal:
        record(journal, "fan01")
        record(journal, "pump02")
        disk.make_read_only(True)
        raise_alarm(journal, "fan01")
        record(journal, "pump02", events=30)
        assert journal.unwritten == 20
        assert journal.dropped_kinds == {"state": 12}
        kinds = [each.event.kind for each in take_all(journal, "fan01")]
        assert kinds == [TransitionKind.STATE, TransitionKind.ALARM]
        for _ in range(15):
            raise_alarm(journal, "fan01")
        assert journal.unwritten == 20
        assert journal.dropped_kinds == {"state": 30, "alarm record": 6, "alarm": 6}


def test_a_file_that_was_removed_is_made_anew_at_the_end(tmp_path: Path) -> None:
    with capture_logs(), Journal(tmp_path) as journal:
        raise_alarm(journal)
        for file in tmp_path.glob(f"{FILE_NAME}*"):
            file.unlink()
    assert [each.events for each in journal.left_events] == [1]
    with Journal(tmp_path) as journal:
        assert [alarm.machine for alarm in journal.alarms()] == ["fan01"]
        assert len(take_all(journal)) == 1
