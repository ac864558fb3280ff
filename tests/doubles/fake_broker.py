"""A broker of a few lines on loopback that misbehaves on demand."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from tests.doubles.mosquitto import PATIENCE_S

CONNACK_5 = bytes([0x20, 3, 0, 0, 0])
CONNACK_311 = bytes([0x20, 2, 0, 0])
CONNACK_WRONG_VERSION = bytes([0x20, 2, 0, 1])  # as a broker answers that knows only 3.1.1
TAKEN_OVER = bytes([0xE0, 2, 0x8E, 0])


@dataclass
class Client:
    """One connection, seen from the broker; `level` is 4 for 3.1.1 and 5 for MQTT 5."""

    sock: socket.socket
    level: int
    will: bool
    publishes: list[tuple[str, int | None]] = field(default_factory=list)  # topic, number

    def read(self) -> tuple[int, bytes] | None:
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
            body += self.sock.recv(length - len(body))
        return head[0], body

    def note_publish(self, head: int, body: bytes) -> int | None:
        end = 2 + int.from_bytes(body[:2])
        number = int.from_bytes(body[end : end + 2]) if head & 0x06 else None
        self.publishes.append((body[2:end].decode(), number))
        return number

    def acknowledge(self, number: int) -> None:
        self.sock.sendall(bytes([0x40, 2]) + number.to_bytes(2))

    def answer_all(self) -> bool:
        """Serve as a broker should until the client goes; True when it said goodbye."""
        while (packet := self.read()) is not None:
            head, body = packet
            if head >> 4 == 3:
                number = self.note_publish(head, body)
                if number is not None:
                    self.acknowledge(number)
            elif head >> 4 == 12:
                self.sock.sendall(bytes([0xD0, 0]))
            elif head >> 4 == 14:
                return True
        return False


class FakeBroker:
    """Calls ``behave`` with each connection, after its CONNECT, in a thread of its own."""

    def __init__(self, behave: Callable[[Client], None]) -> None:
        self._behave = behave
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._server.getsockname()[1])
        self.clients: list[Client] = []
        self._socks: list[socket.socket] = []
        self._news = threading.Condition()
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> FakeBroker:
        self._spawn(self._accept)
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
        with self._news:
            assert self._news.wait_for(condition, PATIENCE_S), [
                (c.level, c.publishes) for c in self.clients
            ]

    def tell(self) -> None:
        """Let those look again who wait."""
        with self._news:
            self._news.notify_all()

    def _spawn(self, work: Callable[[], None]) -> None:
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
            self._spawn(lambda sock=sock: self._serve(sock))  # type: ignore[misc]

    def _serve(self, sock: socket.socket) -> None:
        with sock:
            try:
                client = Client(sock, 0, will=False)
                packet = client.read()
                if packet is None:
                    return
                client.level, client.will = packet[1][6], bool(packet[1][7] & 0x04)
                with self._news:
                    self.clients.append(client)
                    self._news.notify_all()
                self._behave(client)
            except (OSError, IndexError):
                pass  # the client went away
            finally:
                self.tell()
