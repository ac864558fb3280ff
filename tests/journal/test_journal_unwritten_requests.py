"""Requests that follow each other while nothing can be written: each knows the ones before."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

from asd_monitor.commissioning.kept_sound import KeptSound
from asd_monitor.journal.commands import make_request, outcome_of
from asd_monitor.journal.machine_requests import MachineRequests
from asd_monitor.journal.requests import Request, Verb
from asd_monitor.journal.store import Journal
from tests.doubles.applied_requests import raised
from tests.doubles.journal_outbox import Disk
from tests.doubles.journalled_machine import FAN_ALARM, JournalledMachine


@contextmanager
def unwritten(journal: Journal, disk: Disk) -> Iterator[None]:
    """Let nothing be written, and all at the end."""
    disk.make_read_only(True)
    yield
    assert journal.fault is not None
    disk.make_read_only(False)
    journal.maintain()
    assert journal.fault is None


def outcomes(state: Path, requests: list[Request]) -> list[str]:
    found = [outcome_of(state, each.id) for each in requests]
    return [each.outcome or "" for each in found if each is not None]


def with_earlier_alarm(journal: Journal) -> JournalledMachine:
    """Return a machine with an alarm that has returned to normal, and a newer one."""
    fan = raised(journal, latch=False)
    fan.play(0.5, 60)
    fan.play(8.0, 20)
    return fan


def test_an_acknowledged_alarm_that_is_labelled_stays_acknowledged(
    tmp_path: Path, disk: Disk
) -> None:
    with Journal(tmp_path, connect=disk.connect) as journal:
        fan = with_earlier_alarm(journal)
        requests = [
            Request(Verb.ACK, "fan01", "ann", fan.now, FAN_ALARM),
            Request(Verb.LABEL, "fan01", "ann", fan.now, FAN_ALARM, arguments={"label": "invalid"}),
            Request(Verb.ACK, "fan01", "bob", fan.now, FAN_ALARM),
        ]
        make_request(tmp_path, *requests)
        with unwritten(journal, disk):
            assert fan.apply() == ["returned→normal"]
        record = journal.find(FAN_ALARM)
        assert record is not None
        assert (record.closed, record.who, record.label) == (True, "ann", "invalid")
        texts = outcomes(tmp_path, requests)
        assert texts[:2] == [
            f"{FAN_ALARM}: {what} by ann" for what in ("acknowledged", "labelled invalid")
        ]
        assert "already acknowledged by ann" in texts[2]


def test_an_acknowledged_alarm_whose_evidence_is_noted_stays_acknowledged(
    tmp_path: Path, disk: Disk
) -> None:
    with Journal(tmp_path, connect=disk.connect) as journal:
        fan = with_earlier_alarm(journal)
        make_request(tmp_path, Request(Verb.ACK, "fan01", "ann", fan.now, FAN_ALARM))
        with unwritten(journal, disk):
            fan.apply()
            fan.machine.queue_package(FAN_ALARM, "evidence/fan01/1")
            fan.apply()
        record = journal.find(FAN_ALARM)
        assert record is not None
        assert (record.closed, record.evidence) == (True, "evidence/fan01/1")


def kept(_state: Path, _machine: str, _begin: datetime, _end: datetime) -> KeptSound:
    return KeptSound(4, 0)


def test_a_mark_that_is_not_written_is_marked_once_and_withdrawn(
    tmp_path: Path, disk: Disk
) -> None:
    with Journal(tmp_path, connect=disk.connect) as journal:
        fan = JournalledMachine(journal)
        fan.play(0.5, 60)
        fan.requests = MachineRequests(fan.machine, kept)
        begin, end = fan.now - timedelta(seconds=50), fan.now
        span = {"from": begin.isoformat(), "to": end.isoformat()}
        mark, again = (
            Request(Verb.MARK_NORMAL, "fan01", "ann", fan.now, why="filter", arguments=span)
            for _ in range(2)
        )
        withdrawal = Request(
            Verb.MARK_NORMAL,
            "fan01",
            "ann",
            fan.now,
            why="a fault",
            arguments=span | {"withdraw": "true"},
        )
        make_request(tmp_path, mark, again, withdrawal)
        with unwritten(journal, disk):
            fan.apply()
        texts = outcomes(tmp_path, [mark, again, withdrawal])
        assert "marked as normal by ann" in texts[0]
        assert "already marked as normal" in texts[1]
        assert "the mark is withdrawn by ann" in texts[2]
        assert journal.normal_spans("fan01") == []
