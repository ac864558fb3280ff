"""Verification that a sound server keeps routing a stream from the same source."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Iterator

from asd_monitor.audio.capture.planar import PlanarBlock
from asd_monitor.audio.devices.sound_server import (
    ServerSource,
    SoundServer,
    SoundServerQueryError,
)

QUERY_INTERVAL_S = 1.0
UNCONFIRMED_S = 5.0


class RoutingWatch:
    """Delays each block until a later answer of the sound server confirms its source.

    A block from another microphone is therefore never released; the delay is up to
    `QUERY_INTERVAL_S` and the time of an answer.
    """

    def __init__(self, server: SoundServer, pid: int, source_name: str) -> None:
        self.moved_to: ServerSource | None = None
        """The other source, once the stream was moved."""
        self._server = server
        self._pid = pid
        self._source_name = source_name
        self._confirmed_ns = time.monotonic_ns()
        self._held: deque[tuple[PlanarBlock, int]] = deque()

    @property
    def is_unconfirmed(self) -> bool:
        """Whether the last confirmation is more than `UNCONFIRMED_S` old."""
        return time.monotonic_ns() - self._confirmed_ns > UNCONFIRMED_S * 1e9

    async def run(self) -> None:
        """Query the sound server until the stream was moved, or until cancelled."""
        while self.moved_to is None:
            asked_ns = time.monotonic_ns()
            try:
                source = await self._server.source_of_process(self._pid)
            except SoundServerQueryError:
                source = None  # confirms nothing; `is_unconfirmed` if it persists
            if source is not None and source.name == self._source_name:
                self._confirmed_ns = asked_ns
            elif source is not None:
                self.moved_to = source
            await asyncio.sleep(QUERY_INTERVAL_S)

    def hold(self, block: PlanarBlock, time_ns: int) -> None:
        """Append a block that the capture child had read before this monotonic time."""
        self._held.append((block, time_ns))

    def confirmed(self) -> Iterator[PlanarBlock]:
        """Yield the blocks whose source is confirmed, and remove them."""
        while self._held and self._held[0][1] <= self._confirmed_ns:
            yield self._held.popleft()[0]
