"""Topics that are read: subscriptions, bounds of size and rate, and a session with a broker."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable

import pytest

from asd_monitor.publish.broker_session import BrokerSession
from asd_monitor.publish.inbox import Received
from asd_monitor.publish.subscriptions import (
    ANSWER_LIMIT_S,
    BURST,
    PAUSE_S,
    RATE_HZ,
    REFUSED_S,
    Changes,
    Subscriptions,
)
from tests.doubles.broker_sessions import errors, put_event, wait
from tests.doubles.fake_broker import CONNACK_5, ClientConnection, FakeBroker
from tests.doubles.mosquitto import PATIENCE_S, Mosquitto, Subscriber

TOPIC = "plc/fan01"


class Collector:
    """What a session has received."""

    def __init__(self) -> None:
        self.received: list[Received] = []
        self._changed = threading.Condition()

    def __call__(self, received: Received) -> None:
        with self._changed:
            self.received.append(received)
            self._changed.notify_all()

    @property
    def payloads(self) -> list[bytes | None]:
        return [each.payload for each in self.received]

    def wait(self, condition: Callable[[list[Received]], bool]) -> None:
        with self._changed:
            done = self._changed.wait_for(lambda: condition(self.received), PATIENCE_S)
            assert done, self.received

    def wait_for(self, payload: bytes, *, times: int = 1) -> None:
        self.wait(lambda all_: sum(each.payload == payload for each in all_) >= times)


class Flow:
    """Subscriptions with the broker's part: every request is answered."""

    def __init__(self, *topics: str) -> None:
        self.subject = Subscriptions()
        self.subject.wanted = frozenset(topics)
        self.subject.connected()
        self.now_s = 100.0
        self.open: set[str] = set()

    def step(self, seconds: float = 0.0) -> None:
        self.now_s += seconds
        changes = self.subject.changes(self.now_s)
        assert self.open.isdisjoint(changes.subscribe)
        assert self.open.issuperset(changes.unsubscribe)
        self.open.update(changes.subscribe)
        for topic in changes.unsubscribe:
            self.open.discard(topic)
            self.subject.given_up(topic)


def test_exactly_the_wanted_topics_are_subscribed() -> None:
    flow = Flow("a", "b")
    flow.step()
    assert flow.open == {"a", "b"}
    assert flow.subject.next_due_s > flow.now_s + 1e6
    flow.subject.wanted = frozenset({"b", "c"})
    flow.step()
    assert flow.open == {"b", "c"}
    flow.subject.connected()  # a reconnect
    flow.open.clear()
    flow.step()
    assert flow.open == {"b", "c"}


def test_a_flooded_topic_is_read_again_after_a_pause_and_reported_once() -> None:
    flow = Flow("a", "b")
    flow.step()
    reports, read_s = 0, 0.0
    for _ in range(1000):  # 100 s with 1000 messages a second
        flow.step(0.1)
        if flow.subject.is_read("a", flow.now_s):
            read_s += 0.1
            reports += flow.subject.count("a", 100, flow.now_s)
    assert reports == 1
    assert read_s < 100 * 0.3 / PAUSE_S
    assert "b" in flow.open
    flow.step(PAUSE_S)
    assert flow.open == {"a", "b"}
    flow.step(70)
    assert flow.subject.count("a", BURST + 1, flow.now_s)  # a new flood


def test_messages_within_the_rate_are_all_read() -> None:
    flow = Flow("a")
    flow.step()
    for _ in range(10_000):
        flow.step(1 / RATE_HZ)
        assert not flow.subject.count("a", 1.0, flow.now_s)
        assert flow.subject.is_read("a", flow.now_s)


def test_a_refused_topic_is_requested_again_later() -> None:
    flow = Flow("a")
    flow.step()
    flow.subject.refused("a", flow.now_s)
    flow.open.clear()
    flow.step(REFUSED_S - 1)
    assert flow.open == set()
    assert flow.subject.next_due_s == pytest.approx(flow.now_s + 1)
    flow.step(1)
    assert flow.open == {"a"}


def test_an_end_that_is_not_confirmed_is_overdue() -> None:
    subject = Subscriptions()
    subject.wanted = frozenset({"a"})
    assert subject.changes(0.0) == Changes(subscribe=("a",))
    subject.wanted = frozenset()
    assert subject.changes(1.0) == Changes(unsubscribe=("a",))
    assert not subject.is_read("a", 1.0)
    assert subject.overdue(ANSWER_LIMIT_S) is None
    assert subject.next_due_s == 1.0 + ANSWER_LIMIT_S
    assert subject.overdue(1.0 + ANSWER_LIMIT_S) == "a"


@pytest.fixture
def collector() -> Collector:
    return Collector()


def publish(port: int, *messages: tuple[str, bytes, bool]) -> None:
    """Publish with QoS 1 by a client of its own."""
    with Subscriber(port, "test/#") as client:
        for topic, payload, retained in messages:
            client.publish(topic, payload, retain=retained)
        client.catch_up()


