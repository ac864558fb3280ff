"""A device of several channels that a test drives, and an ear that keeps what a source tells."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Collection

import numpy as np

from asd_monitor.audio.capture.planar import PlanarBlock
from asd_monitor.audio.source import Event, Opened, Outage, Source
from asd_monitor.records import Block, MicrophoneState

RATE = 16_000
BLOCK = 1600
PATIENCE_S = 30.0


class ScriptedMicrophone:
    """In the place of a `Microphone`; see `ramp` for what is heard."""

    def __init__(self, channels: int = 2) -> None:
        self.channels = channels
        self.drift_ppm = 12.0
        self.wanted: list[frozenset[int]] = []
        self.closed = asyncio.Event()
        self.may_close = asyncio.Event()
        self.may_close.set()
        self.end = 0
        self._sent: frozenset[int] | None = None
        self._events: asyncio.Queue[Opened | PlanarBlock | Outage | Exception | None]
        self._events = asyncio.Queue()

    def want(self, channels: Collection[int]) -> bool:
        self.wanted.append(frozenset(channels))
        return self._sent is not None and bool(self._had() - self._sent)

    def _had(self) -> frozenset[int]:
        return self.wanted[-1] & frozenset(range(self.channels))

    def open(self) -> None:
        self._sent = self._had()
        self._events.put_nowait(Opened(RATE, self.channels, "scripted"))

    def hear(self, blocks: int = 1, *, gap: int = 0) -> None:
        self.end += gap
        for _ in range(blocks):
            assert self._sent is not None
            channels = tuple(sorted(self._sent))
            rows = [ramp(each, self.end, self.end + BLOCK) for each in channels]
            self._events.put_nowait(PlanarBlock(self.end, channels, np.array(rows)))
            self.end += BLOCK

    def lose(self, reason: str, state: MicrophoneState = MicrophoneState.NO_DEVICE) -> None:
        self._sent = None
        self._events.put_nowait(Outage(reason, state))

    def fail(self, error: Exception) -> None:
        self._events.put_nowait(error)

    async def planes(self) -> AsyncGenerator[Opened | PlanarBlock | Outage]:
        while (event := await self._events.get()) is not None:
            if isinstance(event, Exception):
                raise event
            yield event

    async def close(self) -> None:
        await self.may_close.wait()
        self.closed.set()
        self._events.put_nowait(None)


def ramp(channel: int, start: int, end: int) -> np.ndarray:
    """Samples that tell their channel and their index, and are not loud."""
    return (np.float32(channel) + np.arange(start, end, dtype=np.float32) / 2**20) / 16


class Ear:
    """Listens to a source in a task of its own."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.events: list[Event] = []
        self._changed = asyncio.Event()
        self.task = asyncio.create_task(self._listen())

    async def _listen(self) -> None:
        try:
            async with contextlib.aclosing(self.source.events()) as events:
                async for event in events:
                    self.events.append(event)
                    self._changed.set()
        finally:
            self._changed.set()

    async def until(self, holds: Callable[[], object]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not holds():
                self._changed.clear()
                await self._changed.wait()

    async def hears(self, blocks: int) -> None:
        """Wait until it has heard this many blocks since it began."""
        await self.until(lambda: len(self.blocks) >= blocks)

    @property
    def blocks(self) -> list[Block]:
        return [event for event in self.events if isinstance(event, Block)]

    @property
    def outages(self) -> list[Outage]:
        return [event for event in self.events if isinstance(event, Outage)]

    async def end(self) -> None:
        async with asyncio.timeout(PATIENCE_S):
            await self.source.close()
            await asyncio.wait((self.task,))
