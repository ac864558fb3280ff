"""A consumer of a source that keeps all of its events."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from asd_monitor.audio.devices.device_strings import parse_device
from asd_monitor.audio.opening import DevicePool, ExpectedSource
from asd_monitor.audio.source import Opened, Outage, Source
from asd_monitor.records import Block
from tests.doubles.waiting import TIMEOUT_S

Event = Opened | Block | Outage


class EventCollector:
    """Runs a source in a task of its own, as the daemon's capture loop does.

    Every wait ends with TimeoutError after `TIMEOUT_S`.
    """

    def __init__(self, source: Source) -> None:
        self.source = source
        self.events: list[Event] = []
        self.on_event: Callable[[Event], None] = lambda _: None
        """Called after each event."""
        self._changed = asyncio.Event()
        self.task = asyncio.create_task(self._collect())

    async def _collect(self) -> None:
        try:
            await self.source.run(self)
        finally:
            self._changed.set()

    def opened(self, opened: Opened) -> None:
        self._note(opened)

    def write(self, block: Block) -> None:
        self._note(block)

    def interrupted(self, outage: Outage) -> None:
        self._note(outage)

    async def room(self, samples: int) -> None:
        """Return at once."""

    def _note(self, event: Event) -> None:
        self.events.append(event)
        self._changed.set()
        self.on_event(event)

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

    async def new_event(self, condition: Callable[[Event], object]) -> Event:
        """Wait for an event from now on that meets a condition, and return it."""
        first = len(self.events)
        await self.until(lambda: any(map(condition, self.events[first:])))
        return next(event for event in self.events[first:] if condition(event))

    async def close(self) -> None:
        """Close the source and wait for the end of its run."""
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
        self._pool.expect(ExpectedSource(parse_device(each)) for each in devices)

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


async def all_events(source: Source) -> list[Event]:
    """Return the events of a source to its end; raise what it raises."""
    collector = EventCollector(source)
    await collector.task
    return collector.events


def counts_of(collector: EventCollector) -> tuple[int, int, int]:
    """Return lost samples, gaps and restarts of the stream."""
    stream = collector.source.stream
    return stream.lost_samples, stream.gaps, stream.restarts
