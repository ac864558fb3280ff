"""Sends mutated packets to a session with the broker; prints a line of JSON with what happened.

    python -P packets_child.py COUNT SEED

It is run by its path, so that `asd_monitor` is that of an earlier checkout.  A broker in this
process answers every packet of the session with mutated packets, over loopback, and closes the
connection; after every `HEALTHY_EACH` packets one connection is served as by a correct broker, and
all that waits has to arrive.
"""

from __future__ import annotations

import inspect
import json
import random
import socket
import sys
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, MutableMapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import structlog

from asd_monitor.backoff import Backoff
from asd_monitor.config.settings import Mqtt
from asd_monitor.publish.broker_session import BrokerSession

HEALTHY_EACH = 5000
HANG_S = 10.0
_CONNECT, _PUBLISH, _SUBSCRIBE, _UNSUBSCRIBE, _PINGREQ, _DISCONNECT = 1, 3, 8, 10, 12, 14
_BURST = 12  # mutated packets at once
_BURSTS = 6  # in a connection
_REACTION_S = 0.02
_TOPIC = b"plc/fan01"
_COMMAND = b"asd/fan01/cmd/ack"
_OF_COMMAND = bytes.fromhex("08 0003 68 6d 69 09 0002 00 ff")  # response topic, correlation data
_PROPERTIES = bytes.fromhex("21000a 24 01 25 01 27 00010000 22000a 28 01 29 01 2a 01 13 003c")
_REASON = b"\x1f\x00\x05quota"
_CODES = (0x00, 0x10, 0x80, 0x83, 0x87, 0x8B, 0x8D, 0x8E, 0x95, 0x97, 0x99, 0x9C, 0x9D, 0xFF)


def packet(head: int, body: bytes) -> bytes:
    """Return a packet with its length."""
    length, field = len(body), bytearray()
    while True:
        field.append(length % 128 | (0x80 if length > 127 else 0))
        length //= 128
        if not length:
            return bytes([head, *field]) + body


def well_formed(chance: random.Random, packet_id: int) -> bytes:
    """Return a packet that a broker may send, for a packet identifier of the session or another."""
    number = chance.choice((packet_id, packet_id, 0, 0xFFFF, chance.randrange(65536)))
    code = chance.choice(_CODES)
    properties = chance.choice((b"\0", bytes([len(_REASON)]) + _REASON, b""))
    limits = chance.choice((b"\0", bytes([len(_PROPERTIES)]) + _PROPERTIES))
    topic = chance.choice((_TOPIC, _TOPIC, _COMMAND, _COMMAND, b"a" * 50, "ü\0".encode()))
    payload = chance.choice((b"1", b"", b'{"run": true}', b"x" * 3000))
    flags = chance.choice((0, 0, 1, 2, 4, 8))
    of_command = chance.choice((b"\0", bytes([len(_OF_COMMAND)]) + _OF_COMMAND))
    kinds = (
        (0x20, bytes([chance.randrange(2), chance.choice((0, code))]) + limits),
        (0x40, number.to_bytes(2) + bytes([code]) + properties),
        (0x40, number.to_bytes(2)),
        (0x90, number.to_bytes(2) + properties + bytes([chance.choice((0, code))])),
        (0x30 | flags, len(topic).to_bytes(2) + topic + b"\0" + payload),
        (
            0x32,
            len(_COMMAND).to_bytes(2) + _COMMAND + number.to_bytes(2) + of_command + payload,
        ),
        (0xE0, bytes([code]) + properties),
        (0xD0, b""),
        (chance.choice((0x50, 0x62, 0x70, 0xB0, 0xF0)), number.to_bytes(2) + b"\0"),
    )
    return packet(*chance.choice(kinds))


def mutated(chance: random.Random, packet_id: int) -> bytes:
    """Return a packet with a few mutations of its length, flags, identifiers or content."""
    data = bytearray(well_formed(chance, packet_id))
    for _ in range(chance.choice((0, 1, 1, 1, 2, 4))):
        match chance.randrange(8):
            case 0:
                data[0] ^= 1 << chance.randrange(8)
            case 1:
                data[1:2] = bytes([chance.randrange(256)])
            case 2:
                data[1:2] = chance.choice((b"\xff\xff\xff\x7f", b"\xff\xff\xff\xff", b"\x80\0"))
            case 3:
                del data[chance.randrange(1, len(data)) :]
            case 4:
                data += chance.randbytes(chance.randrange(1, 9))
            case 5:
                data[chance.randrange(len(data))] = chance.randrange(256)
            case 6:
                data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
            case 7:
                at = chance.randrange(len(data))
                data[at:at] = data[at : at + 4] * chance.choice((1, 1, 50))
        if len(data) < 2:
            data += b"\0\0"
    return bytes(data)


