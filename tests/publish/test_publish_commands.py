"""Commands that the session reads, and its answers: packets, a queue, a session with a broker."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt.client import Client, MQTTv5, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from asd_monitor.publish.broker_session import BrokerSession
from asd_monitor.publish.checked_socket import MAX_PACKET_BYTES, CheckedSocket
from asd_monitor.publish.inbox import MAX_COMMANDS, Inbox
from asd_monitor.publish.received_commands import (
    MAX_COMMAND_BYTES,
    MessageProperties,
    ReceivedCommand,
    read_properties,
)
from asd_monitor.publish.send_queue import Acceptance, Outgoing, Placement, SendQueue
from asd_monitor.publish.subscriptions import PAUSE_S
from tests.doubles.broker_sessions import AVAILABILITY, wait
from tests.doubles.fake_broker import CONNACK_5, ClientConnection, FakeBroker
from tests.doubles.mosquitto import PATIENCE_S, Mosquitto, Subscriber
from tests.publish.test_publish_checked_socket import ReceivedPieces
from tests.publish.test_publish_received_packets import publish_packet

FILTER = "asd/fan01/cmd/+"
ACK = "asd/fan01/cmd/ack"
ANSWER = "asd/fan01/cmd/ack/response"


def properties(**values: object) -> Properties:
    """Return properties of a message by paho."""
    made = Properties(PacketTypes.PUBLISH)
    for name, value in values.items():
        setattr(made, name, value)
    return made


def block_of(made: Properties) -> bytes:
    """Return properties without their length, which is below 128."""
    packed: bytes = made.pack()
    return packed[1:]


def open_socket(source: ReceivedPieces, *, version_5: bool = True) -> CheckedSocket:
    sock = CheckedSocket(source, properties=version_5)
    sock.inbox.filters.add(FILTER)
    return sock


def read(stream: bytes, *, size: int = 4096, version_5: bool = True) -> CheckedSocket:
    """Return a socket that has read everything."""
    source = ReceivedPieces([stream[at : at + size] for at in range(0, len(stream), size)])
    sock = open_socket(source, version_5=version_5)
    while True:
        delivered = source.delivered
        try:
            if not sock.recv(4096):
                return sock
        except BlockingIOError:
            if source.delivered == delivered:
                return sock


def test_response_topic_and_correlation_data_are_read_among_other_properties() -> None:
    made = properties(
        PayloadFormatIndicator=1,
        MessageExpiryInterval=60,
        ContentType="application/json",
        ResponseTopic="hmi/é",
        CorrelationData=b"\x00\xff",
        TopicAlias=3,
        UserProperty=[("a", "b"), ("trace", "x" * 20)],
    )
    expected = MessageProperties("hmi/é".encode(), b"\x00\xff")
    assert read_properties(block_of(made)) == expected
    assert read_properties(b"\x0b\x81\x01" + block_of(made)) == expected
    assert read_properties(b"") == MessageProperties()


@given(st.binary(max_size=60))
def test_any_block_is_read_or_malformed(block: bytes) -> None:
    try:
        found = read_properties(block)
    except ValueError:
        return
    for each in (found.response_topic, found.correlation):
        assert each is None or each in block


@pytest.mark.parametrize("size", [1, 7, 4096])
@pytest.mark.parametrize("head", [0x30, 0x31, 0x32, 0x33, 0x3A])
def test_every_command_is_kept_with_what_it_says(head: int, size: int) -> None:
    block = block_of(properties(ResponseTopic="hmi", CorrelationData=b"7"))
    before = (b"\0\x07" if head & 2 else b"") + bytes([len(block)]) + block
    packets = [publish_packet(ACK, str(n).encode(), head=head, properties=before) for n in range(9)]
    sock = read(b"".join(packets), size=size)
    assert sock.violation is None
    assert [each.payload for each in sock.inbox.commands] == [str(n).encode() for n in range(9)]
    command = sock.inbox.commands[0]
    assert (command.topic, command.retained) == (ACK, bool(head & 1))
    assert (command.response_topic, command.correlation) == (b"hmi", b"7")
    assert list(sock.inbox.unacknowledged) == ([7] * 9 if head & 2 else [])


@pytest.mark.parametrize("version_5", [True, False])
@pytest.mark.parametrize("qos", [0, 1])
@pytest.mark.parametrize("payload_bytes", [MAX_COMMAND_BYTES, MAX_COMMAND_BYTES + 1, 70_000])
def test_a_long_payload_is_not_kept_and_the_next_command_is_read(
    payload_bytes: int, qos: int, version_5: bool
) -> None:
    before = (b"\0\x07" if qos else b"") + (b"\0" if version_5 else b"")
    packets = [
        publish_packet(ACK, content, head=0x30 | qos << 1, properties=before)
        for content in (b"x" * payload_bytes, b"on")
    ]
    sock = read(b"".join(packets), size=1000, version_5=version_5)
    assert sock.violation is None
    first, second = sock.inbox.commands
    assert (first.payload is None) == (payload_bytes > MAX_COMMAND_BYTES)
    assert second.payload == b"on"
    assert list(sock.inbox.unacknowledged) == [7, 7] * qos


def test_the_last_level_of_a_command_has_any_length() -> None:
    topic = f"asd/fan01/cmd/{'x' * 60_000}"
    sock = read(publish_packet(topic, b"1") + publish_packet(ACK, b"2"))
    assert sock.violation is None
    assert [each.payload for each in sock.inbox.commands] == [b"1", b"2"]
    oversized = publish_packet(topic, bytes(MAX_PACKET_BYTES), head=0x32, properties=b"\0\x07")
    sock = read(oversized + publish_packet(ACK, b"2", properties=b""), version_5=False)
    assert sock.violation is None
    assert [each.payload for each in sock.inbox.commands] == [None, b"2"]
    assert list(sock.inbox.unacknowledged) == [7]


def test_a_long_message_without_its_packet_identifier_ends_the_connection() -> None:
    body = (65_535).to_bytes(2) + b"asd/fan01/cmd/".ljust(65_535, b"x")
    sock = read(b"\x32\x81\x80\x04" + body)
    assert sock.violation == "the broker sent a malformed message"


def test_malformed_properties_do_not_end_the_connection() -> None:
    sock = read(publish_packet(ACK, b"1", properties=b"\x03\x08\x00\x09"))
    assert sock.violation is None
    (command,) = sock.inbox.commands
    assert (command.payload, command.has_valid_properties) == (b"1", False)


@pytest.mark.parametrize(
    ("packet", "violation"),
    [
        (publish_packet("asd/pump02/cmd/ack", b""), "this client has not subscribed"),
        (publish_packet(f"{ACK}/response", b""), "this client has not subscribed"),
        (publish_packet("asd/fan01/cmd", b""), "this client has not subscribed"),
        (publish_packet(ACK, b"\0\x07\0", head=0x34), "with QoS above 1"),
        (publish_packet(ACK, b"", head=0x32, properties=b"\0\0\0"), "malformed"),
        (publish_packet(ACK, b"", head=0x32, properties=b"\0"), "malformed"),
        (publish_packet(ACK, b"", properties=b"\x05"), "malformed"),
    ],
)
def test_what_a_broker_may_not_send_ends_the_connection(packet: bytes, violation: str) -> None:
    sock = read(packet)
    assert violation in (sock.violation or "")
    assert not sock.inbox.commands


def test_commands_at_once_are_bounded() -> None:
    inbox = Inbox(properties=True)
    inbox.filters.add(FILTER)
    body = publish_packet(ACK, b"1")[2:]
    for _ in range(MAX_COMMANDS + 7):
        inbox.put(ACK, 0x30, body)
    assert len(inbox.commands) == MAX_COMMANDS
    assert inbox.dropped_commands == 7


def answer(payload: bytes, topic: str = ANSWER) -> Outgoing:
    return Outgoing(topic, payload, qos=1, retain=False, correlation=b"7")


def take_all(queue: SendQueue) -> list[Outgoing]:
    taken: list[Outgoing] = []
    while (message := queue.take(20, 0.0)) is not None:
        queue.sent(len(taken) + 1, message, 0.0)
        taken.append(message)
    return taken


def test_answers_wait_for_a_connection_and_the_oldest_are_dropped() -> None:
    queue = SendQueue(max_answers=3)
    placements = [queue.put(answer(str(n).encode())) for n in range(5)]
    assert placements == [Placement.QUEUED] * 3 + [Placement.DROPPED] * 2
    queue.put(Outgoing("asd/box/edge/availability", b"online", 1, retain=True))
    queue.connected("asd/box/edge/availability")
    assert queue.pending == 4
    assert [each.payload for each in take_all(queue)] == [b"online", b"2", b"3", b"4"]


def test_answers_in_flight_are_sent_again_unless_the_broker_has_closed_the_connection() -> None:
    queue = SendQueue()
    queue.connected("x")
    for n in range(3):
        queue.put(answer(str(n).encode()))
    take_all(queue)
    assert queue.acknowledged(1, 0.0, Acceptance.REFUSED) == answer(b"0")
    assert queue.next_due_s == float("inf")
    assert queue.disconnected(1.0, by_broker=False).dropped_answers == 0
    queue.connected("x")
    assert [each.payload for each in take_all(queue)] == [b"1", b"2"]
    assert queue.disconnected(2.0, by_broker=True).dropped_answers == 2
    queue.connected("x")
    assert take_all(queue) == []
    assert queue.pending == 0


def test_topics_of_answers_leave_nothing_behind() -> None:
    queue = SendQueue()
    for n in range(200):
        queue.connected("x")
        queue.put(answer(b"1", f"hmi/{n}"))
        take_all(queue)
        queue.disconnected(float(n), by_broker=True)
    assert queue.put(answer(b"1", "hmi/7")) is Placement.QUEUED
    topics = queue._topics
    assert not any((topics._ends, topics._left_out, topics._attempts, topics._pauses))


class Commands:
    """What a session has received."""

    def __init__(self) -> None:
        self.received: list[ReceivedCommand] = []
        self._changed = threading.Condition()

    def __call__(self, command: ReceivedCommand) -> None:
        with self._changed:
            self.received.append(command)
            self._changed.notify_all()

    def wait(self, number: int) -> list[ReceivedCommand]:
        with self._changed:
            done = self._changed.wait_for(lambda: len(self.received) >= number, PATIENCE_S)
            assert done, self.received
            return list(self.received)


@pytest.fixture
def commands() -> Commands:
    return Commands()


def send(
    port: int, *messages: tuple[str, bytes, int, bool], made: Properties | None = None
) -> None:
    """Publish messages (topic, payload, QoS, retain) by a client of its own."""
    client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTv5)
    client.connect("127.0.0.1", port)
    client.loop_start()
    sent = [
        client.publish(topic, payload, qos=qos, retain=retain, properties=made)
        for topic, payload, qos, retain in messages
    ]
    for each in sent:
        each.wait_for_publish(PATIENCE_S)
    client.disconnect()
    client.loop_stop()


def until_subscribed(mosquitto: Mosquitto, times: int = 1) -> None:
    mosquitto.wait_for_log("Sending SUBACK to asd-edge", times=times)


@pytest.mark.parametrize("version", [MQTTv5, MQTTv311])
def test_every_command_arrives_in_order_with_both_kinds_of_delivery(
    mosquitto: Mosquitto, make_session, commands: Commands, version: int
) -> None:
    session = make_session(mosquitto.port, options={"versions": [version]})
    session.read_commands([FILTER], commands)
    until_subscribed(mosquitto)
    for qos in (0, 1):
        send(mosquitto.port, *((ACK, str(n).encode(), qos, False) for n in range(30)))
        commands.wait(30 * (qos + 1))
    expected = [str(n).encode() for n in range(30)] * 2
    assert [each.payload for each in commands.received] == expected
    assert session.counters.connects == 1


@pytest.mark.parametrize("version", [MQTTv5, MQTTv311])
@pytest.mark.parametrize("name", ["ack", "x" * 3000])
def test_after_a_large_message_the_next_command_arrives(
    mosquitto: Mosquitto, make_session, commands: Commands, version: int, name: str
) -> None:
    session = make_session(mosquitto.port, options={"versions": [version]})
    session.read_commands([FILTER], commands)
    until_subscribed(mosquitto)
    for _ in range(2):
        send(mosquitto.port, (f"asd/fan01/cmd/{name}", b"x" * 70_000, 1, False))
    send(mosquitto.port, (ACK, b"1", 1, False))
    assert [each.payload for each in commands.wait(3)] == [None, None, b"1"]
    assert session.counters.connects == 1


def test_only_the_machines_of_the_filters_and_no_answers_are_read(
    mosquitto: Mosquitto, make_session, commands: Commands
) -> None:
    session = make_session(mosquitto.port)
    session.read_commands([FILTER], commands)
    until_subscribed(mosquitto)
    send(
        mosquitto.port,
        *(("asd/pump02/cmd/ack", b"1", 1, False), (ANSWER, b"2", 1, False), (ACK, b"3", 1, False)),
    )
    assert [each.payload for each in commands.wait(1)] == [b"3"]
    session.read_commands(["asd/pump02/cmd/+"], commands)
    mosquitto.wait_for_log("Sending UNSUBACK to asd-edge")
    until_subscribed(mosquitto, 2)
    send(mosquitto.port, (ACK, b"4", 1, False), ("asd/pump02/cmd/ack", b"5", 1, False))
    assert [each.payload for each in commands.wait(2)] == [b"3", b"5"]
    with pytest.raises(ValueError, match="no filter of commands"):
        session.read_commands(["asd/#"], commands)
    with pytest.raises(ValueError, match="not a valid topic"):
        session.read_commands(["asd/+/cmd/+"], commands)


@pytest.mark.parametrize(("version", "known"), [(MQTTv5, True), (MQTTv311, False)])
def test_a_retained_command_is_known_at_once_with_mqtt_5_only(
    mosquitto: Mosquitto, make_session, commands: Commands, version: int, known: bool
) -> None:
    session = make_session(mosquitto.port, options={"versions": [version]})
    session.read_commands([FILTER], commands)
    until_subscribed(mosquitto)
    send(mosquitto.port, (ACK, b"1", 1, True))
    (command,) = commands.wait(1)
    assert command.retained is known
    session.read_commands([], commands)
    mosquitto.wait_for_log("Sending UNSUBACK to asd-edge")
    session.read_commands([FILTER], commands)
    assert commands.wait(2)[1].retained


def test_an_answer_repeats_the_correlation_data_byte_for_byte(
    mosquitto: Mosquitto, make_session, commands: Commands
) -> None:
    data = bytes(range(256))
    session = make_session(mosquitto.port)
    session.read_commands([FILTER], commands)
    until_subscribed(mosquitto)
    with Subscriber(mosquitto.port) as hmi:
        made = properties(ResponseTopic="hmi/answers", CorrelationData=data)
        send(mosquitto.port, (ACK, b"1", 1, False), made=made)
        (command,) = commands.wait(1)
        assert (command.response_topic, command.correlation) == (b"hmi/answers", data)
        session.answer("hmi/answers", b"yes", command.correlation)
        (message,) = hmi.wait_for("hmi/answers", b"yes")
        assert (message.qos, message.retain) == (1, False)
        assert getattr(message.properties, "CorrelationData", None) == data
        session.answer(ANSWER, b"plain", None)
        (message,) = hmi.wait_for(ANSWER, b"plain")
        assert not hasattr(message.properties, "CorrelationData")


def test_an_answer_without_a_connection_is_sent_after_it(
    make_mosquitto: Callable[..., Mosquitto], make_session
) -> None:
    broker = make_mosquitto().start()
    session = make_session(broker.port)
    wait(session, lambda s: s.counters.published == 1)
    broker.stop()
    wait(session, lambda s: not s.connected)
    session.answer(ANSWER, b"late", b"7")
    broker.start()
    wait(session, lambda s: s.counters.published == 3 and s.pending == 0)
    assert session.counters.dropped_answers == 0


def test_a_refused_answer_is_counted_logged_once_and_not_repeated(
    make_mosquitto: Callable[..., Mosquitto], make_session, logs
) -> None:
    acl = "topic read #\ntopic write asd/#\n"
    session = make_session(make_mosquitto(acl=acl).start().port)
    for _ in range(3):
        session.answer("hmi/answers", b"1", None)
    session.answer(ANSWER, b"2", None)
    wait(session, lambda s: s.counters.refused_answers == 3 and s.pending == 0)
    assert session.counters.published == 2
    assert session.refused_topics == {}
    (entry,) = [each for each in logs if "answer to a command" in each["event"]]
    assert entry["topic"] == "hmi/answers"
    assert "write" in entry["hint"]


def wait_for_dropped_answers(session: BrokerSession, number: int) -> None:
    wait(session, lambda s: s.counters.dropped_answers == number)


def test_a_broker_that_closes_at_an_answer_gets_all_others(make_session, logs) -> None:
    def behave(client: ClientConnection) -> None:
        client.sock.sendall(CONNACK_5)
        while (packet := client.read()) is not None:
            head, body = packet
            if head >> 4 == 3 and (packet_id := client.record_publish(head, body)):
                if client.publishes[-1][0] == "hmi/answers":
                    return
                client.acknowledge(packet_id)

    with FakeBroker(behave) as broker:
        session = make_session(broker.port)
        wait(session, lambda s: s.counters.published == 1)
        for dropped in range(3):
            session.answer("hmi/answers", b"1", None)
            wait_for_dropped_answers(session, dropped + 1)
        session.answer(ANSWER, b"2", None)
        session.publish("asd/fan01/state", b"{}", qos=1, retain=True)
        wait(session, lambda s: s.pending == 0 and s.connected)
        topics = [topic for client in broker.clients for topic, _ in client.publishes]
        assert topics.count("hmi/answers") == 3
        assert {ANSWER, "asd/fan01/state", AVAILABILITY} <= set(topics)
        assert session.refused_topics == {}


def test_a_flood_of_commands_ends_within_bounds_and_the_next_one_is_read(
    mosquitto: Mosquitto, make_session, commands: Commands, logs
) -> None:
    session = make_session(mosquitto.port)
    session.read_commands([FILTER], commands)
    until_subscribed(mosquitto)
    send(mosquitto.port, *((ACK, b"x", n % 2, False) for n in range(3000)))
    wait(session, lambda s: s.counters.paused_topics >= 1)
    mosquitto.wait_for_log("Sending UNSUBACK to asd-edge")
    until_subscribed(mosquitto, 2)  # after the pause
    send(mosquitto.port, (ACK, b"valid", 1, False))
    while b"valid" not in [each.payload for each in commands.received]:
        commands.wait(len(commands.received) + 1)
    assert len(commands.received) < 3000
    assert session.counters.connects == 1
    assert sum("too many commands" in each["event"] for each in logs) == 1
    assert PAUSE_S > 1
