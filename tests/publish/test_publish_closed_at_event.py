"""Events at which the broker closes the connection, and events while other messages are many."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from paho.mqtt.client import MQTTv5, MQTTv311

from asd_monitor.publish.broker_session import BrokerSession
from asd_monitor.publish.event_queues import StoredEvent
from asd_monitor.publish.send_queue import Acceptance, Outgoing, SendQueue
from tests.doubles.broker_sessions import EVENT, STATE, put_event, wait
from tests.doubles.mosquitto import Mosquitto, Subscriber

TOO_LARGE = 1000  # bytes


class SizeLimitedBroker:
    """Serves an queue as a broker that closes the connection at events that are too large."""

    def __init__(self) -> None:
        self.queue = SendQueue()
        self.received: list[bytes] = []
        self.settled: dict[bytes, str | None] = {}
        self.connections = 0
        self.now_s = 0.0
        self.forbids_events = False
        self._is_open = False
        self._packet_id = 0
        for topic in ("first", "state"):
            self.queue.put(Outgoing(topic, b"", 1, retain=True))

    def put(self, payload: bytes) -> None:
        self.queue.put_event(
            StoredEvent("event", lambda: payload, lambda why: self.settled.update({payload: why}))
        )

    def serve(self) -> None:
        """Connect, unless a connection lasts, until one does."""
        while self.connections < 50:
            if not self._is_open:
                self.connections += 1
                self.queue.connected("first")
            self._is_open = self._serve_connection()
            if self._is_open:
                return
            self.queue.disconnected(self.now_s, by_broker=True)

    def restart(self) -> None:
        """End the connection as a broker does that is stopped."""
        self._is_open = False
        self.queue.disconnected(self.now_s, by_broker=False)

    def _serve_connection(self) -> bool:
        sent: list[tuple[int, Outgoing]] = []
        while True:
            message = self.queue.take(20, self.now_s)
            if message is not None:
                self._packet_id += 1
                self.queue.sent(self._packet_id, message, self.now_s)
                sent.append((self._packet_id, message))
                continue
            if not sent:
                return True
            packet_id, message = sent.pop(0)
            if message.event is not None:
                if self.forbids_events or len(message.payload) >= TOO_LARGE:
                    return False
                self.received.append(message.payload)
            self.queue.acknowledged(packet_id, self.now_s, Acceptance.ACCEPTED)
            if message.event is not None:
                message.event.settle(None)


def test_the_event_at_which_the_connection_is_closed_is_set_aside_alone() -> None:
    broker = SizeLimitedBroker()
    large = bytes(TOO_LARGE)
    for payload in (b"one", large, b"two", b"three"):
        broker.put(payload)
    broker.serve()
    assert broker.received == [b"one", b"two", b"three"]
    assert broker.settled[large] == "the broker closes the connection at this event"
    assert broker.connections <= 4
    assert not broker.queue.is_left_out("event")


def test_a_single_event_is_kept_until_another_waits_behind_it() -> None:
    broker = SizeLimitedBroker()
    large = bytes(TOO_LARGE)
    broker.put(large)
    broker.serve()
    assert large not in broker.settled
    assert broker.queue.is_left_out("event")
    connections = broker.connections
    broker.put(b"two")
    broker.serve()
    assert broker.connections == connections
    assert broker.settled == {large: "the broker closes the connection at this event", b"two": None}


def test_each_of_several_large_events_is_set_aside() -> None:
    broker = SizeLimitedBroker()
    larges = [bytes(TOO_LARGE + number) for number in range(3)]
    for number, large in enumerate(larges):
        broker.put(large)
        broker.put(b"%d" % number)
    broker.serve()
    assert broker.received == [b"0", b"1", b"2"]
    assert all(broker.settled[large] is not None for large in larges)


def test_a_topic_that_is_forbidden_loses_one_event_at_most() -> None:
    broker = SizeLimitedBroker()
    broker.forbids_events = True
    for number in range(10):
        broker.put(b"%d" % number)
    broker.serve()
    assert broker.queue.is_left_out("event")
    assert list(broker.settled) == [b"0"]
    broker.forbids_events = False
    broker.restart()
    broker.serve()
    assert broker.received == [b"%d" % number for number in range(1, 10)]


@pytest.mark.parametrize("version", [MQTTv311, MQTTv5])
def test_events_after_one_that_is_too_large_for_mosquitto_are_published(
    make_mosquitto: Callable[..., Mosquitto],
    make_session: Callable[..., BrokerSession],
    version: int,
) -> None:
    broker = make_mosquitto(extra="max_packet_size 500").start()
    settled: list[str | None] = []
    with Subscriber(broker.port) as subscriber:
        session = make_session(broker.port, options={"versions": (version,)})
        session.publish(STATE, b"normal", qos=1, retain=True)
        put_event(session, bytes(1000), settled=settled.append)
        put_event(session, b"raised", settled=settled.append)
        subscriber.wait_for(EVENT, b"raised")
        wait(session, lambda s: s.connected and s.pending == 0)
    assert settled[0] is not None
    assert settled[1:] == [None]
    assert session.counters.refused_events == 1
    assert not session.refused_topics or version == MQTTv5


@pytest.mark.parametrize("suspect", [False, True])
def test_an_event_is_sent_while_states_are_published_without_end(suspect: bool) -> None:
    """An event on a suspect topic is sent alone: it needs a moment without others in flight."""
    queue = SendQueue()
    if suspect:
        make_suspect(queue)
    queue.events.put(StoredEvent("event", lambda: b"raised", lambda _: None))
    queue.connected("first")
    in_flight: list[tuple[int, Outgoing]] = []
    for number in range(1000):
        for topic in ("a", "b", "c"):
            queue.put(Outgoing(topic, b"%d" % number, 1, retain=True))
        message = queue.take(20, 0.0)
        if message is not None and message.event is not None:
            assert not suspect or not in_flight, "not sent alone"
            return
        if message is not None:
            queue.sent(number, message, 0.0)
            in_flight.append((number, message))
        if message is None or len(in_flight) == 20:
            queue.acknowledged(in_flight.pop(0)[0], 0.0, Acceptance.ACCEPTED)
    raise AssertionError("the event was not sent")


def test_an_event_sent_alone_does_not_wait_for_all_events_of_others() -> None:
    queue = SendQueue()
    make_suspect(queue)
    queue.events.put(StoredEvent("event", lambda: b"raised", lambda _: None))
    queue.connected("first")
    for number in range(1000):
        queue.events.put(StoredEvent(f"other{number % 2}", lambda: b"", lambda _: None))
        message = queue.take(20, 0.0)
        if message is None:
            continue
        if message.topic == "event":
            return
        queue.sent(number, message, 0.0)
        queue.acknowledged(number, 0.0, Acceptance.ACCEPTED)
    raise AssertionError("the event was not sent")


def make_suspect(queue: SendQueue) -> None:
    """Let the broker close the connection while an event is in flight."""
    queue.put(Outgoing("a", b"", 1, retain=True))
    queue.events.put(StoredEvent("event", lambda: b"earlier", lambda _: None))
    queue.connected("first")
    for number in range(2):
        message = queue.take(20, 0.0)
        assert message is not None
        queue.sent(number, message, 0.0)
    queue.acknowledged(0, 0.0, Acceptance.ACCEPTED)
    assert queue.disconnected(0.0, by_broker=True).closing.unconfirmed == ("event",)
