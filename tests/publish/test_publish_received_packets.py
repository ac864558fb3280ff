"""Packets of a topic that is read: what a broker may send."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asd_monitor.publish.checked_socket import (
    MAX_PACKET_BYTES,
    CheckedSocket,
    RequestAcknowledgement,
)
from asd_monitor.publish.inbox import MAX_PAYLOAD_BYTES, Received
from tests.publish.test_publish_checked_socket import CONNACK, PINGRESP, ReceivedPieces

TOPIC = "plc/fan01"


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
def test_the_acknowledgement_of_a_request_is_taken_once(packet: bytes, code: int) -> None:
    source = ReceivedPieces([CONNACK, packet, packet])
    sock = CheckedSocket(source)
    sock.requests.add(7)
    assert read_all(sock, source) == (CONNACK, [])
    assert sock.request_acknowledgements == [RequestAcknowledgement(7, code)]
    assert sock.violation is not None  # the second one


@given(st.binary(max_size=300))
def test_any_bytes_are_read_within_bounds(stream: bytes) -> None:
    source = ReceivedPieces([b"\x30" + stream])
    sock = subscribed(source)
    sock.requests.add(7)
    passed, received = read_all(sock, source)
    assert len(passed) <= len(stream) + 1
    assert all(each.topic == TOPIC for each in received)
