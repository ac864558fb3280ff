"""Topics that are read: subscriptions, bounds of size and rate; and what a broker may send."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asd_monitor.publish.broker_session import BrokerSession
from asd_monitor.publish.checked_socket import MAX_PACKET_BYTES, Answer, CheckedSocket
from asd_monitor.publish.inbox import MAX_PAYLOAD_BYTES, Received
from asd_monitor.publish.subscriptions import (
    ANSWER_LIMIT_S,
    BURST,
    PAUSE_S,
    RATE_HZ,
    REFUSED_S,
    Subscriptions,
)
from tests.doubles.broker_sessions import EVENT, errors, wait
from tests.doubles.fake_broker import CONNACK_5, ClientConnection, FakeBroker
from tests.doubles.mosquitto import PATIENCE_S, Mosquitto, Subscriber
from tests.publish.test_publish_checked_socket import CONNACK, PINGRESP, ReceivedPieces

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


def publish_packet(
    topic: str, payload: bytes, *, head: int = 0x30, properties: bytes = b"\0"
) -> bytes:
    body = len(topic.encode()).to_bytes(2) + topic.encode() + properties + payload
    return bytes([head]) + _length(len(body)) + body


def _length(length: int) -> bytes:
    encoded = b""
    while True:
        length, low = divmod(length, 128)
        encoded += bytes([low | (0x80 if length else 0)])
        if not length:
            return encoded


def subscribed(source: ReceivedPieces, *, properties: bool = True) -> CheckedSocket:
    sock = CheckedSocket(source, properties=properties)
    sock.inbox.topics.add(TOPIC)
    return sock


def read_all(sock: CheckedSocket, source: ReceivedPieces) -> tuple[bytes, list[Received]]:
    """Return what is passed on, and what the inbox has received."""
    passed = b""
    received: list[Received] = []
    while True:
        delivered = source.delivered
        try:
            byte = sock.recv(1)
        except BlockingIOError:
            if source.delivered == delivered:
                return passed, received
            byte = b"?"
        received += sock.inbox.take()
        if not byte:
            return passed, received
        passed += byte.replace(b"?", b"")


@given(st.lists(st.sampled_from([b"m", b"p", b"l"]), max_size=6), st.sampled_from([50, 999, 4096]))
def test_messages_reach_the_inbox_and_other_packets_pass(kinds: list[bytes], size: int) -> None:
    packets = {
        b"m": publish_packet(TOPIC, b"on"),
        b"p": PINGRESP,
        b"l": publish_packet(TOPIC, bytes(MAX_PACKET_BYTES)),
    }
    stream = b"".join(packets[kind] for kind in kinds)
    source = ReceivedPieces([stream[at : at + size] for at in range(0, len(stream), size)])
    sock = subscribed(source)
    passed, received = read_all(sock, source)
    assert sock.violation is None
    assert passed == PINGRESP * kinds.count(b"p")
    assert sum(each.messages for each in received) == len(kinds) - kinds.count(b"p")
    assert sum(each.oversized for each in received) == kinds.count(b"l")
    assert {each.payload for each in received} <= {b"on", None}


@pytest.mark.parametrize("retained", [False, True])
@pytest.mark.parametrize(
    ("properties", "before"), [(True, b"\0"), (True, b"\x02\x01\x01"), (False, b"")]
)
def test_a_message_is_read_without_its_properties(
    retained: bool, properties: bool, before: bytes
) -> None:
    packet = publish_packet(TOPIC, b'{"run":1}', head=0x30 | retained, properties=before)
    source = ReceivedPieces([packet])
    _, (received,) = read_all(subscribed(source, properties=properties), source)
    assert (received.topic, received.payload) == (TOPIC, b'{"run":1}')
    assert received.retained == retained


def test_of_messages_that_arrive_together_the_newest_is_kept() -> None:
    packets = [publish_packet(TOPIC, str(n).encode()) for n in range(50)]
    packets.append(publish_packet(TOPIC, bytes(MAX_PAYLOAD_BYTES + 1)))
    sock = subscribed(
        ReceivedPieces([b"".join(packets[:50]), packets[50][:2000], packets[50][2000:6000]])
    )
    with pytest.raises(BlockingIOError):
        sock.recv(1)
    (received,) = sock.inbox.take()
    assert (received.payload, received.messages, received.oversized) == (b"49", 50, 0)
    assert received.cost == pytest.approx(50, rel=0.01)
    assert sock.inbox.take() == []


def test_an_oversized_message_is_counted_and_its_content_is_not_kept() -> None:
    whole = publish_packet(TOPIC, bytes(100 * MAX_PACKET_BYTES)) + publish_packet(TOPIC, b"on")
    source = ReceivedPieces([whole[at : at + 4096] for at in range(0, len(whole), 4096)])
    sock = subscribed(source)
    kept, received = 0, []
    while source.delivered < len(whole):
        with pytest.raises(BlockingIOError):
            sock.recv(1)
        kept = max(kept, len(sock._incomplete))
        received += sock.inbox.take()
    assert kept < 2 * 4096
    assert [each.payload for each in received] == [None, b"on"]
    assert received[0].oversized == 1
    assert received[0].cost > 1000


@pytest.mark.parametrize(
    ("packet", "violation"),
    [
        (publish_packet("plc/other", b"1"), "the broker sent a message on 'plc/other'"),
        (publish_packet("", b"1"), "the broker sent a message on ''"),
        (publish_packet("x" * 60_000, b"1"), "the broker sent a message on 'xxx"),
        (
            publish_packet(TOPIC, b"\0\x011", head=0x32),
            f"the broker sent a message on {TOPIC!r} with",
        ),
        (bytes([0x30, 1, 0]), "the broker sent a malformed message"),
        (bytes([0x30, 4, 0, 99, 65, 66]), "the broker sent a malformed message"),
        (publish_packet(TOPIC, b"", properties=b"\x05"), "the broker sent a malformed message"),
        (publish_packet(TOPIC, b"", properties=b""), "the broker sent a malformed message"),
        (bytes([0x30, 0xFF, 0xFF, 0xFF, 0xFF, 1]), "the broker sent a packet with an invalid"),
        (bytes([0x90, 4, 0, 8, 0, 0]), "the broker sent a packet that this client did not request"),
    ],
)
def test_other_messages_end_the_connection(packet: bytes, violation: str) -> None:
    source = ReceivedPieces([packet[at : at + 4096] for at in range(0, len(packet), 4096)])
    sock = subscribed(source)
    assert read_all(sock, source) == (b"", [])
    assert sock.violation is not None
    assert sock.violation.startswith(violation)


@pytest.mark.parametrize(
    ("packet", "code"),
    [
        (bytes([0x90, 4, 0, 7, 0, 0]), 0),
        (bytes([0x90, 4, 0, 7, 0, 0x87]), 0x87),
        (bytes([0x90, 3, 0, 7, 0x80]), 0x80),
        (bytes([0xB0, 2, 0, 7]), 0),
        (bytes([0xB0, 4, 0, 7, 0, 0x11]), 0x11),
    ],
)
def test_the_answer_to_a_request_is_taken_once(packet: bytes, code: int) -> None:
    source = ReceivedPieces([CONNACK, packet, packet])
    sock = CheckedSocket(source)
    sock.requests.add(7)
    assert read_all(sock, source) == (CONNACK, [])
    assert list(sock.answers) == [Answer(7, code)]
    assert sock.violation is not None  # the second one


@given(st.binary(max_size=300))
def test_any_bytes_are_read_within_bounds(stream: bytes) -> None:
    source = ReceivedPieces([b"\x30" + stream])
    sock = subscribed(source)
    sock.requests.add(7)
    passed, received = read_all(sock, source)
    assert len(passed) <= len(stream) + 1
    assert all(each.topic == TOPIC for each in received)


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
        for topic, subscribes in self.subject.changes(self.now_s):
            assert subscribes == (topic not in self.open)
            if subscribes:
                self.open.add(topic)
            else:
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
    assert subject.changes(0.0) == [("a", True)]
    subject.wanted = frozenset()
    assert subject.changes(1.0) == [("a", False)]
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
    session.publish(EVENT, b"x", qos=1, retain=False)
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
        session.publish(EVENT, b"x", qos=1, retain=False)
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
            session.publish(EVENT, b"x", qos=1, retain=False)
        wait(session, lambda s: s.pending == 0)
    finally:
        stop.set()
        flooding.join(PATIENCE_S)
    assert session.counters.connects == 1
    warnings = [entry for entry in logs if "too many messages" in entry["event"]]
    assert len(warnings) == 1
    assert "at changes only" in warnings[0]["hint"]
