"""The way of an event from the journal to the broker, with a session and a journal of their own."""

from __future__ import annotations

import json
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from asd_monitor.backoff import Backoff
from asd_monitor.config.settings import Mqtt
from asd_monitor.daemon import event_delivery
from asd_monitor.daemon.event_delivery import EventDelivery
from asd_monitor.daemon.runtime_options import Intervals
from asd_monitor.journal.alarm_records import Event
from asd_monitor.journal.journal_file import FILE_NAME
from asd_monitor.journal.machine_journal import MachineJournal
from asd_monitor.journal.outbox_records import WaitingEvent
from asd_monitor.journal.sqlite_errors import JournalError
from asd_monitor.journal.store import Journal
from asd_monitor.publish.broker_session import BrokerSession
from asd_monitor.publish.event_queues import StoredEvent
from tests.doubles.broker_sessions import wait
from tests.doubles.fake_broker import CONNACK_5, PUBLISH, ClientConnection, FakeBroker
from tests.doubles.in_process_daemon import InProcessDaemon
from tests.doubles.journalled_machine import NOW, RAISED, state_transition
from tests.doubles.level_detector import StubModels, make_config
from tests.doubles.memory_broker import MemoryBroker
from tests.doubles.mosquitto import PATIENCE_S, Mosquitto, Subscriber
from tests.doubles.scripted_source import ScriptedSource
from tests.doubles.waiting import TIMEOUT_S, until

FAN, PUMP = "asd/fan01/event", "asd/pump02/event"


