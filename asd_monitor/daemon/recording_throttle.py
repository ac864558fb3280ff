"""Flow control of recordings: they are read no faster than the broker takes the messages."""

from __future__ import annotations

import asyncio

from asd_monitor.daemon.broker_interface import Broker
from asd_monitor.worker_thread import WorkerThread

_FIRST_CONNECTION_S = 5.0
_MAX_PENDING = 100  # messages
_WAIT_S = 1.0  # in the thread at once


class RecordingThrottle:
    """Delays recordings; microphones are never delayed."""

    def __init__(self, broker: Broker) -> None:
        self.waits = 0
        """How often recordings have waited until the broker had taken messages."""
        self._broker = broker
        self._first = True
        self._waiting: asyncio.Future[bool] | None = None  # shared by all recordings
        self._thread = WorkerThread("throttle")

    async def wait(self) -> None:
        """Wait while too many messages are pending, and at first for a connection.

        Without a connection, recordings are read at full speed after the first few seconds.
        """
        if self._first:
            self._first = False
            await self._thread.run(
                self._broker.wait_for, lambda broker: broker.connected, _FIRST_CONNECTION_S
            )
        while self._is_too_much(self._broker):
            if self._waiting is None or self._waiting.done():
                self.waits += 1
                self._waiting = self._thread.submit(self._wait_for_delivery)
            await asyncio.wait((self._waiting,))

    @property
    def thread(self) -> WorkerThread:
        """The thread that waits."""
        return self._thread

    def close(self) -> None:
        """End the thread, without waiting.  May be called in any state and more than once."""
        self._thread.close()

    def _wait_for_delivery(self) -> bool:
        return self._broker.wait_for(lambda broker: not self._is_too_much(broker), _WAIT_S)

    @staticmethod
    def _is_too_much(broker: Broker) -> bool:
        return broker.connected and broker.pending > _MAX_PENDING
