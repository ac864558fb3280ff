"""Requests that the daemon withdraws, since the disk has not taken them: none is applied later."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from asd_monitor.journal.commands import outcome_of
from asd_monitor.journal.requests import Request, Verb
from asd_monitor.journal.sqlite_errors import JournalError, StalledJournalError
from asd_monitor.journal.store import Journal
from tests.doubles.hanging_disk import SHORT, HangingDisk
from tests.doubles.journalled_machine import NOW, JournalledMachine

OUT = Request(Verb.OUT_OF_SERVICE, "fan01", "ann", NOW, why="belt")
GIVEN_UP = "it is given up"


@pytest.fixture
def hanging() -> Iterator[HangingDisk]:
    disk = HangingDisk()
    yield disk
    disk.answer()


@pytest.fixture
def journal(tmp_path: Path, hanging: HangingDisk) -> Iterator[Journal]:
    with Journal(tmp_path, connect=hanging.connect, limits=SHORT) as opened:
        yield opened


def stall(journal: Journal, hanging: HangingDisk, statement: str) -> None:
    """Begin to add the request while the disk does not answer."""
    hanging.hang(statement)
    with pytest.raises(StalledJournalError):
        journal.requests.add(OUT)
    assert hanging.waiting.is_set()


def end_stall(journal: Journal, hanging: HangingDisk) -> None:
    hanging.answer()
    journal._disk._thread.await_overdue(10)


@pytest.mark.parametrize("statement", ["BEGIN IMMEDIATE", "INSERT", "COMMIT"])
def test_a_withdrawn_request_that_the_disk_writes_later_is_not_applied(
    tmp_path: Path, journal: Journal, hanging: HangingDisk, statement: str
) -> None:
    fan = JournalledMachine(journal)
    stall(journal, hanging, statement)
    assert journal.requests.withdraw(OUT.id, GIVEN_UP)
    end_stall(journal, hanging)
    fan.apply()
    assert fan.monitor.in_service
    journal.requests.add(OUT)  # an attempt that was queued before
    journal.maintain()
    fan.apply()
    journal.close()
    with Journal(tmp_path) as later:
        fan = JournalledMachine(later)
        fan.apply()
        assert fan.monitor.in_service
        assert later.out_of_service("fan01") is None
    settled = outcome_of(tmp_path, OUT.id)
    assert settled is None or (settled.outcome, settled.accepted) == (GIVEN_UP, False)


def test_a_request_that_the_disk_writes_late_is_applied_once_it_is_known_to_be_written(
    journal: Journal, hanging: HangingDisk
) -> None:
    fan = JournalledMachine(journal)
    stall(journal, hanging, "COMMIT")
    end_stall(journal, hanging)
    fan.apply()
    assert fan.monitor.in_service  # it can be withdrawn still
    journal.requests.add(OUT)
    assert not journal.requests.withdraw(OUT.id, GIVEN_UP)
    fan.apply()
    assert not fan.monitor.in_service


def test_a_request_that_was_refused_is_not_one_that_can_be_withdrawn(journal: Journal) -> None:
    journal.close()
    with pytest.raises(JournalError):
        journal.requests.add(OUT)
    assert not journal.requests.withdraw(OUT.id, GIVEN_UP)


def test_a_request_that_is_refused_after_the_disk_has_written_it_is_not_applied(
    tmp_path: Path, journal: Journal, hanging: HangingDisk
) -> None:
    """A disk that has hung may be read-only after that."""
    fan = JournalledMachine(journal)
    stall(journal, hanging, "COMMIT")
    end_stall(journal, hanging)
    database = journal._stored.database
    assert database is not None
    database.execute("PRAGMA query_only = 1")
    with pytest.raises(JournalError, match="readonly"):
        journal.requests.add(OUT)
    fan.apply()
    assert fan.monitor.in_service
    database.execute("PRAGMA query_only = 0")
    journal.maintain()
    fan.apply()
    assert fan.monitor.in_service
    settled = outcome_of(tmp_path, OUT.id)
    assert settled is not None
    assert settled.accepted is False
    assert "it is not applied" in (settled.outcome or "")