class MutatingBroker:
    """Serves one connection after the other."""

    def __init__(self, count: int, seed: int) -> None:
        self.packets = 0  # mutated ones sent
        self.healthy = 0  # connections served correctly to their end
        self.progress_s = time.monotonic()
        self.longest_s = 0.0  # between two connections of the session
        self.received: Counter[str] = Counter()  # topics, on healthy connections
        self.done = threading.Event()
        self._count = count
        self._chance = random.Random(seed)  # noqa: S311 - no secret
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._server.getsockname()[1])
        self._next_healthy = HEALTHY_EACH
        self.needed: Callable[[], frozenset[str]] = frozenset

    def serve(self) -> None:
        """Serve until so many packets were sent."""
        while self.packets < self._count:
            sock, _ = self._server.accept()
            now_s = time.monotonic()
            self.longest_s = max(self.longest_s, now_s - self.progress_s)
            self.progress_s = now_s
            with sock:
                sock.settimeout(HANG_S)
                try:
                    if self.packets >= self._next_healthy:
                        self._next_healthy += HEALTHY_EACH
                        self._serve_correctly(sock)
                    else:
                        self._serve_mutated(sock)
                except (OSError, IndexError, StopIteration):
                    pass  # the session has closed the connection
            self.progress_s = time.monotonic()
        self.done.set()

    def _serve_correctly(self, sock: socket.socket) -> None:
        self.received.clear()
        for head, body in packets_of(sock):
            kind = head >> 4
            if kind == _CONNECT:
                sock.sendall(b"\x20\x03\0\0\0" if body[6] >= 5 else b"\x20\x02\0\0")
            elif kind == _PUBLISH:
                end = 2 + int.from_bytes(body[:2])
                self.received[body[2:end].decode()] += 1
                if head & 6:
                    sock.sendall(packet(0x40, body[end : end + 2]))
            elif kind in (_SUBSCRIBE, _UNSUBSCRIBE):
                sock.sendall(packet(0x90 if kind == _SUBSCRIBE else 0xB0, body[:2] + b"\0\0"))
            elif kind == _PINGREQ:
                sock.sendall(b"\xd0\0")
            if self.needed() <= self.received.keys():
                self.healthy += 1
                return

    def _serve_mutated(self, sock: socket.socket) -> None:
        """Answer CONNECT, correctly more often than not; then send packets whatever comes."""
        chance, packet_id = self._chance, 1
        head, body = next(packets_of(sock))
        if chance.random() < 0.8:
            sock.sendall(b"\x20\x03\0\0\0" if body[6] >= 5 else b"\x20\x02\0\0")
        sock.settimeout(_REACTION_S)
        for _ in range(chance.randint(1, _BURSTS)):
            number = chance.randint(1, _BURST)
            self.packets += number
            sock.sendall(b"".join(mutated(chance, packet_id) for _ in range(number)))
            try:
                data = sock.recv(65536)
            except TimeoutError:
                continue
            if not data:
                return
            for head, body in _cut(bytearray(data)):
                at = 2 + int.from_bytes(body[:2]) if head >> 4 == _PUBLISH else 0
                if head & 6:
                    packet_id = int.from_bytes(body[at : at + 2])


def packets_of(sock: socket.socket) -> Iterator[tuple[int, bytes]]:
    """Yield first byte and body of each packet received, to the end of the connection."""
    data = bytearray()
    while received := sock.recv(65536):
        data += received
        yield from _cut(data)


def _cut(data: bytearray) -> Iterator[tuple[int, bytes]]:
    """Remove and yield the packets that are complete."""
    while len(data) >= 2:
        length, at = 0, 1
        while at < len(data):
            length |= (data[at] & 127) << 7 * (at - 1)
            at += 1
            if data[at - 1] < 128:
                break
        if len(data) < at + length:
            return
        body, head = bytes(data[at : at + length]), data[0]
        del data[: at + length]
        yield head, body


def resident_mb() -> float:
    """Return the resident set of this process, in MB (10⁶ bytes)."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 1e6


def run(count: int, seed: int) -> dict[str, Any]:
    """Send so many packets; return what happened."""
    raised: list[str] = []
    unexpected: Counter[str] = Counter()

    def hook(arguments: threading.ExceptHookArgs) -> None:
        raised.append("".join(traceback.format_exception(arguments.exc_value))[-2000:])

    def record(_logger: object, method: str, entry: MutableMapping[str, Any]) -> Any:
        if method == "exception" or entry.get("exc_info"):
            unexpected[traceback.format_exc()[-1500:]] += 1
        raise structlog.DropEvent

    threading.excepthook = hook
    structlog.configure(processors=[record])
    broker = MutatingBroker(count, seed)
    backoff = Backoff((0.0,), minimum_s=0.0, reset_after_s=1.0, jitter=lambda: 0.0)
    options: dict[str, Any] = {"backoff": backoff}
    if (
        "takeover_pauses" in inspect.signature(BrokerSession).parameters
    ):  # not in an earlier version
        options["takeover_pauses"] = replace(backoff)  # of 10 s and more, which are no hang
    session = BrokerSession(Mqtt(host="127.0.0.1", port=broker.port), "edge", **options)
    topics = [f"asd/{name}/state" for name in ("fan01", "fan02", "fan03")]
    for topic in topics:
        session.publish(topic, b"{}", qos=1, retain=True)
    broker.needed = lambda: frozenset(topics)
    session.subscribe([_TOPIC.decode()], lambda _received: None)
    if hasattr(session, "read_commands"):  # not in an earlier version
        session.read_commands(
            ["asd/fan01/cmd/+"],
            lambda command: session.answer("asd/answers", b"{}", command.correlation),
        )
    serving = threading.Thread(target=broker.serve, daemon=True)
    serving.start()
    session.start()
    before_mb = largest_mb = resident_mb()
    hung = False
    while not broker.done.wait(0.5):
        largest_mb = max(largest_mb, resident_mb())
        hung = time.monotonic() - broker.progress_s > 2 * HANG_S or session.closed
        if hung or raised:
            break
    session.stop(1.0)
    return {
        "packets": broker.packets,
        "healthy": broker.healthy,
        "expected_healthy": max(0, broker.packets - 1) // HEALTHY_EACH,
        "connects": session.counters.connects,
        "longest_s": broker.longest_s,
        "hung": hung,
        "growth_mb": largest_mb - before_mb,
        "raised": raised,
        "unexpected": dict(unexpected.most_common(5)),
        "unexpected_count": sum(unexpected.values()),
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(run(int(sys.argv[1]), int(sys.argv[2]))) + "\n")
