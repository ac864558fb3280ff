"""An MQTT broker inside this process, for a demonstration without any other.

It speaks MQTT 3.1.1 on loopback, lets everyone in and remembers nothing.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import Self

from amqtt.adapters import StreamWriterAdapter
from amqtt.broker import Broker

from asd_monitor.errors import OperationError

_START_WITHIN_S = 20.0
_STOP_WITHIN_S = 10.0
_LISTENER = "default"
_LEVEL_311 = 4
_CONNACK_OTHER_VERSION = bytes([0x20, 2, 0, 1])
_CONFIG = {
    # "external": the listening socket is ours, so the system chooses its port
    "listeners": {_LISTENER: {"type": "external", "bind": "127.0.0.1:0"}},
    "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
}


class _Reader:
    """What amqtt reads from; begins with what was read to look at it."""

    def __init__(self, reader: asyncio.StreamReader, head: bytes) -> None:
        self._reader = reader
        self._head = head

    async def read(self, n: int = -1) -> bytes:
        """Return exactly ``n`` bytes, or all there are where it is negative."""
        if n < 0:
            head, self._head = self._head, b""
            return head + await self._reader.read()
        head, self._head = self._head[:n], self._head[n:]
        return head + await self._reader.readexactly(n - len(head))

    def feed_eof(self) -> None:
        """Note that nothing more comes."""
        self._reader.feed_eof()


async def _connect_head(reader: asyncio.StreamReader) -> bytes:
    """Read a CONNECT up to and including its protocol level.

    amqtt would wait without an answer for the rest of a CONNECT of MQTT 5, which it reads
    as one of 3.1.1.
    """
    head = await reader.readexactly(2)
    while head[-1] & 0x80 and len(head) < 5:  # the remaining length has up to four bytes
        head += await reader.readexactly(1)
    return head + await reader.readexactly(7)  # 0 4 M Q T T level


class EmbeddedBroker:
    """Runs between entering and leaving a ``with``, in a thread of its own.

    Entering raises OperationError where it cannot start.
    """

    host = "127.0.0.1"

    def __init__(self) -> None:
        self.port = 0  # known once entered
        self._started = threading.Event()
        self._failure: BaseException | None = None
        self._stop: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._run, name="demo broker", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        if not self._started.wait(_START_WITHIN_S):
            raise OperationError("the demonstration's broker does not start; try again")
        if self._failure is not None:
            raise OperationError(
                f"the demonstration's broker does not start: {self._failure}; try again"
            ) from self._failure
        return self

    def __exit__(self, *_: object) -> None:
        if self._loop is not None and self._stop is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(_STOP_WITHIN_S)

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except Exception as error:  # noqa: BLE001 - handed to whoever waits for the start
            self._failure = error
        finally:
            self._started.set()

    async def _serve(self) -> None:
        # it warns of every client that hangs up
        for name in ("amqtt", "transitions"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        broker = Broker(_CONFIG)
        await broker.start()

        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                head = await _connect_head(reader)
                if head[-1] != _LEVEL_311:
                    writer.write(_CONNACK_OTHER_VERSION)
                    await writer.drain()
                    return
                await broker.external_connected(
                    _Reader(reader, head), StreamWriterAdapter(writer), _LISTENER
                )
            except (ConnectionError, asyncio.IncompleteReadError):
                pass  # the client went away
            finally:
                writer.close()

        server = await asyncio.start_server(connected, self.host, 0)
        self.port = server.sockets[0].getsockname()[1]
        self._started.set()
        await self._stop.wait()
        server.close()
        await broker.shutdown()
