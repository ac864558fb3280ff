"""A minimal MQTT broker on loopback whose behaviour a test defines.

It is for what mosquitto cannot be made to do: wrong packets, missing acknowledgements, silence.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from tests.doubles.mosquitto import PATIENCE_S

CONNACK_5 = bytes([0x20, 3, 0, 0, 0])
CONNACK_311 = bytes([0x20, 2, 0, 0])
CONNACK_WRONG_VERSION = bytes([0x20, 2, 0, 1])  # of a broker that supports 3.1.1 only
DISCONNECT_TAKEN_OVER = bytes([0xE0, 2, 0x8E, 0])
PUBLISH, PINGREQ, DISCONNECT = 3, 12, 14  # packet types


@dataclass
class ClientConnection:
    """One connection of a client; `level` is its protocol level, 4 for 3.1.1 and 5 for MQTT 5."""

    sock: socket.socket
    level: int
    will: bool
    connect: bytes = b""
    """The body of its CONNECT."""
    publishes: list[tuple[str, int | None]] = field(default_factory=list)
    """Topic and packet identifier of each PUBLISH received."""

    def read(self) -> tuple[int, bytes] | None:
        """Return first byte and body of the next whole packet; None: the connection is closed."""
        head = self.sock.recv(1)
        if not head:
            return None
        length, shift = 0, 0
        while True:
            byte = self.sock.recv(1)[0]
            length |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                break
        body = b""
        while len(body) < length:
            received = self.sock.recv(length - len(body))
            if not received:
                return None
            body += received
        return head[0], body

    def record_publish(self, head: int, body: bytes) -> int | None:
        """Add a PUBLISH to `publishes`; return its packet identifier, None with QoS 0."""
        end = 2 + int.from_bytes(body[:2])
        packet_id = int.from_bytes(body[end : end + 2]) if head & 0x06 else None
        self.publishes.append((body[2:end].decode(), packet_id))
        return packet_id

    def acknowledge(self, packet_id: int) -> None:
        """Send a PUBACK."""
        self.sock.sendall(bytes([0x40, 2]) + packet_id.to_bytes(2))

    def serve(self) -> bool:
        """Acknowledge everything until the client ends; return whether it sent DISCONNECT."""
        while (packet := self.read()) is not None:
            head, body = packet
            if head >> 4 == PUBLISH:
                packet_id = self.record_publish(head, body)
                if packet_id is not None:
                    self.acknowledge(packet_id)
            elif head >> 4 == PINGREQ:
                self.sock.sendall(bytes([0xD0, 0]))
            elif head >> 4 == DISCONNECT:
                return True
        return False


class FakeBroker:
    """Calls ``behave`` with each connection after its CONNECT, in a thread of its own.

    Use it with ``with``.  The connection is closed when ``behave`` returns.
    """

    def __init__(self, behave: Callable[[ClientConnection], None]) -> None:
        self._behave = behave
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._server.getsockname()[1])
        self.clients: list[ClientConnection] = []
        self._socks: list[socket.socket] = []
        self._changed = threading.Condition()
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> FakeBroker:
        self._start_thread(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        for sock in self._socks:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(PATIENCE_S)

    def wait_until(self, condition: Callable[[], bool]) -> None:
        """Wait for a condition, tested when a connection begins and when it ends."""
        with self._changed:
            assert self._changed.wait_for(condition, PATIENCE_S), [
                (c.level, c.publishes) for c in self.clients
            ]

    def _start_thread(self, work: Callable[[], None]) -> None:
        thread = threading.Thread(target=work, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._server.accept()
            except OSError:
                return
            self._socks.append(sock)
            self._start_thread(lambda sock=sock: self._serve(sock))  # type: ignore[misc]

    def _serve(self, sock: socket.socket) -> None:
        with sock:
            try:
                client = ClientConnection(sock, 0, will=False)
                packet = client.read()
                if packet is None:
                    return
                client.connect = packet[1]
                client.level, client.will = packet[1][6], bool(packet[1][7] & 0x04)
                with self._changed:
                    self.clients.append(client)
                    self._changed.notify_all()
                self._behave(client)
            except (OSError, IndexError):
                pass  # the client closed the connection
            finally:
                with self._changed:
                    self._changed.notify_all()
