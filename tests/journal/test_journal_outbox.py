"""The events that wait to be published: order, numbers, and what is settled."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from asd_monitor.alarm.state import AlarmCondition
from asd_monitor.journal.alarm_changes import Cause
from asd_monitor.journal.journal_file import FILE_NAME
from asd_monitor.journal.machine_journal import MachineJournal
from asd_monitor.journal.store import Journal
from tests.doubles.journal_outbox import (
    Clock,
    numbers,
    record,
    settle_all,
    take_all,
)
from tests.doubles.journalled_machine import NOW, alarm_transition, state_transition


def test_events_are_counted_for_each_machine_over_restarts(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        record(journal, "fan01", events=2)
        record(journal, "pump02")
        settle_all(journal, take_all(journal, "fan01"))
        assert numbers(take_all(journal, "pump02")) == [1]
    with Journal(tmp_path) as journal:
        record(journal, "fan01")
        record(journal, "pump02")
        assert numbers(take_all(journal, "fan01")) == [3]
        assert numbers(take_all(journal, "pump02")) == [1, 2]


def test_an_event_has_what_its_message_needs(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        fan = MachineJournal(journal, "fan01")
        fan.record(
            alarm_transition(AlarmCondition.NORMAL, AlarmCondition.UNACKNOWLEDGED),
            NOW,
            "v1",
            cause=Cause(alarm_score=6.25, time_scale_s=600.0),
        )
        written = fan.record(state_transition(), NOW, "v1", cause=Cause(alarm_score=float("nan")))
    with Journal(tmp_path) as journal:
        raised, off = (each.event for each in take_all(journal))
    assert (raised.alarm_score, raised.time_scale_s, raised.seq) == (6.25, 600.0, 1)
    assert raised.alarm_id is not None
    assert off == written
    assert (off.alarm_score, off.seq) == (None, 2)


def test_each_event_is_taken_once_and_in_order(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        record(journal, events=5)
        assert journal.outbox.machines_due == {"fan01"}
        assert numbers(journal.outbox.take("fan01", 2)) == [1, 2]
        assert numbers(journal.outbox.take("fan01", 2)) == [3, 4]
        assert journal.outbox.machines_due == {"fan01"}
        assert numbers(journal.outbox.take("fan01", 2)) == [5]
        assert journal.outbox.machines_due == frozenset()
        assert take_all(journal) == []
        record(journal)
        assert numbers(take_all(journal)) == [6]


def test_what_is_settled_is_deleted_with_the_next_entry(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        record(journal, events=3)
        for each in take_all(journal):
            journal.outbox.settle(each, None)
        assert journal.outbox.figures.waiting == 0
        record(journal, "pump02")
        assert (journal.outbox.figures.waiting, journal.outbox.figures.set_aside) == (1, 0)
        shutil.copytree(tmp_path, tmp_path / "killed")
    with Journal(tmp_path / "killed") as journal:
        assert journal.outbox.machines_due == {"pump02"}


def test_an_event_that_is_not_settled_is_taken_by_the_next_run_with_the_same_id(
    tmp_path: Path,
) -> None:
    with Journal(tmp_path) as journal:
        record(journal, events=2)
        taken = take_all(journal)
        journal.outbox.settle(taken[0], None)
    with Journal(tmp_path) as journal:
        (again,) = take_all(journal)
    assert again.event == taken[1].event


@pytest.mark.parametrize("waited_s", [0.0, 9.0, 11.0])
def test_an_event_is_historical_after_ten_seconds_and_in_a_later_run(
    tmp_path: Path, clock: Clock, waited_s: float
) -> None:
    with Journal(tmp_path, monotonic_s=clock) as journal:
        record(journal)
        (taken,) = take_all(journal)
        clock.now_s += waited_s
        assert journal.outbox.is_historical(taken) is (waited_s > 10.0)
    clock.now_s = 5.0  # after a reboot
    with Journal(tmp_path, monotonic_s=clock) as journal:
        record(journal)
        earlier, own = take_all(journal)
        assert journal.outbox.is_historical(earlier)
        assert not journal.outbox.is_historical(own)


def test_an_event_that_is_not_accepted_is_kept_with_the_reason_and_not_taken_again(
    tmp_path: Path,
) -> None:
    with Journal(tmp_path) as journal:
        record(journal, events=2)
        first, second = take_all(journal)
        journal.outbox.settle(first, "Packet too large")
        journal.outbox.settle(second, None)
        journal.maintain()
        figures = journal.outbox.figures
        assert (figures.waiting, figures.bytes, figures.set_aside) == (0, 0, 1)
    with Journal(tmp_path) as journal:
        assert journal.outbox.figures.set_aside == 1
        assert journal.outbox.machines_due == frozenset()
        record(journal)
        assert numbers(take_all(journal)) == [3]
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as database, database:
        kept = database.execute("SELECT seq, refusal FROM outbox WHERE refusal NOT NULL").fetchall()
    database.close()
    assert kept == [(1, "Packet too large")]
