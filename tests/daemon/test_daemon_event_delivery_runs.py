"""Runs of the delivery of events: how many they take, and what a defect leaves behind."""

from __future__ import annotations

import time
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from asd_monitor.daemon import event_delivery
from asd_monitor.daemon.event_delivery import EventDelivery
from asd_monitor.journal.alarm_records import Event
from asd_monitor.journal.journal_outbox import JournalOutbox
from asd_monitor.journal.machine_journal import MachineJournal
from asd_monitor.journal.outbox_records import WaitingEvent
from asd_monitor.journal.sqlite_errors import JournalError
from asd_monitor.journal.store import Journal
from asd_monitor.publish.event_queues import StoredEvent
from tests.doubles.journalled_machine import NOW, RAISED, state_transition
from tests.doubles.memory_broker import MemoryBroker
from tests.doubles.published_journal import FAN
from tests.doubles.waiting import TIMEOUT_S


def test_few_events_are_in_memory(tmp_path: Path) -> None:
    class HoldingBroker(MemoryBroker):
        def put_events(self, events: Any) -> None:
            self.held = [*getattr(self, "held", []), *events]

    with Journal(tmp_path) as journal:
        fan = MachineJournal(journal, "fan01")
        for _ in range(100):
            fan.record(state_transition(), NOW, "v1")
        broker = HoldingBroker()
        events = EventDelivery(journal, broker)
        for _ in range(3):
            events.deliver()
        assert len(broker.held) == 32
        assert not events.has_more
        for event in broker.held[:16]:
            event.settle(None)
        assert events.has_more
        events.deliver()
        assert len(broker.held) == 48


def test_an_event_that_has_no_message_is_set_aside(tmp_path: Path) -> None:
    broker = MemoryBroker()
    with capture_logs() as logs, Journal(tmp_path) as journal:
        MachineJournal(journal, "not/a machine").record(state_transition(), NOW, "v1")
        MachineJournal(journal, "fan01").record(state_transition(), NOW, "v1")
        EventDelivery(journal, broker).deliver()
        journal.maintain()
        assert journal.outbox.figures.set_aside == 1
    assert [topic for topic, _ in broker.sent] == [FAN]
    assert logs[0]["log_level"] == "error"


class FailingBroker(MemoryBroker):
    """A session that fails so many times when it is given events."""

    def __init__(self, failures: int) -> None:
        super().__init__()
        self.failures = failures

    def put_events(self, events: Collection[StoredEvent]) -> None:
        if self.failures:
            self.failures -= 1
            raise RuntimeError("a defect")
        super().put_events(events)


def run_once(delivery: EventDelivery) -> None:
    """Run the delivery until it has looked for events once, or raises what it raises."""
    turns = delivery.turns
    with ThreadPoolExecutor() as pool:
        running = pool.submit(delivery.run)
        while not running.done() and delivery.turns == turns:
            time.sleep(0.001)
        delivery._closed = True
        delivery.wake()
        try:
            running.result(TIMEOUT_S)
        finally:
            delivery._closed = False


def test_events_that_were_taken_before_a_defect_are_delivered_by_the_next_run(
    tmp_path: Path,
) -> None:
    broker = FailingBroker(failures=2)
    with Journal(tmp_path) as journal:
        delivery = EventDelivery(journal, broker)
        writer = MachineJournal(journal, "fan01")
        written = [writer.record(state_transition(), NOW, "v1").id for _ in range(10)]
        for _ in range(2):
            with pytest.raises(RuntimeError):
                run_once(delivery)
        assert delivery.has_more
        written.append(writer.record(state_transition(), NOW, "v1").id)
        run_once(delivery)
        assert [message["id"] for message in broker.messages("fan01/event")] == written
        assert not delivery.has_more
        written += [writer.record(state_transition(), NOW, "v1").id for _ in range(40)]
        run_once(delivery)
        run_once(delivery)
        assert [message["id"] for message in broker.messages("fan01/event")] == written


def test_an_event_at_which_two_runs_fail_does_not_block_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = event_delivery.event_message
    broker = MemoryBroker()
    with Journal(tmp_path) as journal:
        delivery = EventDelivery(journal, broker)
        events = [
            MachineJournal(journal, machine).record(state_transition(), NOW, "v1")
            for machine in ("fan01", "fan01", "pump02")
        ]

        def fail(event: Event, *, historical: bool) -> Any:
            if event.id == events[0].id:
                raise RuntimeError("a defect")
            return make(event, historical=historical)

        monkeypatch.setattr(event_delivery, "event_message", fail)
        for _ in range(2):
            with pytest.raises(RuntimeError):
                run_once(delivery)
        run_once(delivery)
        journal.maintain()
        assert journal.outbox.figures.set_aside == 1
    assert [m["id"] for m in broker.messages("fan01/event")] == [events[1].id]
    assert [m["id"] for m in broker.messages("pump02/event")] == [events[2].id]


def test_events_of_a_machine_that_cannot_be_read_do_not_block_those_of_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker = MemoryBroker()
    with Journal(tmp_path) as journal:
        delivery = EventDelivery(journal, broker)
        for machine in ("fan01", "pump02"):
            MachineJournal(journal, machine).record(state_transition(), NOW, "v1")
        take = journal.outbox.take

        def fail(machine: str, limit: int) -> list[WaitingEvent]:
            if machine == "fan01":
                raise JournalError("disk I/O error")
            return take(machine, limit)

        monkeypatch.setattr(journal.outbox, "take", fail)
        with capture_logs() as logs:
            run_once(delivery)
    assert len(broker.messages("pump02/event")) == 1
    assert delivery.read_failures >= 1
    assert [entry["reason"] for entry in logs] == ["disk I/O error"]


def test_each_machine_whose_events_are_delivered_is_a_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Journal(tmp_path) as journal:
        delivery = EventDelivery(journal, MemoryBroker())
        for machine in ("fan01", "mill03", "pump02"):
            MachineJournal(journal, machine).record(state_transition(), NOW, "v1")
        turns, take = [], journal.outbox.take

        def note_turns(machine: str, limit: int) -> list[WaitingEvent]:
            turns.append(delivery.turns)
            return take(machine, limit)

        monkeypatch.setattr(journal.outbox, "take", note_turns)
        delivery.deliver()
    assert turns == [0, 1, 2]


def test_events_on_their_way_from_the_journal_to_the_session_count_as_more(tmp_path: Path) -> None:
    journal, more = Journal(tmp_path), []

    class Observer(MemoryBroker):
        def put_events(self, events: Collection[StoredEvent]) -> None:
            more.append(delivery.has_more)
            super().put_events(events)

    delivery = EventDelivery(journal, Observer())
    MachineJournal(journal, "fan01").record(RAISED, NOW, "v1")
    delivery.deliver()
    assert not journal.outbox.machines_due
    assert more == [True]
    assert not delivery.has_more
    journal.close()


def test_events_that_cannot_be_taken_do_not_count_as_more_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal(tmp_path)
    delivery = EventDelivery(journal, MemoryBroker())
    MachineJournal(journal, "fan01").record(RAISED, NOW, "v1")
    take = JournalOutbox.take

    def fail(outbox: JournalOutbox, machine: str, limit: int) -> object:
        take(outbox, machine, limit)
        raise JournalError("disk I/O error")

    monkeypatch.setattr(JournalOutbox, "take", fail)
    with pytest.raises(JournalError):
        delivery.deliver()
    assert not delivery.has_more
    journal.close()
