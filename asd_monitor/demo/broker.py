"""An MQTT broker in this process, for a demonstration without another one.

MQTT 3.1.1 on loopback, without authentication or persistence.  Needs amqtt, of the extra
``demo``.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import Self

from amqtt.adapters import StreamWriterAdapter
from amqtt.broker import Broker

from asd_monitor.errors import OperationError

_START_TIMEOUT_S = 20.0
_STOP_TIMEOUT_S = 10.0
_LISTENER = "default"
_LEVEL_311 = 4  # protocol level of a CONNECT of MQTT 3.1.1
_CONNACK_UNACCEPTABLE_VERSION = bytes([0x20, 2, 0, 1])  # MQTT 3.1.1, section 3.2.2.3
_CONFIG = {
    # "external": the listening socket is opened here, so that the system chooses its port
    "listeners": {_LISTENER: {"type": "external", "bind": "127.0.0.1:0"}},
    "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
}


class _PrefixedReader:
    """The reader interface of amqtt over a stream whose first bytes have been read already."""

    def __init__(self, reader: asyncio.StreamReader, head: bytes) -> None:
        self._reader = reader
        self._head = head

    async def read(self, n: int = -1) -> bytes:
        """Return exactly ``n`` bytes, or all until the end where it is negative."""
        if n < 0:
            head, self._head = self._head, b""
            return head + await self._reader.read()
        head, self._head = self._head[:n], self._head[n:]
        return head + await self._reader.readexactly(n - len(head))

    def feed_eof(self) -> None:
        """Mark the end of the stream."""
        self._reader.feed_eof()


async def _connect_head(reader: asyncio.StreamReader) -> bytes:
    """Read a CONNECT up to and including its protocol level.

    amqtt reads a CONNECT of MQTT 5 as one of 3.1.1 and waits for its end without an answer.
    """
    head = await reader.readexactly(2)
    while head[-1] & 0x80 and len(head) < 5:  # the remaining length has up to four bytes
        head += await reader.readexactly(1)
    return head + await reader.readexactly(7)  # 0 4 M Q T T level


class EmbeddedBroker:
    """The broker, in a thread of its own; a context manager.

    Raises OperationError on entry where the broker does not start.
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
        if not self._started.wait(_START_TIMEOUT_S):
            raise OperationError("the demonstration's broker did not start: run the command again")
        if self._failure is not None:
            raise OperationError(
                f"the demonstration's broker did not start ({self._failure}): run the command again"
            ) from self._failure
        return self

    def __exit__(self, *_: object) -> None:
        if self._loop is not None and self._stop is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(_STOP_TIMEOUT_S)

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except Exception as error:  # noqa: BLE001 - raised again by __enter__
            self._failure = error
        finally:
            self._started.set()

    async def _serve(self) -> None:
        # amqtt warns of each client that disconnects
        for name in ("amqtt", "transitions"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        broker = Broker(_CONFIG)
        await broker.start()

        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                head = await _connect_head(reader)
                if head[-1] != _LEVEL_311:
                    writer.write(_CONNACK_UNACCEPTABLE_VERSION)
                    await writer.drain()
                    return
                await broker.external_connected(
                    _PrefixedReader(reader, head), StreamWriterAdapter(writer), _LISTENER
                )
            except (ConnectionError, asyncio.IncompleteReadError):
                pass  # the client disconnected
            finally:
                writer.close()

        server = await asyncio.start_server(connected, self.host, 0)
        self.port = server.sockets[0].getsockname()[1]
        self._started.set()
        await self._stop.wait()
        server.close()
        await broker.shutdown()
