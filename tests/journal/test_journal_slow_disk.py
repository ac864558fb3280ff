"""A disk that does not answer, or a file that another process has locked: alarms go on."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from asd_monitor.journal import disk_thread
from asd_monitor.journal.disk_thread import DiskThread
from asd_monitor.journal.event_reading import HELD_BACK_S
from asd_monitor.journal.journal_file import FILE_NAME
from asd_monitor.journal.limited_disk import DiskLimits
from asd_monitor.journal.machine_journal import MachineJournal
from asd_monitor.journal.sqlite_errors import JournalError
from asd_monitor.journal.store import Journal
from asd_monitor.journal.write_queue import PORTION
from tests.doubles.hanging_disk import SHORT, HangingDisk
from tests.doubles.journal_outbox import Clock, numbers, raise_alarm, record, take_all
from tests.doubles.journalled_machine import (
    FAN_ALARM,
    LATER,
    NOW,
    RAISED,
    acknowledge,
    apply_requests,
)

PUMP_ALARM = "pump02-20261123T044500Z"


@pytest.fixture
def hanging() -> Iterator[HangingDisk]:
    disk = HangingDisk()
    yield disk
    disk.answer()


def wait_until(condition: Callable[[], bool]) -> None:
    end_s = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end_s
        time.sleep(0.01)


def test_a_lock_by_another_process_does_not_delay_alarms(
    tmp_path: Path, hanging: HangingDisk
) -> None:
    with Journal(tmp_path, connect=hanging.connect) as journal:
        machines = [MachineJournal(journal, f"m{number}") for number in range(10)]
        other = sqlite3.connect(tmp_path / FILE_NAME, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        hanging.statements.clear()
        hanging.hang("BEGIN IMMEDIATE")
        begun_s = time.monotonic()
        with ThreadPoolExecutor(10) as threads:
            for each in machines:
                threads.submit(each.record, RAISED, NOW, "v1")
            wait_until(lambda: journal._disk._thread._work.qsize() == 9)
            hanging.answer()
        assert time.monotonic() - begun_s < 3
        assert hanging.statements.count("BEGIN IMMEDIATE") == 1
        assert "another process holds it" in str(journal.fault)
        assert all(numbers(take_all(journal, f"m{number}")) == [None] for number in range(10))
        other.execute("ROLLBACK")
        other.close()
        journal.maintain()
        assert (journal.fault, journal.unwritten) == (None, 0)
        assert len(journal.alarms()) == 10


def test_while_there_is_a_fault_the_disk_is_left_to_the_maintenance(
    tmp_path: Path, hanging: HangingDisk
) -> None:
    with Journal(tmp_path, connect=hanging.connect) as journal:
        record(journal)
        other = sqlite3.connect(tmp_path / FILE_NAME, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        record(journal)
        assert "another process" in str(journal.fault)
        hanging.statements.clear()
        record(journal, events=5)
        assert "BEGIN IMMEDIATE" not in hanging.statements
        other.execute("ROLLBACK")
        other.close()
        journal.maintain()
        assert (journal.fault, journal.outbox.figures.waiting) == (None, 7)


def test_an_alarm_is_published_from_memory_while_the_disk_does_not_answer(
    tmp_path: Path, hanging: HangingDisk
) -> None:
    with Journal(tmp_path, connect=hanging.connect, limits=SHORT) as journal:
        fan = MachineJournal(journal, "fan01")
        hanging.hang("COMMIT")
        event = fan.record(RAISED, NOW, "v1")
        assert "does not answer: check the disk" in str(journal.fault)
        assert [each.event.id for each in take_all(journal)] == [event.id]
        begun_s = time.monotonic()
        later = [fan.record(RAISED, NOW, "v1").id for _ in range(20)]
        assert [each.event.id for each in take_all(journal)] == later
        assert time.monotonic() - begun_s < SHORT.answer_s
        with pytest.raises(JournalError, match="does not answer"):
            journal.requests.waiting("fan01")
        assert [record.id for record in journal.alarms("fan01")] == [event.alarm_id]
        hanging.answer()
        wait_until(journal.flush)
        assert (journal.fault, journal.unwritten) == (None, 0)
        assert journal.outbox.machines_due == {"fan01"}
        assert take_all(journal) == []
        assert len(journal.events(str(event.alarm_id))) == 21


def test_the_maintenance_does_not_wait_for_a_disk_that_does_not_answer(
    tmp_path: Path, hanging: HangingDisk
) -> None:
    limits = DiskLimits(answer_s=1.0)
    with (
        Journal(tmp_path, connect=hanging.connect, limits=limits) as journal,
        ThreadPoolExecutor(1) as threads,
    ):
        fan = MachineJournal(journal, "fan01")
        hanging.hang("COMMIT")
        threads.submit(fan.record, RAISED, NOW, "v1")
        assert hanging.waiting.wait(10)
        begun_s = time.monotonic()
        with pytest.raises(JournalError, match="does not answer"):
            journal.maintain()
        assert time.monotonic() - begun_s < 2
        hanging.answer()


def test_without_a_fault_an_event_is_in_the_file_before_it_is_taken(
    tmp_path: Path, hanging: HangingDisk
) -> None:
    """It is in the queue when the events of the file are read, and written after that."""
    limits = DiskLimits(answer_s=20.0)
    with (
        Journal(tmp_path, connect=hanging.connect, limits=limits) as journal,
        ThreadPoolExecutor(3) as threads,
    ):
        fan = MachineJournal(journal, "fan01")
        hanging.hang("SELECT * FROM requests")
        threads.submit(journal.requests.waiting, "fan01")
        assert hanging.waiting.wait(10)
        taken = threads.submit(take_all, journal)
        wait_until(lambda: journal._disk._thread._work.qsize() == 1)
        threads.submit(fan.record, RAISED, NOW, "v1")
        wait_until(lambda: journal._disk._thread._work.qsize() == 2)
        hanging.answer()
        assert taken.result() == []
        wait_until(lambda: journal.unwritten == 0)
        assert numbers(take_all(journal)) == [1]


def test_a_disk_that_does_not_answer_at_the_start_does_not_hold_up_the_start(
    tmp_path: Path, hanging: HangingDisk
) -> None:
    with Journal(tmp_path) as journal:
        record(journal)
    hanging.hang("PRAGMA")
    with Journal(tmp_path, connect=hanging.connect, limits=SHORT) as journal:
        assert "does not answer" in str(journal.fault)
        event = MachineJournal(journal, "fan01").record(RAISED, NOW, "v1")
        assert [each.event.id for each in take_all(journal)] == [event.id]
        with pytest.raises(JournalError):
            journal.maintain()
        hanging.answer()
        wait_until(lambda: journal.fault is None)
        journal.maintain()
        assert journal.unwritten == 0
        assert numbers(take_all(journal)) == [1]


def test_an_alarm_raised_before_a_late_opening_stays_the_newest(
    tmp_path: Path, hanging: HangingDisk
) -> None:
    with Journal(tmp_path) as journal:
        raise_alarm(journal, "fan01")
        raise_alarm(journal, "pump02")
    hanging.hang("PRAGMA")
    limits = DiskLimits(answer_s=1.0, opening_s=0.2)
    with Journal(tmp_path, connect=hanging.connect, limits=limits) as journal:
        fan, pump = MachineJournal(journal, "fan01"), MachineJournal(journal, "pump02")
        event = fan.record(RAISED, LATER, "v1")
        assert (fan.is_known, pump.is_known) == (True, False)
        hanging.answer()
        wait_until(lambda: journal.is_read)
        assert not fan.take_up_late(None)
        assert pump.take_up_late(None)
        assert fan.newest is not None
        assert fan.newest.id == event.alarm_id
        assert pump.newest is not None
        assert pump.newest.id == PUMP_ALARM
        assert not pump.take_up_late(None)


@pytest.mark.parametrize("is_acknowledged", [False, True])
def test_an_alarm_raised_before_a_late_opening_ends_the_earlier_one(
    tmp_path: Path, hanging: HangingDisk, is_acknowledged: bool
) -> None:
    with Journal(tmp_path) as journal:
        raise_alarm(journal, "fan01")
    if is_acknowledged:
        acknowledge(tmp_path)
    hanging.hang("PRAGMA")
    limits = DiskLimits(answer_s=1.0, opening_s=0.2)
    with Journal(tmp_path, connect=hanging.connect, limits=limits) as journal:
        fan = MachineJournal(journal, "fan01")
        newest = fan.record(RAISED, LATER, "v1").alarm_id
        hanging.answer()
        wait_until(lambda: journal.is_read)
        events = apply_requests(fan, LATER)
        expected = ["unacknowledged→returned", *["returned→normal"][: int(is_acknowledged)]]
        assert [f"{each.before}→{each.after}" for each in events] == expected
        assert {each.alarm_id for each in events} == {FAN_ALARM}
        assert events[0].why == f"continued by alarm {newest}, raised before this one could be read"
        assert apply_requests(fan, LATER) == []
        assert journal.flush()
    with Journal(tmp_path) as journal:
        assert [each.id for each in journal.alarms() if each.active] == [newest]
        (earlier,) = [each for each in journal.alarms() if each.id == FAN_ALARM]
        assert (earlier.cleared, earlier.closed) == (LATER, is_acknowledged)
        assert [each.after for each in journal.events(FAN_ALARM)][-1] == (
            "normal" if is_acknowledged else "returned"
        )
        restored = MachineJournal(journal, "fan01").newest
        assert restored is not None
        assert restored.id == newest


def test_an_alarm_recorded_just_after_a_late_opening_ends_the_earlier_one(
    tmp_path: Path, hanging: HangingDisk
) -> None:
    with Journal(tmp_path) as journal:
        raise_alarm(journal, "fan01")
    acknowledge(tmp_path)
    hanging.hang("PRAGMA")
    limits = DiskLimits(answer_s=1.0, opening_s=0.2)
    with Journal(tmp_path, connect=hanging.connect, limits=limits) as journal:
        fan = MachineJournal(journal, "fan01")
        hanging.answer()
        wait_until(lambda: journal.is_read)
        newest = fan.record(RAISED, LATER, "v1").alarm_id
        assert [each.id for each in journal.alarms() if each.active] == [newest]
        (event,) = apply_requests(fan, LATER)
        assert (event.alarm_id, event.before, event.after) == (FAN_ALARM, "returned", "normal")


def test_the_end_does_not_wait_for_a_disk_that_does_not_answer(
    tmp_path: Path, hanging: HangingDisk
) -> None:
    journal = Journal(tmp_path, connect=hanging.connect, limits=SHORT)
    record(journal)
    hanging.hang("COMMIT")
    record(journal)
    begun_s = time.monotonic()
    journal.close()
    journal.close()
    assert time.monotonic() - begun_s < 2
    assert journal.unwritten == 1


def test_the_end_waits_for_a_disk_that_answers_within_the_limit(
    tmp_path: Path, hanging: HangingDisk
) -> None:
    journal = Journal(tmp_path, connect=hanging.connect, limits=DiskLimits(answer_s=0.5))
    hanging.hang("COMMIT")
    record(journal, events=2)
    assert "does not answer" in str(journal.fault)
    with ThreadPoolExecutor(1) as threads:
        closing = threads.submit(journal.close)
        with pytest.raises(TimeoutError):
            closing.result(timeout=0.2)
        hanging.answer()
        closing.result(timeout=10)
    assert (journal.fault, journal.unwritten) == (None, 0)
    with Journal(tmp_path) as journal:
        assert journal.outbox.figures.waiting == 2


def test_a_pause_of_the_process_is_no_fault_of_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    disk, is_resumed, real = DiskThread("disk"), threading.Event(), wait

    def wait_paused(futures: tuple[Future[str], ...], limit_s: float) -> object:
        if is_resumed.is_set():
            return real(futures, limit_s)
        found = real(futures, 0.0)  # the limit was over during the pause
        is_resumed.set()
        return found

    monkeypatch.setattr(disk_thread, "wait", wait_paused)
    assert disk.run(lambda: is_resumed.wait(10), limit_s=10.0)
    disk.close()


def test_what_was_dropped_while_a_transaction_was_being_written_is_counted(
    tmp_path: Path, hanging: HangingDisk
) -> None:
    with Journal(tmp_path, connect=hanging.connect, limits=SHORT, max_unwritten=20) as journal:
        record(journal)
        hanging.hang("COMMIT")
        record(journal, events=100)
        hanging.answer()
        wait_until(journal.flush)
        assert journal.dropped_kinds == journal.outbox.figures.dropped == {"state": 80}


def test_a_machine_writes_one_portion_of_a_backlog(tmp_path: Path) -> None:
    disk = HangingDisk()

    def refuse(*arguments: Any, **options: Any) -> sqlite3.Connection:
        if not may_open.is_set():
            raise sqlite3.OperationalError("unable to open database file")
        return disk.connect(*arguments, **options)

    may_open = threading.Event()
    with Journal(tmp_path, connect=refuse) as journal:
        pump = MachineJournal(journal, "pump02")
        record(journal, events=4 * PORTION - 10)
        may_open.set()
        assert journal._disk.use(journal._stored.open)
        disk.statements.clear()
        pump.record(RAISED, NOW, "v1")
        assert disk.statements.count("COMMIT") == 1
        assert journal.unwritten > 2 * PORTION
        journal.maintain()
        assert journal.unwritten == 0
        assert journal.flushed_portions == 2


def test_new_events_wait_for_earlier_ones_that_cannot_be_read_but_not_for_long(
    tmp_path: Path, hanging: HangingDisk, clock: Clock
) -> None:
    with Journal(tmp_path, connect=hanging.connect, limits=SHORT, monotonic_s=clock) as journal:
        record(journal, events=40)
        assert len(journal.outbox.take("fan01", 32)) == 32
        hanging.hang("COMMIT")
        raise_alarm(journal)
        record(journal, "pump02")
        with pytest.raises(JournalError, match="does not answer"):
            take_all(journal)
        assert numbers(take_all(journal, "pump02")) == [None]
        clock.now_s += HELD_BACK_S
        with capture_logs() as logs:
            (alarm,) = take_all(journal)
        assert alarm.event.seq is None
        assert [entry["event"] for entry in logs] == [
            "earlier events cannot be read: new ones are published before them"
        ]
        hanging.answer()
        wait_until(journal.flush)
        assert numbers(take_all(journal)) == list(range(33, 41))


def test_a_backlog_is_written_in_portions(tmp_path: Path, hanging: HangingDisk) -> None:
    limits = DiskLimits(answer_s=20.0)
    with Journal(tmp_path, connect=hanging.connect, limits=limits) as journal:
        record(journal)
        other = sqlite3.connect(tmp_path / FILE_NAME, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        record(journal, events=3 * PORTION)
        other.close()
        hanging.statements.clear()
        assert journal.flush()
        assert hanging.statements.count("COMMIT") == 3
        assert numbers(take_all(journal)) == list(range(1, 3 * PORTION + 2))


def test_what_was_taken_and_settled_before_it_was_written_is_not_taken_again(
    tmp_path: Path, hanging: HangingDisk
) -> None:
    """Also where the event is in a later portion than the settlements."""
    with Journal(tmp_path, connect=hanging.connect, limits=SHORT) as journal:
        hanging.hang("COMMIT")
        record(journal, events=2 * PORTION)
        for waiting in reversed(take_all(journal)):
            journal.outbox.settle(waiting, None)
        hanging.answer()
        wait_until(journal.flush)
        assert take_all(journal) == []
        assert journal.outbox.figures.waiting == 0


def test_threads_that_write_at_once_get_their_entries_written(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        machines = [MachineJournal(journal, f"m{number}") for number in range(8)]
        go = threading.Barrier(8)

        def write(fan: MachineJournal) -> None:
            go.wait()
            for _ in range(20):
                fan.record(RAISED, NOW, "v1")

        with ThreadPoolExecutor(8) as threads:
            list(threads.map(write, machines))
        assert (journal.fault, journal.unwritten, journal.outbox.figures.waiting) == (None, 0, 160)
        for number in range(8):
            assert numbers(take_all(journal, f"m{number}")) == list(range(1, 21))
