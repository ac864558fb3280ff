"""Flow control of recordings: they are read no faster than the broker takes the messages."""

from __future__ import annotations

import asyncio
from functools import partial

from asd_monitor.daemon.broker_interface import Broker

_FIRST_CONNECTION_S = 5.0
_MAX_PENDING = 100  # messages
_POLL_S = 0.01


class RecordingThrottle:
    """Delays recordings; microphones are never delayed."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._first = True

    async def wait(self) -> None:
        """Wait while too many messages are pending, and at first for a connection.

        Without a connection, recordings are read at full speed after the first few seconds.
        """
        broker = self._broker
        if self._first:
            self._first = False
            connected = partial(broker.wait_for, lambda s: s.connected, _FIRST_CONNECTION_S)
            await asyncio.to_thread(connected)
        # the session's thread has no event for this, and a recording may be delayed
        while broker.connected and broker.pending > _MAX_PENDING:  # noqa: ASYNC110
            await asyncio.sleep(_POLL_S)
