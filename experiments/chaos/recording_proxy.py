"""A TCP proxy between the daemon and its broker, which records messages and acknowledgements.

What the broker has acknowledged is known here even where it loses it afterwards, and a connection
can be cut or stop to deliver without either end noticing.  Use it with ``with``.
"""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

PATIENCE_S = 60.0
_PUBLISH, _PUBACK, _CONNECT = 3, 4, 1
_FIRST_FAILURE = 0x80
_CONNECT_S = 5.0
_POLL_S = 0.2  # threads of a stalled connection look for its end
_MAX_MESSAGES = 200_000
_MAX_PACKET_BYTES = 2 << 20


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """A message of QoS 1 that the broker has acknowledged."""

    topic: str
    payload: bytes
    retain: bool
    at_s: float  # monotonic

    @property
    def document(self) -> dict[str, Any]:
        """The payload as an object."""
        found: dict[str, Any] = json.loads(self.payload)
        return found


@dataclass(slots=True, eq=False)
class _Connection:
    client: socket.socket
    broker: socket.socket
    level: int = 4
    waiting: dict[int, tuple[str, bytes, bool]] = field(default_factory=dict)


class PacketReader:
    """Cuts a stream of bytes into MQTT packets."""

    def __init__(self) -> None:
        self._rest = bytearray()
        self._lost = False  # after a packet that is too large to be kept

    def packets(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """Yield first byte and body of each packet that is complete now.

        After a packet above `_MAX_PACKET_BYTES` there is none.
        """
        self._rest += b"" if self._lost else data
        if len(self._rest) > _MAX_PACKET_BYTES:
            self._lost = True
            self._rest.clear()
        while (end := self._end()) is not None:
            begin, stop = end
            packet = bytes(self._rest[:stop])
            del self._rest[:stop]
            yield packet[0], packet[begin:]

    def _end(self) -> tuple[int, int] | None:
        length = 0
        for index, byte in enumerate(self._rest[1:5]):
            length |= (byte & 0x7F) << (7 * index)
            if byte < 0x80:
                stop = index + 2 + length
                return (index + 2, stop) if len(self._rest) >= stop else None
        return None


def split_publish(head: int, body: bytes, level: int) -> tuple[str, int | None, bytes]:
    """Return topic, packet identifier (None with QoS 0) and payload of a PUBLISH."""
    at = 2 + int.from_bytes(body[:2])
    topic, packet_id = body[2:at].decode(), None
    if head & 0x06:
        packet_id, at = int.from_bytes(body[at : at + 2]), at + 2
    if level >= 5:
        at += 1 + body[at]  # the daemon sends no properties that need a longer length
    return topic, packet_id, body[at:]


class RecordingProxy:
    """Listens on loopback and passes all bytes on to ``upstream``, a port of loopback.

    With ``tls`` the daemon has to speak TLS, and the broker gets plain TCP.
    """

    def __init__(self, upstream: int, *, tls: ssl.SSLContext | None = None) -> None:
        self.upstream = upstream
        self.connections = 0
        """Connections accepted so far."""
        self.acknowledged: list[Acknowledged] = []
        """All but scores, in the order of the acknowledgements."""
        self.scores: dict[str, tuple[float, dict[str, Any]]] = {}
        """The newest score of each topic, with its monotonic time."""
        self._tls = tls
        self._changed = threading.Condition()
        self._stalled = threading.Event()
        self._closed = False
        self._server: socket.socket | None = None
        self._open: set[_Connection] = set()
        self._threads: list[threading.Thread] = []
        self.port = 0
        self.listen()

    def __enter__(self) -> RecordingProxy:
        return self

    def __exit__(self, *_: object) -> None:
        self._closed = True
        self.refuse()
        for thread in self._threads:
            thread.join(PATIENCE_S)

    def listen(self) -> None:
        """Accept connections, on the same port each time; without effect where it does."""
        if self._server is None:
            self._server = socket.create_server(("127.0.0.1", self.port))
            self.port = int(self._server.getsockname()[1])
            self._start(self._accept, self._server)

    def refuse(self) -> None:
        """Close all connections and accept no more, as where no broker runs."""
        server, self._server = self._server, None
        if server is not None:
            with contextlib.suppress(OSError):
                server.shutdown(socket.SHUT_RDWR)
            server.close()
        self.cut()

    def cut(self) -> None:
        """Close all connections."""
        with self._changed:
            found = list(self._open)
            self._open.clear()
        for connection in found:
            _shut(connection.client)
            _shut(connection.broker)

    def stall(self) -> None:
        """Deliver nothing from now on in either direction, and leave connections open."""
        self._stalled.set()

    def go_on(self) -> None:
        """Deliver again, also what has been sent meanwhile."""
        self._stalled.clear()

    def wait_until(
        self, condition: Callable[[], object], timeout_s: float = PATIENCE_S
    ) -> float | None:
        """Wait for a condition, tested after each message; return the time, None at the timeout."""
        with self._changed:
            done = self._changed.wait_for(condition, timeout_s)
            return time.monotonic() if done else None

    def newest(self, topic: str, since_s: float = 0.0) -> Acknowledged | None:
        """Return the newest message of a topic that was acknowledged after a time."""
        with self._changed:
            for message in reversed(self.acknowledged):
                if message.at_s < since_s:
                    return None
                if message.topic == topic:
                    return message
        return None

    def since(self, topic: str, since_s: float) -> list[Acknowledged]:
        """Return the messages of a topic acknowledged after a time, in order."""
        with self._changed:
            return [m for m in self.acknowledged if m.topic == topic and m.at_s >= since_s]

    def wake(self) -> None:
        """Test the conditions of all waits again."""
        with self._changed:
            self._changed.notify_all()

    def _start(self, work: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        self._threads = [each for each in self._threads if each.is_alive()]
        self._threads.append(thread)
        thread.start()

    def _accept(self, server: socket.socket) -> None:
        while True:
            try:
                client, _ = server.accept()
            except OSError:
                return
            self.connections += 1
            self.wake()
            self._start(self._serve, client)

    def _serve(self, client: socket.socket) -> None:
        try:
            while self._tls is not None and self._stalled.wait(0) and not self._closed:
                threading.Event().wait(_POLL_S)  # the handshake does not begin
            if self._tls is not None:
                client.settimeout(PATIENCE_S)
                client = self._tls.wrap_socket(client, server_side=True)
            broker = socket.create_connection(("127.0.0.1", self.upstream), _CONNECT_S)
        except OSError:
            client.close()
            return
        client.settimeout(None)
        broker.settimeout(None)
        connection = _Connection(client, broker)
        with self._changed:
            self._open.add(connection)
        self._start(self._pump, connection, broker, client, self._from_broker)
        self._pump(connection, client, broker, self._from_client)
        with self._changed:
            self._open.discard(connection)

    def _pump(
        self,
        connection: _Connection,
        source: socket.socket,
        target: socket.socket,
        note: Callable[[_Connection, int, bytes], None],
    ) -> None:
        reader = PacketReader()
        try:
            while data := source.recv(65536):
                while self._stalled.is_set() and not self._closed and connection in self._open:
                    threading.Event().wait(_POLL_S)
                with contextlib.suppress(IndexError, UnicodeDecodeError):  # malformed packets
                    for head, body in reader.packets(data):
                        note(connection, head, body)
                target.sendall(data)
        except OSError:
            pass  # the connection was closed
        _shut(source)
        _shut(target)

    def _from_client(self, connection: _Connection, head: int, body: bytes) -> None:
        if head >> 4 == _CONNECT:
            connection.level = body[6]
        if head >> 4 != _PUBLISH:
            return
        topic, packet_id, payload = split_publish(head, body, connection.level)
        with self._changed:
            if packet_id is not None:
                connection.waiting[packet_id] = topic, payload, bool(head & 1)
            elif topic.endswith("/score"):
                self.scores[topic] = time.monotonic(), json.loads(payload)
                self._changed.notify_all()

    def _from_broker(self, connection: _Connection, head: int, body: bytes) -> None:
        if head >> 4 != _PUBACK:
            return
        with self._changed:
            message = connection.waiting.pop(int.from_bytes(body[:2]), None)
            refused = len(body) > 2 and body[2] >= _FIRST_FAILURE
            if message is not None and not refused and len(self.acknowledged) < _MAX_MESSAGES:
                topic, payload, retain = message
                self.acknowledged.append(Acknowledged(topic, payload, retain, time.monotonic()))
                self._changed.notify_all()


def _shut(sock: socket.socket) -> None:
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)
    sock.close()