class Delivery:
    """A journal whose events a session publishes; use it with ``with``."""

    def __init__(self, folder: Path, port: int, **options: Any) -> None:
        self.journal = Journal(folder)
        backoff = Backoff((0.05,))
        self.session = BrokerSession(Mqtt(port=port), "edge", backoff=backoff, **options)
        self.events = EventDelivery(self.journal, self.session)
        self.session.more_events = lambda: self.events.has_more

    def __enter__(self) -> Delivery:
        self.session.start()
        threading.Thread(target=self.events.run, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Stop as the daemon does."""
        self.session.stop(PATIENCE_S)
        self.events.close()
        self.journal.close()

    def record(self, machine: str = "fan01", *, events: int = 1, why: str = "off") -> list[str]:
        """Write transitions; return the ids of their events."""
        writer = MachineJournal(self.journal, machine)
        transition = state_transition()
        object.__setattr__(transition, "why", why)
        written = [writer.record(transition, NOW, "v1").id for _ in range(events)]
        self.events.wake()
        return written

    def until_published(self) -> None:
        """Wait until no event waits."""
        wait(self.session, lambda s: s.connected and s.pending == 0 and not self.events.has_more)
        assert self.journal.outbox_figures.waiting == 0


def messages(subscriber: Subscriber, topic: str = FAN) -> list[dict[str, Any]]:
    subscriber.catch_up()
    return [json.loads(payload) for payload in subscriber.payloads(topic)]


class RefusingBroker(FakeBroker):
    """A broker that answers the events for which ``code`` returns a reason code with it."""

    def __init__(self, code: Callable[[dict[str, Any]], int | None]) -> None:
        super().__init__(self._serve_client)
        self._code = code
        self.accepted: list[dict[str, Any]] = []

    def _serve_client(self, client: ClientConnection) -> None:
        client.sock.sendall(CONNACK_5)
        while (packet := client.read()) is not None:
            if packet[0] >> 4 != PUBLISH:
                continue
            packet_id = client.record_publish(*packet)
            assert packet_id is not None
            _, schema, text = packet[1].partition(b'{"schema"')
            message = json.loads(schema + text) if schema else {}
            code = self._code(message) if message else None
            if code is None:
                self.accepted += [message] if message else []
                client.acknowledge(packet_id)
            else:
                client.sock.sendall(bytes([0x40, 3]) + packet_id.to_bytes(2) + bytes([code]))


@pytest.fixture
def running(tmp_path: Path, mosquitto: Mosquitto) -> Iterator[tuple[Delivery, Subscriber]]:
    with (
        Subscriber(mosquitto.port, "#") as subscriber,
        Delivery(tmp_path / "state", mosquitto.port) as delivery,
    ):
        yield delivery, subscriber


def test_events_are_numbered_and_current_where_they_are_published_at_once(running) -> None:
    delivery, subscriber = running
    ids = delivery.record(events=5)
    delivery.until_published()
    received = messages(subscriber)
    assert [m["id"] for m in received] == ids
    assert [m["seq"] for m in received] == [1, 2, 3, 4, 5]
    assert {m["historical"] for m in received} == {False}
    assert {m["schema"] for m in received} == {"asd.event/2"}


def test_a_backlog_of_several_machines_is_published_in_order(
    tmp_path: Path, mosquitto: Mosquitto
) -> None:
    with Journal(tmp_path) as journal:
        for _ in range(100):
            for machine in ("fan01", "pump02", "mill03"):
                MachineJournal(journal, machine).record(state_transition(), NOW, "v1")
    with Subscriber(mosquitto.port, "#") as subscriber, Delivery(tmp_path, mosquitto.port) as late:
        late.until_published()
        for machine in ("fan01", "pump02", "mill03"):
            received = messages(subscriber, f"asd/{machine}/event")
            assert [m["seq"] for m in received] == list(range(1, 101))
            assert {m["historical"] for m in received} == {True}
        late.record()
        late.until_published()
        newest = messages(subscriber)[-1]
    assert (newest["seq"], newest["historical"]) == (101, False)


def test_events_of_an_outage_and_a_kill_arrive_in_order_with_the_same_ids(
    tmp_path: Path, mosquitto: Mosquitto
) -> None:
    state, killed = tmp_path / "state", tmp_path / "killed"
    with Subscriber(mosquitto.port, "#") as subscriber:
        with Delivery(state, mosquitto.port) as first:
            ids = first.record(events=3)
            first.until_published()
            shutil.copytree(state, killed, ignore=shutil.ignore_patterns("*-shm"))
        with Delivery(killed, mosquitto.port) as second:  # the acknowledgements may be missing
            ids += second.record(events=2)
            second.until_published()
        received = messages(subscriber)
    assert list(dict.fromkeys(m["id"] for m in received)) == ids
    numbers = {m["id"]: m["seq"] for m in received}
    assert [numbers[id_] for id_ in ids] == [1, 2, 3, 4, 5]
    assert all(m["seq"] == numbers[m["id"]] for m in received)


def test_a_clean_stop_delivers_what_waits_in_the_file(tmp_path: Path, mosquitto: Mosquitto) -> None:
    with Subscriber(mosquitto.port, "#") as subscriber:
        delivery = Delivery(tmp_path, mosquitto.port)
        with delivery:
            wait(delivery.session, lambda s: s.connected)
            delivery.record(events=300)
        assert [m["seq"] for m in messages(subscriber)] == list(range(1, 301))
        topics = [message.topic for message in subscriber.messages]
        offline = len(topics) - 1 - topics[::-1].index("asd/box/edge/availability")
        assert offline > topics.index(FAN)
    assert not delivery.journal.left_events


def test_a_clean_stop_without_a_broker_keeps_everything(
    tmp_path: Path, make_mosquitto: Callable[..., Mosquitto]
) -> None:
    broker = make_mosquitto()
    delivery = Delivery(tmp_path, broker.port)
    with delivery:
        delivery.record(events=200)
    (left,) = delivery.journal.left_events
    assert (left.machine, left.events, left.first_seq, left.last_seq) == ("fan01", 200, 1, 200)
    broker.start()
    with Subscriber(broker.port, "#") as subscriber, Delivery(tmp_path, broker.port) as later:
        later.until_published()
        received = messages(subscriber)
    assert [m["seq"] for m in received] == list(range(1, 201))
    assert {m["historical"] for m in received} == {True}


@pytest.mark.parametrize("code", [0x95, 0x99])
def test_an_event_that_is_not_accepted_is_set_aside_and_reported(tmp_path: Path, code: int) -> None:
    refuse = lambda message: code if message.get("why") == "bad" else None  # noqa: E731
    broker = RefusingBroker(refuse)
    with capture_logs() as logs, broker, Delivery(tmp_path, broker.port) as delivery:
        for why in ("one", "bad", "bad", "two"):
            delivery.record(why=why)
        delivery.record("pump02", why="three")
        wait(delivery.session, lambda s: s.counters.published == 4)
        delivery.until_published()
        delivery.journal.maintain()
        assert delivery.journal.outbox_figures.set_aside == 2
        assert delivery.session.counters.refused_events == 2
    accepted = [m["why"] for m in broker.accepted if m["machine"] == "fan01"]
    assert accepted == ["one", "two"]
    reported = [e for e in logs if "set aside" in e["event"] and e["log_level"] == "error"]
    assert [(e["machine"], e["seq"]) for e in reported] == [("fan01", 2)]
    database = sqlite3.connect(tmp_path / FILE_NAME)
    kept = database.execute("SELECT seq FROM outbox WHERE refusal NOT NULL ORDER BY seq").fetchall()
    database.close()
    assert kept == [(2,), (3,)]


@pytest.mark.parametrize("restarts", [False, True])
def test_events_that_were_set_aside_are_published_once_the_broker_is_corrected(
    tmp_path: Path, restarts: bool
) -> None:
    corrected = threading.Event()
    broker = RefusingBroker(lambda _: None if corrected.is_set() else 0x95)
    with capture_logs() as logs, broker:
        with Delivery(tmp_path, broker.port) as delivery:
            delivery.record(events=3)
            wait(delivery.session, lambda s: s.counters.refused_events == 3)
            delivery.journal.maintain()
            assert delivery.journal.outbox_figures.set_aside == 3
            if not restarts:
                corrected.set()
                begun_s = delivery.journal.clock.now_s()
                delivery.journal.clock.now_s = lambda: begun_s + 700.0
                until_tried_again(delivery, broker, 3)
        if restarts:
            corrected.set()
            with Delivery(tmp_path, broker.port) as delivery:
                until_tried_again(delivery, broker, 3)
    assert [m["seq"] for m in broker.accepted] == [1, 2, 3]
    assert {m["historical"] for m in broker.accepted} == {True}
    (hint,) = {entry["hint"] for entry in logs if "set aside" in entry["event"]}
    assert "limits" in hint


def until_tried_again(delivery: Delivery, broker: RefusingBroker, events: int) -> None:
    """Maintain the journal as the daemon does each second, until so many are accepted."""
    for number in range(events):
        delivery.journal.maintain()
        delivery.events.wake()
        wait(delivery.session, lambda _: len(broker.accepted) > number)  # noqa: B023 - runs here
        wait(delivery.session, lambda s: s.counters.published > number + 1)  # noqa: B023
        delivery.journal.maintain()
    assert delivery.journal.outbox_figures.set_aside == 0


@pytest.mark.parametrize("code", [0x80, 0x87, 0x97])
def test_a_refused_machine_does_not_hold_up_another_and_loses_nothing(
    tmp_path: Path, code: int
) -> None:
    open_gate = threading.Event()

    def refuse(message: dict[str, Any]) -> int | None:
        return None if open_gate.is_set() or message["machine"] != "fan01" else code

    started_s, fast = time.monotonic(), 20
    clock = lambda: started_s + fast * (time.monotonic() - started_s)  # noqa: E731
    limit_s = PATIENCE_S * fast
    broker = RefusingBroker(refuse)
    options = {"clock": clock, "acknowledgement_limit_s": limit_s}
    with broker, Delivery(tmp_path, broker.port, **options) as delivery:
        delivery.record(events=100)
        delivery.record("pump02", events=100)
        wait(delivery.session, lambda s: s.counters.published >= 101)
        assert delivery.journal.outbox_figures.waiting == 100
        wait(delivery.session, lambda s: s.counters.retried_events > 1)
        open_gate.set()
        wait(delivery.session, lambda s: s.counters.published >= 201)
    for machine in ("fan01", "pump02"):
        numbers = [m["seq"] for m in broker.accepted if m["machine"] == machine]
        assert numbers == list(range(1, 101))


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
        assert journal.outbox_figures.set_aside == 1
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
        assert journal.outbox_figures.set_aside == 1
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
        take = journal.take_events

        def fail(machine: str, limit: int) -> list[WaitingEvent]:
            if machine == "fan01":
                raise JournalError("disk I/O error")
            return take(machine, limit)

        monkeypatch.setattr(journal, "take_events", fail)
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
        turns, take = [], journal.take_events

        def note_turns(machine: str, limit: int) -> list[WaitingEvent]:
            turns.append(delivery.turns)
            return take(machine, limit)

        monkeypatch.setattr(journal, "take_events", note_turns)
        delivery.deliver()
    assert turns == [0, 1, 2]


def test_events_are_published_while_the_disk_is_at_fault(
    tmp_path: Path, mosquitto: Mosquitto
) -> None:
    with Subscriber(mosquitto.port, "#") as subscriber, Delivery(tmp_path, mosquitto.port) as each:
        ids = each.record()
        each.until_published()
        database = each.journal._stored.database
        assert database is not None
        database.execute("PRAGMA query_only = ON")
        ids += each.record(events=2)
        assert each.journal.fault is not None
        wait(each.session, lambda s: s.counters.published == 4)
        received = messages(subscriber)
        assert [m["id"] for m in received] == ids
        assert [m["seq"] for m in received] == [1, None, None]
        mosquitto.stop()
        wait(each.session, lambda s: not s.connected)
        ids += each.record(events=40)
        database.execute("PRAGMA query_only = OFF")
        each.journal.maintain()
        assert each.journal.fault is None
    mosquitto.start()
    with Subscriber(mosquitto.port, "#") as late, Delivery(tmp_path, mosquitto.port) as next_run:
        next_run.until_published()
        received += messages(late)
    assert [m["id"] for m in received] == ids
    assert [m["seq"] for m in received[3:]] == list(range(4, 44))


async def test_the_alarm_of_a_machine_without_model_and_device_is_published_after_a_kill(
    daemon: InProcessDaemon, tmp_path: Path
) -> None:
    with Journal(tmp_path) as journal:
        raised = MachineJournal(journal, "fan").record(RAISED, NOW, "v1")
    daemon.models = StubModels()
    daemon.start(make_config(fan={"device": "hw:1"}), open_source=lambda _: ScriptedSource())
    await until(lambda: daemon.broker.alarm("fan"))
    alarm = daemon.broker.alarm("fan")
    assert (alarm["id"], alarm["active"], alarm["reason"]) == (raised.alarm_id, True, "a test")
    await until(lambda: daemon.broker.messages("fan/event"))
    assert daemon.broker.messages("fan/event")[0]["historical"]
    await until(lambda: daemon.broker.state("fan"))


async def test_alarm_and_state_are_published_while_a_model_is_being_loaded(
    daemon: InProcessDaemon, tmp_path: Path
) -> None:
    with Journal(tmp_path) as journal:
        raised = MachineJournal(journal, "fan").record(RAISED, NOW, "v1")
    gate = threading.Event()
    load = daemon.models.load

    def slow_load(models: Path, machine: str) -> Any:
        assert gate.wait(TIMEOUT_S)
        return load(models, machine)

    intervals = Intervals(starting_s=0.05)
    daemon.start(make_config(fan={"device": "hw:1"}), load_model=slow_load, intervals=intervals)
    await until(lambda: daemon.broker.alarm("fan").get("id") == raised.alarm_id)
    await until(lambda: daemon.broker.state("fan"))
    assert daemon.broker.state("fan")["state"] == "unavailable"
    assert daemon.broker.state("fan")["reason"] == "starting"
    gate.set()
    await daemon.until_state("fan", "alarm")


async def test_the_status_of_the_box_has_the_figures_of_the_outbox(
    daemon: InProcessDaemon,
) -> None:
    daemon.broker.put_events = lambda events: None  # type: ignore[method-assign]
    daemon.start(make_config(fan={"device": "hw:1"}))
    await daemon.until_state("fan", "normal")
    daemon.source("hw:1").play(20, 0.6)
    await daemon.until_state("fan", "alarm")
    outbox = (await daemon.box_status())["outbox"]
    assert outbox["waiting"] == 2
    assert outbox["bytes"] > 600
    assert 0 <= outbox["oldest_s"] < PATIENCE_S
    assert (outbox["dropped"], outbox["set_aside"]) == ({}, 0)
    assert (outbox["refused"], outbox["retried"]) == (0, 0)


def test_events_on_their_way_from_the_journal_to_the_session_count_as_more(tmp_path: Path) -> None:
    journal, more = Journal(tmp_path), []

    class Observer(MemoryBroker):
        def put_events(self, events: Collection[StoredEvent]) -> None:
            more.append(delivery.has_more)
            super().put_events(events)

    delivery = EventDelivery(journal, Observer())
    MachineJournal(journal, "fan01").record(RAISED, NOW, "v1")
    delivery.deliver()
    assert not journal.machines_due
    assert more == [True]
    assert not delivery.has_more
    journal.close()


def test_events_that_cannot_be_taken_do_not_count_as_more_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal(tmp_path)
    delivery = EventDelivery(journal, MemoryBroker())
    MachineJournal(journal, "fan01").record(RAISED, NOW, "v1")
    take = Journal.take_events

    def fail(journal: Journal, machine: str, limit: int) -> object:
        take(journal, machine, limit)
        raise JournalError("disk I/O error")

    monkeypatch.setattr(Journal, "take_events", fail)
    with pytest.raises(JournalError):
        delivery.deliver()
    assert not delivery.has_more
    journal.close()


def test_a_stop_publishes_events_that_are_put_while_it_looks_for_more(running) -> None:
    """The session sees either that events are on their way, or that they are pending."""
    delivery, subscriber = running
    delivery.until_published()
    on_their_way = [StoredEvent(FAN, lambda: b"{}", lambda _: None)]
    stop, put_events = delivery.session._stop, delivery.session.put_events

    def more_events() -> bool:
        if stop.is_made and on_their_way:
            put_events([on_their_way.pop()])
        return False

    delivery.session.more_events = more_events
    delivery.stop()
    subscriber.catch_up()
    assert subscriber.payloads(FAN) == [b"{}"]
