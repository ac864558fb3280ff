"""The way of an event from the journal to the broker, with a session and a journal of their own."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from asd_monitor.journal.machine_journal import MachineJournal
from asd_monitor.journal.store import Journal
from asd_monitor.publish.event_queues import StoredEvent
from tests.doubles.broker_sessions import wait
from tests.doubles.journalled_machine import NOW, state_transition
from tests.doubles.mosquitto import Mosquitto, Subscriber
from tests.doubles.published_journal import FAN, Delivery, messages


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
