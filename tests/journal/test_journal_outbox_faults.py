"""The events that wait to be published, where the disk or the file is at fault."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from asd_monitor.journal.journal_file import FILE_NAME
from asd_monitor.journal.sqlite_errors import JournalError
from asd_monitor.journal.store import Journal
from tests.doubles.journal_outbox import (
    Disk,
    numbers,
    record,
    settle_all,
    take_all,
)


def test_unwritten_events_are_taken_without_a_number_and_written_once(
    faulty: Journal, disk: Disk
) -> None:
    record(faulty, events=3)
    assert faulty.fault is not None
    taken = take_all(faulty)
    assert numbers(taken) == [1, None, None, None]
    assert take_all(faulty) == []
    faulty.outbox.settle(taken[0], None)
    faulty.outbox.settle(taken[1], None)
    assert faulty.outbox.figures.waiting == 2
    disk.make_read_only(False)
    faulty.maintain()
    assert faulty.fault is None
    assert take_all(faulty) == [], "an event is with the session already"
    assert faulty.outbox.figures.waiting == 2
    settle_all(faulty, taken[2:])
    assert faulty.outbox.figures.waiting == 0
    record(faulty)
    assert numbers(take_all(faulty)) == [5]


def test_unwritten_events_that_were_not_published_are_counted_at_the_end(faulty: Journal) -> None:
    record(faulty, events=3)
    faulty.outbox.settle(take_all(faulty)[1], None)
    assert (faulty.missing.events, faulty.missing.unpublished) == (3, 2)


def test_unwritten_events_are_bounded(tmp_path: Path, disk: Disk) -> None:
    with Journal(tmp_path, max_unwritten=10, connect=disk.connect) as journal:
        record(journal)
        disk.make_read_only(True)
        record(journal, events=5)
        taken = take_all(journal)
        record(journal, events=20)
        assert journal.outbox.figures.dropped == {"state": 10}
        disk.make_read_only(False)
        settle_all(journal, taken)
        assert len(take_all(journal)) == 10
        assert journal.outbox.figures.waiting == 10


@pytest.mark.parametrize("removed", [True, False])
def test_events_wait_in_a_file_that_is_made_anew(tmp_path: Path, removed: bool) -> None:
    with capture_logs(), Journal(tmp_path) as journal:
        record(journal, events=4)
        journal.outbox.settle(journal.outbox.take("fan01", 1)[0], None)
        if removed:
            for file in tmp_path.glob(f"{FILE_NAME}*"):
                file.unlink()
        else:
            (tmp_path / "other").write_bytes(b"no database" * 1000)
            (tmp_path / "other").replace(tmp_path / FILE_NAME)
        journal.maintain()
        record(journal)
        assert numbers(take_all(journal)) == [2, 3, 4, 5]
    with Journal(tmp_path) as journal:
        assert numbers(take_all(journal)) == [2, 3, 4, 5]


def test_a_damaged_row_costs_its_event_only(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        for why in ("first cause", "second cause", "third cause"):
            record(journal, why=why)
    database = sqlite3.connect(tmp_path / FILE_NAME)
    database.execute("UPDATE outbox SET why = 'another cause' WHERE seq = 2")
    database.commit()
    database.close()
    with capture_logs() as logs, Journal(tmp_path) as journal:
        assert numbers(take_all(journal)) == [1, 3]
        assert journal.outbox.figures.waiting == 2
    assert logs[0]["damaged_rows"] == 1


def test_a_row_that_is_damaged_while_the_daemon_runs_is_set_aside(tmp_path: Path) -> None:
    with capture_logs() as logs, Journal(tmp_path) as journal:
        record(journal, events=3)
        assert journal._stored.database is not None
        journal._stored.database.execute("UPDATE outbox SET why = 'another cause' WHERE seq = 2")
        assert numbers(take_all(journal)) == [1, 3]
        assert journal.outbox.figures.waiting == 2
    (entry,) = logs
    assert (entry["log_level"], entry["seq"]) == ("error", 2)


@pytest.mark.parametrize("table", ["machines", "events"])
def test_numbers_are_not_repeated_after_damage(tmp_path: Path, table: str) -> None:
    with Journal(tmp_path) as journal:
        record(journal, events=7)
        settle_all(journal, journal.outbox.take("fan01", 5))
    database = sqlite3.connect(tmp_path / FILE_NAME)
    database.execute(f"UPDATE {table} SET seq = seq - 1 WHERE seq = 7")  # noqa: S608
    database.commit()
    database.close()
    with capture_logs(), Journal(tmp_path) as journal:
        record(journal)
        waiting = take_all(journal)
        assert numbers(waiting) == [6, 7, 8]
        assert [journal.outbox.is_historical(each) for each in waiting] == [True, True, False]


@pytest.mark.parametrize("position", [0, 20, 28, 56, 100, 108, 400, 3000])
def test_damage_of_the_first_page_loses_no_event(tmp_path: Path, position: int) -> None:
    with Journal(tmp_path) as journal:
        record(journal, events=40)
    path = tmp_path / FILE_NAME
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)
    with capture_logs(), Journal(tmp_path) as journal:
        assert numbers(take_all(journal)) == list(range(1, 41))
        record(journal)
        assert numbers(take_all(journal)) == [41]


def test_events_that_cannot_be_read_are_reported(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    record(journal)
    journal.close()
    with pytest.raises(JournalError, match="closed"):
        take_all(journal)
