"""Brokers that do not keep to the protocol, refuse, stall, or have tight limits.

Each function serves one connection, as `FakeBroker` calls it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from itertools import count

from tests.doubles.fake_broker import (
    CONNACK_5,
    CONNACK_311,
    CONNACK_WRONG_VERSION,
    DISCONNECT,
    DISCONNECT_TAKEN_OVER,
    PINGREQ,
    PUBLISH,
    ClientConnection,
)

_LARGE_BYTES = 256 << 20

Behaviour = Callable[[ClientConnection], None]


def _accept(client: ClientConnection, properties: bytes = b"") -> None:
    if client.level < 5:
        client.sock.sendall(CONNACK_311)
    elif not properties:
        client.sock.sendall(CONNACK_5)
    else:
        body = bytes([0, 0, len(properties)]) + properties
        client.sock.sendall(bytes([0x20, len(body)]) + body)


def _ignore(client: ClientConnection, *, pings: bool = False) -> None:
    """Read to the end of the connection, and answer nothing but pings where it is said."""
    while (packet := client.read()) is not None:
        if pings and packet[0] >> 4 == PINGREQ:
            client.sock.sendall(b"\xd0\0")


def silent(client: ClientConnection) -> None:
    """Accept the connection and answer nothing."""
    _ignore(client)


def late_connack(client: ClientConnection) -> None:
    """Accept later than the session waits for it."""
    threading.Event().wait(12.0)  # more than the session waits for it
    _accept(client)
    client.serve()


def closes_at_event(client: ClientConnection) -> None:
    """Close the connection at each event."""
    _accept(client)
    while (packet := client.read()) is not None:
        head, body = packet
        if head >> 4 == PUBLISH:
            packet_id = client.record_publish(head, body)
            if client.publishes[-1][0].endswith("/event"):
                return
            if packet_id is not None:
                client.acknowledge(packet_id)
        elif head >> 4 == PINGREQ:
            client.sock.sendall(b"\xd0\0")


def closes_at_publish(client: ClientConnection) -> None:
    """Close the connection at each message."""
    _accept(client)
    while (packet := client.read()) is not None:
        if packet[0] >> 4 == PUBLISH:
            return


def never_acknowledges(client: ClientConnection) -> None:
    """Answer pings and no message."""
    _accept(client)
    _ignore(client, pings=True)


def ignores_events(client: ClientConnection) -> None:
    """Acknowledge all messages but events."""
    _accept(client)
    _serve_publishes(client, lambda topic: None if topic.endswith("/event") else 0)


def _serve_publishes(
    client: ClientConnection, code_of: Callable[[str], int | None], shift: int = 0
) -> None:
    """Answer every message with a reason code; None: with nothing."""
    while (packet := client.read()) is not None:
        head, body = packet
        if head >> 4 == PUBLISH:
            packet_id = client.record_publish(head, body)
            code = code_of(client.publishes[-1][0])
            if packet_id is not None and code is not None:
                acknowledged = ((packet_id + shift) % 65536).to_bytes(2)
                answer = acknowledged + (bytes([code, 0]) if client.level >= 5 else b"")
                client.sock.sendall(bytes([0x40, len(answer)]) + answer)
        elif head >> 4 == PINGREQ:
            client.sock.sendall(b"\xd0\0")
        elif head >> 4 == DISCONNECT:
            return


def unknown_ids(client: ClientConnection) -> None:
    """Acknowledge packet identifiers that the session has not sent."""
    _accept(client)
    _serve_publishes(client, lambda _: 0, shift=1000)


def refuses(code: int) -> Behaviour:
    """Return a broker that answers each message with a reason code."""

    def behave(client: ClientConnection) -> None:
        _accept(client)
        _serve_publishes(client, lambda _: code)

    return behave


def disconnects(code: int) -> Behaviour:
    """Return a broker that disconnects with a reason code."""

    def behave(client: ClientConnection) -> None:
        _accept(client)
        client.read()
        client.sock.sendall(bytes([0xE0, 2, code, 0]))

    return behave


def refuses_connection(code: int) -> Behaviour:
    """Return a broker that refuses the connection with a reason code."""

    def behave(client: ClientConnection) -> None:
        answer = bytes([0, code, 0]) if client.level >= 5 else bytes([0, 3])
        client.sock.sendall(bytes([0x20, len(answer)]) + answer)

    return behave


def taken_over(client: ClientConnection) -> None:
    """Report that another client has taken over the session."""
    _accept(client)
    client.read()
    client.sock.sendall(DISCONNECT_TAKEN_OVER)


def closes_after_connack(client: ClientConnection) -> None:
    """Accept the connection and close it."""
    _accept(client)


def unsubscribed(client: ClientConnection) -> None:
    """Send a message on a topic without a subscription."""
    _accept(client)
    topic = b"other/topic"
    client.sock.sendall(bytes([0x30, 2 + len(topic) + 4]) + b"\0\x0b" + topic + b"\0abc")
    client.serve()


def large_message(client: ClientConnection) -> None:
    """Send a message of 256 MB."""
    _accept(client)
    sizes = _length(_LARGE_BYTES - 1)
    client.sock.sendall(bytes([0x30]) + sizes + b"\0\x0bother/topic\0")
    for _ in range(_LARGE_BYTES >> 20):
        client.sock.sendall(bytes(1 << 20))


def unreleased(client: ClientConnection) -> None:
    """Send messages of QoS 2 and release none."""
    _accept(client)
    for packet_id in count(1):
        body = b"\0\x0bother/topic" + (packet_id % 65535 + 1).to_bytes(2) + b"\0" + bytes(60_000)
        client.sock.sendall(bytes([0x34, *_length(len(body))]) + body)


def _length(number: int) -> bytes:
    encoded = bytearray()
    while True:
        encoded.append(number % 128 | (0x80 if number > 127 else 0))
        number //= 128
        if not number:
            return bytes(encoded)


def byte_by_byte(client: ClientConnection) -> None:
    """Send one byte at a time."""
    answer = CONNACK_5 if client.level >= 5 else CONNACK_311
    pause = threading.Event()
    for byte in answer:
        client.sock.sendall(bytes([byte]))
        pause.wait(0.3)
    while (packet := client.read()) is not None:
        head, body = packet
        packet_id = client.record_publish(head, body) if head >> 4 == PUBLISH else None
        answer = b"\xd0\0" if head >> 4 == PINGREQ else b""
        if packet_id is not None:
            answer = bytes([0x40, 2]) + packet_id.to_bytes(2)
        for byte in answer:
            client.sock.sendall(bytes([byte]))
            pause.wait(0.02)


def receive_maximum(client: ClientConnection) -> None:
    """Accept one message at a time."""
    _accept(client, b"\x21\x00\x01")
    client.serve()


def small_packets(client: ClientConnection) -> None:
    """Accept packets of up to 100 bytes."""
    _accept(client, b"\x27\x00\x00\x00\x64")
    client.serve()


def short_keep_alive(client: ClientConnection) -> None:
    """Assign a keep alive of 1 s, and close the connection where it is exceeded."""
    _accept(client, b"\x13\x00\x01")
    client.sock.settimeout(1.5)  # MQTT 5, section 3.1.2.10: one and a half times
    client.serve()


def http(client: ClientConnection) -> None:
    """Answer as a web server."""
    client.sock.sendall(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n<html></html>")


def only_311(client: ClientConnection) -> None:
    """Support MQTT 3.1.1 only."""
    if client.level >= 5:
        client.sock.sendall(CONNACK_WRONG_VERSION)
        return
    _accept(client)
    client.serve()


def random_bytes(client: ClientConnection) -> None:
    """Send bytes that are no packets."""
    client.sock.sendall(bytes(range(255, 0, -1)) * 20)


def pings_unasked(client: ClientConnection) -> None:
    """Send PINGRESP without a request."""
    _accept(client)
    client.sock.sendall(b"\xd0\0" * 50_000)
    client.serve()


def connack_twice(client: ClientConnection) -> None:
    """Accept the connection twice."""
    _accept(client)
    _accept(client)
    client.serve()