@pytest.mark.parametrize("versions", [[5], [4]])
def test_messages_are_received_through_mosquitto(
    mosquitto: Mosquitto, make_session, collector: Collector, versions: list[int]
) -> None:
    publish(mosquitto.port, (TOPIC, b"off", True), ("plc/other", b"1", True))
    session = make_session(mosquitto.port, options={"versions": versions})
    session.subscribe([TOPIC], collector)
    collector.wait_for(b"off")
    assert collector.received[0].retained
    publish(mosquitto.port, ("plc/other", b"1", False), (TOPIC, b"on", True))
    collector.wait_for(b"on")
    assert not collector.received[-1].retained
    assert {each.topic for each in collector.received} == {TOPIC}
    put_event(session, b"x")
    wait(session, lambda s: s.pending == 0)
    assert session.counters.connects == 1


def test_a_subscription_survives_a_restart_of_the_broker(
    mosquitto: Mosquitto, make_session, collector: Collector
) -> None:
    session = make_session(mosquitto.port)
    session.subscribe([TOPIC], collector)
    mosquitto.wait_for_log("Sending SUBACK to asd-edge")
    publish(mosquitto.port, (TOPIC, b"off", False))
    collector.wait_for(b"off")
    mosquitto.stop()
    wait(session, lambda s: not s.connected)
    mosquitto.start()
    wait(session, lambda s: s.counters.reconnects == 1)
    mosquitto.wait_for_log("Sending SUBACK to asd-edge", times=2)
    publish(mosquitto.port, (TOPIC, b"on", False))
    collector.wait_for(b"on")


def test_replaced_topics_are_given_up(
    mosquitto: Mosquitto, make_session, collector: Collector
) -> None:
    session = make_session(mosquitto.port)
    session.subscribe([TOPIC, "plc/both"], collector)
    mosquitto.wait_for_log("Sending SUBACK to asd-edge", times=2)
    session.subscribe(["plc/both", "plc/new"], collector)
    mosquitto.wait_for_log("Sending UNSUBACK to asd-edge")
    mosquitto.wait_for_log("Sending SUBACK to asd-edge", times=3)
    publish(
        mosquitto.port, (TOPIC, b"1", False), ("plc/both", b"2", False), ("plc/new", b"3", False)
    )
    collector.wait(lambda all_: len(all_) == 2)
    assert set(collector.payloads) == {b"2", b"3"}


def test_a_session_stops_with_subscriptions_and_an_invalid_topic_is_refused(
    mosquitto: Mosquitto, make_session, collector: Collector
) -> None:
    session: BrokerSession = make_session(mosquitto.port)
    with pytest.raises(ValueError, match="not a valid topic"):
        session.subscribe(["plc/#"], collector)
    session.subscribe([TOPIC], collector)
    mosquitto.wait_for_log("Sending SUBACK to asd-edge")
    session.stop()
    session.subscribe([], collector)
    assert session.closed


def test_a_refused_subscription_is_logged_once_with_its_remedy(
    make_session, collector: Collector, logs
) -> None:
    refused = threading.Event()

    def behave(client: ClientConnection) -> None:
        client.sock.sendall(CONNACK_5)
        while (packet := client.read()) is not None:
            head, body = packet
            if head >> 4 == 3 and (packet_id := client.record_publish(head, body)):
                client.acknowledge(packet_id)
            if head >> 4 == 8:
                client.sock.sendall(bytes([0x90, 4, *body[:2], 0, 0x87]))
                refused.set()

    with FakeBroker(behave) as broker:
        session = make_session(broker.port, username="asd")
        session.subscribe([TOPIC], collector)
        assert refused.wait(PATIENCE_S)
        put_event(session, b"x")
        wait(session, lambda s: s.counters.published == 2)
        session.stop(1.0)
    (error,) = errors(logs)
    assert error["topic"] == TOPIC
    assert error["hint"] == f"allow user asd to read {TOPIC} in the broker's access rules"


def test_a_flood_is_read_with_pauses_and_delays_no_message(
    mosquitto: Mosquitto, make_session, collector: Collector, logs
) -> None:
    session = make_session(mosquitto.port)
    session.subscribe([TOPIC], collector)
    mosquitto.wait_for_log("Sending SUBACK to asd-edge")
    stop = threading.Event()

    def flood() -> None:
        with Subscriber(mosquitto.port, "test/#") as client:
            for number in itertools.count():
                if stop.is_set():
                    return
                client.publish(TOPIC, str(number).encode(), qos=0)

    flooding = threading.Thread(target=flood, daemon=True)
    flooding.start()
    try:
        mosquitto.wait_for_log("Sending UNSUBACK to asd-edge")
        mosquitto.wait_for_log("Sending UNSUBACK to asd-edge", times=2)
        for _ in range(20):
            put_event(session, b"x")
        wait(session, lambda s: s.pending == 0)
    finally:
        stop.set()
        flooding.join(PATIENCE_S)
    assert session.counters.connects == 1
    warnings = [entry for entry in logs if "too many messages" in entry["event"]]
    assert len(warnings) == 1
    assert "at changes only" in warnings[0]["hint"]
