"""A consumer of a source that keeps all of its events."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from asd_monitor.audio.devices.device_strings import parse_device
from asd_monitor.audio.opening import DevicePool
from asd_monitor.audio.source import Outage, Source, SourceEvent
from asd_monitor.records import Block
from tests.doubles.waiting import TIMEOUT_S


class EventCollector:
    """Iterates a source in a task of its own, as the daemon's capture loop does.

    Every wait ends with TimeoutError after `TIMEOUT_S`.
    """

    def __init__(self, source: Source) -> None:
        self.source = source
        self.events: list[SourceEvent] = []
        self._changed = asyncio.Event()
        self.task = asyncio.create_task(self._collect())

    async def _collect(self) -> None:
        try:
            async with contextlib.aclosing(self.source.events()) as events:
                async for event in events:
                    self.events.append(event)
                    self._changed.set()
        finally:
            self._changed.set()

    @property
    def blocks(self) -> list[Block]:
        return [event for event in self.events if isinstance(event, Block)]

    @property
    def outages(self) -> list[Outage]:
        return [event for event in self.events if isinstance(event, Outage)]

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait for a condition, which is checked after each event."""
        async with asyncio.timeout(TIMEOUT_S):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    async def until_blocks(self, count: int) -> None:
        """Wait for this many blocks since the beginning."""
        await self.until(lambda: len(self.blocks) >= count)

    async def until_new_blocks(self, count: int = 3) -> None:
        """Wait for this many blocks from now on."""
        await self.until_blocks(len(self.blocks) + count)

    async def new_event(self, condition: Callable[[SourceEvent], object]) -> SourceEvent:
        """Wait for an event from now on that meets a condition, and return it."""
        first = len(self.events)
        await self.until(lambda: any(map(condition, self.events[first:])))
        return next(event for event in self.events[first:] if condition(event))

    async def close(self) -> None:
        """Close the source and wait for the end of its iteration."""
        async with asyncio.timeout(TIMEOUT_S):
            await self.source.close()
            await asyncio.wait((self.task,))


class PoolCollectors:
    """Collectors of the sources of a pool of devices, as the machines of the daemon use it."""

    def __init__(self, pool: DevicePool) -> None:
        self._pool = pool
        self._collectors: list[EventCollector] = []

    def expect(self, *devices: str) -> None:
        """Declare the devices that will be opened."""
        self._pool.expect(map(parse_device, devices))

    async def collect(self, *devices: str) -> list[EventCollector]:
        """Open the sources of these devices; return once each is attached to its device."""
        collectors = [EventCollector(self._pool.open(parse_device(each))) for each in devices]
        self._collectors += collectors
        await asyncio.sleep(0)
        return collectors

    async def close(self) -> None:
        """Close all sources."""
        for collector in self._collectors:
            await collector.close()
