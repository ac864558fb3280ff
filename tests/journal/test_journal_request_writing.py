"""Requests in the file: applied once, with their outcome, whatever happens to process and file."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from asd_monitor.journal.commands import make_request, outcome_of, read_journal
from asd_monitor.journal.journal_file import FILE_NAME
from asd_monitor.journal.machine_journal import MachineJournal
from asd_monitor.journal.machine_requests import MachineRequests
from asd_monitor.journal.requests import (
    MAX_REQUESTS,
    OutcomeEntry,
    Request,
    TooManyRequestsError,
    Verb,
)
from asd_monitor.journal.store import Journal
from tests.doubles.applied_requests import path_of, raised
from tests.doubles.journal_outbox import Disk
from tests.doubles.journalled_machine import (
    FAN_ALARM,
    NOW,
    RAISED,
    RETURNED,
    acknowledgement,
    apply_requests,
)

HOUR = timedelta(hours=1)


def test_a_request_waits_for_the_next_start(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        fan = MachineJournal(journal, "fan01")
        fan.record(RAISED, NOW, "v1")
        fan.record(RETURNED, NOW, "v1")
    request = Request(Verb.ACK, "fan01", "ann", NOW + HOUR, alarm_id=FAN_ALARM)
    make_request(tmp_path, request)
    make_request(tmp_path, request)
    with Journal(tmp_path) as journal:
        fan = MachineJournal(journal, "fan01")
        (event,) = apply_requests(fan, NOW + 2 * HOUR)
        assert (event.after, event.who) == ("normal", "ann")
        assert apply_requests(fan, NOW + 2 * HOUR) == []
        (alarm,) = journal.alarms()
        assert (alarm.closed, alarm.acknowledged_at) == (True, NOW + HOUR)


def test_change_and_outcome_are_written_in_one_transaction(tmp_path: Path) -> None:
    """A copy of the files after each transaction is what a kill leaves."""
    with Journal(tmp_path) as journal:
        fan = raised(journal)
        request = Request(Verb.OUT_OF_SERVICE, "fan01", "ann", fan.now, why="belt")
        make_request(tmp_path, request)
        states: list[Path] = []
        write = journal.write

        def write_and_copy(change: object) -> bool:
            written = write(change)  # type: ignore[arg-type]
            copy = tmp_path / f"copy{len(states)}"
            copy.mkdir()
            for name in (FILE_NAME, f"{FILE_NAME}-wal"):
                shutil.copy(tmp_path / name, copy / name)
            states.append(copy)
            return written

        journal.write = write_and_copy  # type: ignore[method-assign]
        fan.apply()
        journal.write = write  # type: ignore[method-assign]
    (killed,) = states
    settled = outcome_of(killed, request.id)
    assert settled is not None
    assert settled.accepted
    content = read_journal(killed)
    assert content is not None
    assert content.out_of_service.keys() == {"fan01"}
    assert [alarm.condition for alarm in content.alarms] == ["out_of_service"]
    assert len(content.all_events()) == 5  # two of the raise, three of the request


def test_a_request_whose_outcome_cannot_be_written_is_applied_once(tmp_path: Path) -> None:
    disk = Disk()
    with Journal(tmp_path, connect=disk.connect) as journal:
        fan = raised(journal)
        for verb in (Verb.OUT_OF_SERVICE, Verb.IN_SERVICE):
            make_request(tmp_path, Request(verb, "fan01", "ann", fan.now, why="belt"))
        disk.make_read_only(True)
        path = ["unacknowledged→out_of_service", "out_of_service→unacknowledged"]
        assert fan.apply() == path
        assert fan.apply() == []
        assert MachineRequests(fan.machine).apply(fan.monitor, fan.now, "v1") == []  # new session
        disk.make_read_only(False)
        journal.maintain()
        assert journal.requests.waiting("fan01") == []
        assert fan.apply() == []
        assert path_of(journal) == [
            ("unacknowledged", None),
            ("out_of_service", "ann"),
            ("unacknowledged", "ann"),
        ]


def test_a_request_whose_outcome_was_given_up_is_not_applied_again(tmp_path: Path) -> None:
    disk = Disk()
    with Journal(tmp_path, connect=disk.connect, max_unwritten=4) as journal:
        fan = raised(journal)
        make_request(tmp_path, acknowledgement())
        disk.make_read_only(True)
        assert fan.apply() == ["unacknowledged→acknowledged"]
        for _ in range(3):
            fan.play(0.0, 30)
            fan.play(8.0, 10)
        assert journal.dropped_kinds["outcome of a request"] > 0
        assert fan.apply() == []


def test_a_listener_gets_each_outcome_once_it_is_written(tmp_path: Path) -> None:
    disk = Disk()
    outcomes: list[OutcomeEntry] = []
    with Journal(tmp_path, connect=disk.connect) as journal:
        journal.requests.listen(outcomes.append)
        fan = raised(journal)
        asked = Request(Verb.OUT_OF_SERVICE, "fan01", "ann", fan.now, why="belt")
        journal.requests.add(asked)
        disk.make_read_only(True)
        fan.apply()
        assert outcomes == []
        disk.make_read_only(False)
        journal.maintain()
        outcome = (
            "fan01: taken out of service by ann;"
            " alarm fan01-20261123T044500Z is hidden until it returns"
        )
        written = OutcomeEntry(asked.id, outcome, accepted=True)
        assert outcomes == [written]
        fan.apply()
        journal.maintain()
        assert outcomes == [written]


def test_requests_are_bounded(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        MachineJournal(journal, "fan01")
        asked = [
            Request(Verb.IN_SERVICE, "fan01", "ann", NOW, why=str(number))
            for number in range(MAX_REQUESTS)
        ]
        make_request(tmp_path, *asked)
        with pytest.raises(TooManyRequestsError, match="1000 requests wait for the daemon"):
            journal.requests.add(Request(Verb.IN_SERVICE, "fan01", "ann", NOW))
        journal.write([OutcomeEntry(asked[0].id, "done", accepted=True)])
        journal.write([OutcomeEntry(asked[1].id, "done", accepted=True)])
        newest = Request(Verb.IN_SERVICE, "fan01", "ann", NOW)
        journal.requests.add(newest)
        assert outcome_of(tmp_path, asked[0].id) is None
        assert outcome_of(tmp_path, asked[1].id) is not None
        day_later = Request(Verb.IN_SERVICE, "fan01", "ann", NOW + timedelta(days=1, seconds=1))
        journal.requests.add(day_later)
        assert outcome_of(tmp_path, asked[1].id) is None
        assert len(journal.requests.waiting("fan01")) == MAX_REQUESTS


def test_requests_that_are_made_together_are_all_added_or_none(tmp_path: Path) -> None:
    def asked(count: int) -> list[Request]:
        return [Request(Verb.IN_SERVICE, "fan01", "ann", NOW) for _ in range(count)]

    with Journal(tmp_path) as journal:
        MachineJournal(journal, "fan01")
        make_request(tmp_path, *asked(MAX_REQUESTS - 1))
        with pytest.raises(TooManyRequestsError, match="999 requests wait for the daemon"):
            make_request(tmp_path, *asked(2))
        assert len(journal.requests.waiting("fan01")) == MAX_REQUESTS - 1
        same = journal.requests.waiting("fan01")[:5]
        make_request(tmp_path, *same, *asked(1))
        assert len(journal.requests.waiting("fan01")) == MAX_REQUESTS


def test_a_damaged_request_is_set_aside(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        MachineJournal(journal, "fan01").record(RAISED, NOW, "v1")
    make_request(tmp_path, Request(Verb.ACK, "fan01", "ann", NOW, alarm_id=FAN_ALARM))
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as database, database:
        database.execute("UPDATE requests SET who = 'bob'")
    database.close()
    with Journal(tmp_path) as journal:
        assert apply_requests(MachineJournal(journal, "fan01")) == []
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as database, database:
        assert database.execute("SELECT count(*) FROM requests").fetchone() == (0,)
        assert database.execute("SELECT place FROM damaged_rows").fetchall() == [("requests",)]
    database.close()
