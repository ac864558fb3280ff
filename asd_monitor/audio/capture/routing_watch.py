"""Keeps confirming that a sound server feeds a stream from the microphone it began with."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Iterator

from asd_monitor.audio.capture.planar import PlanarBlock
from asd_monitor.audio.devices.sound_server import Feed, SoundServer, SoundServerQueryError

ASK_EVERY_S = 1.0
UNCONFIRMED_S = 5.0


class FeedWatch:
    """Holds each block back until an answer given after it confirms its source.

    So nothing from another microphone is ever let through, for a delay of a second.
    """

    def __init__(self, server: SoundServer, pid: int, source: str) -> None:
        self.moved_to: Feed | None = None
        self._server = server
        self._pid = pid
        self._source = source
        self._confirmed_ns = time.monotonic_ns()
        self._held: deque[tuple[PlanarBlock, int]] = deque()

    @property
    def is_unconfirmed(self) -> bool:
        """Whether the server has given no answer for too long."""
        return time.monotonic_ns() - self._confirmed_ns > UNCONFIRMED_S * 1e9

    async def run(self) -> None:
        """Ask until the stream has moved; cancel it to end it."""
        while self.moved_to is None:
            asked_ns = time.monotonic_ns()
            try:
                feed = await self._server.feed_of(self._pid)
            except SoundServerQueryError:
                feed = None  # no answer confirms nothing, which shows before long
            if feed is not None and feed.name == self._source:
                self._confirmed_ns = asked_ns
            elif feed is not None:
                self.moved_to = feed
            await asyncio.sleep(ASK_EVERY_S)

    def hold(self, block: PlanarBlock, time_ns: int) -> None:
        """Take a block in, read from the device at this time."""
        self._held.append((block, time_ns))

    def confirmed(self) -> Iterator[PlanarBlock]:
        """Give out the blocks that are surely from the right source."""
        while self._held and self._held[0][1] <= self._confirmed_ns:
            yield self._held.popleft()[0]
