"""One device heard by several machines, a channel each: opened once, given out to all.

    device ── capture child ── Microphone ─┬─ ChannelSource, channel 0
                                           └─ ChannelSource, channel 1

The device is opened when the first source is iterated, and released when the last one is
closed.  A source that joins while the device is open hears on from there, at the sample
index that the others have reached; where it wants a channel that is not being sent, the
device is opened again, an outage for all of them.  One that leaves disturbs nobody; its
channel is sent until the device is opened again.

Each source has a queue of its own.  Who takes nothing out of it for long loses the oldest
sound in it, and alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import AsyncGenerator, Callable, Collection
from typing import Protocol

from asd_monitor.audio.capture.planar import PlanarBlock
from asd_monitor.audio.devices.device_strings import DeviceSpec
from asd_monitor.audio.devices.remedies import no_channel
from asd_monitor.audio.source import Event, Opened, Outage
from asd_monitor.records import Block, MicrophoneState

QUEUE_EVENTS = 300  # 30 s in blocks of 100 ms
RELEASE_S = 15.0  # longer than a microphone takes whose child the kernel holds
_CANCELLED_S = 1.0
_log = logging.getLogger(__name__)


class PlanarSource(Protocol):
    """What `Microphone` is to a `SharedDevice`; see there."""

    @property
    def drift_ppm(self) -> float:
        """By how much the device's clock is faster than ours."""

    def want(self, channels: Collection[int]) -> bool:
        """Hear these channels; return whether the device is opened again for that."""

    def planes(self) -> AsyncGenerator[Opened | PlanarBlock | Outage]:
        """Iterate over the sound of the wanted channels and its outages."""

    async def close(self) -> None:
        """Let go of the device; `planes` then ends."""


class SharedDevice:
    """A device and the sources that hear it."""

    def __init__(self, spec: DeviceSpec, open_microphone: Callable[[], PlanarSource]) -> None:
        """`spec` chooses no channel."""
        self.spec = spec
        self.expected: frozenset[int] = frozenset()
        """Channels that sources are about to want: an opening brings them too."""
        self._open_microphone = open_microphone
        self._sources: list[ChannelSource] = []
        self._microphone: PlanarSource | None = None
        self._capture: asyncio.Task[None] | None = None
        self._latest: Opened | Outage | None = None
        self._releasing: asyncio.Task[None] | None = None

    @property
    def drift_ppm(self) -> float:
        """By how much the device's clock is faster than ours."""
        return self._microphone.drift_ppm if self._microphone else 0.0

    async def join(self, source: ChannelSource) -> None:
        """Deliver to a source from now on, unless it is closed before the device is free."""
        await self._released()
        if source.is_closed:
            return
        self._sources.append(source)
        wanted = self.expected | {each.channel for each in self._sources}
        if self._capture is None or self._microphone is None:
            self._microphone = microphone = self._open_microphone()
            microphone.want(wanted)
            self._latest = None
            self._capture = asyncio.create_task(
                self._give_out(microphone), name=f"capture {self.spec}"
            )
            self._capture.add_done_callback(self._note_end)
        elif not self._microphone.want(wanted) and self._latest:
            source.take(self._latest)

    async def leave(self, source: ChannelSource) -> None:
        """Remove a source; after the last one the device is released, which is waited for.

        The release goes on when this is cancelled, and ends within `RELEASE_S` and a second.
        """
        if source in self._sources:
            self._sources.remove(source)
            if not self._sources and self._capture and self._microphone:
                capture, self._capture = self._capture, None
                self._releasing = asyncio.create_task(
                    self._release(self._microphone, capture), name=f"release {self.spec}"
                )
        await self._released()

    async def _released(self) -> None:
        """Wait until no release is under way: a card can be opened only once."""
        while self._releasing is not None and not self._releasing.done():
            await asyncio.wait((self._releasing,))

    async def _release(self, microphone: PlanarSource, capture: asyncio.Task[None]) -> None:
        closing = asyncio.create_task(microphone.close(), name=f"close {self.spec}")
        _, pending = await asyncio.wait((closing, capture), timeout=RELEASE_S)
        if pending:
            _log.error("%s: it was not released within %g s: cancelled", self.spec, RELEASE_S)
            for each in pending:
                each.cancel()
            await asyncio.wait(pending, timeout=_CANCELLED_S)
        for each in (closing, capture):
            if each.done() and not each.cancelled() and (error := each.exception()):
                _log.error("%s: a defect while it was released", self.spec, exc_info=error)

    async def _give_out(self, microphone: PlanarSource) -> None:
        async with contextlib.aclosing(microphone.planes()) as planes:
            async for event in planes:
                if not isinstance(event, PlanarBlock):
                    self._latest = event
                for source in self._sources:
                    source.take(event)
                await asyncio.sleep(0)  # a burst is taken as it comes, and fills no queue

    def _note_end(self, capture: asyncio.Task[None]) -> None:
        """Break all sources if the capture broke, which is a defect."""
        error = None if capture.cancelled() else capture.exception()
        if capture is self._capture:
            self._capture = None
            for source in self._sources:
                source.fail(error or RuntimeError(f"{self.spec}: its capture ended"))
            self._sources.clear()


class ChannelSource:
    """One channel of a shared device, as a source of its own; see `Source`."""

    def __init__(self, device: SharedDevice, spec: DeviceSpec) -> None:
        """`spec` is that of the device with the channel."""
        self.channel = spec.channel or 0
        self.lost_samples = 0
        self.gaps = 0
        self.restarts = 0
        self._device = device
        self._spec = spec
        self._queue: deque[Event] = deque()
        self._overdue: Opened | Outage | None = None  # had to leave the queue untold
        self._opened = False
        self._end: int | None = None  # of the last block handed on
        self._error: BaseException | None = None
        self._closed = False
        self._changed = asyncio.Event()

    @property
    def keeps_pace(self) -> bool:
        """Whether it has a pace of its own: the device's."""
        return True

    @property
    def drift_ppm(self) -> float:
        """By how much the device's clock is faster than ours."""
        return self._device.drift_ppm

    @property
    def is_closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed

    async def events(self) -> AsyncGenerator[Event]:
        """Iterate over the channel's sound and its outages, for ever; see `Source`."""
        try:
            await self._device.join(self)
            while not self._closed:
                self._changed.clear()
                while event := self._next():
                    if isinstance(event, Block):
                        self._count(event)
                    yield event
                if self._error:
                    raise self._error
                await self._changed.wait()
        finally:
            await self._device.leave(self)

    async def close(self) -> None:
        """Leave the device; `events` then ends.

        It may be called in any state and more than once.  After the last source of a device it
        returns when the device is released; see `SharedDevice.leave` for the limit.
        """
        self._closed = True
        self._changed.set()
        await self._device.leave(self)

    def take(self, event: Opened | PlanarBlock | Outage) -> None:
        """Take in what happened to the device; never waits."""
        match event:
            case PlanarBlock():
                block = event.channel(self.channel)
                if block is None:
                    return
                self._end = block.start if self._end is None else self._end
                self._queue.append(block)
            case Opened() if self.channel >= event.channels:
                reason = f"{self._spec}: {no_channel((self.channel,), event.channels)}"
                self._queue.append(Outage(reason, MicrophoneState.FAULT))
            case Opened():
                self.restarts += self._opened
                self._opened = True
                self._queue.append(event)
            case Outage():
                self._queue.append(event)
        if len(self._queue) > QUEUE_EVENTS:
            oldest = self._queue.popleft()
            if not isinstance(oldest, Block):
                self._overdue = oldest
        self._changed.set()

    def fail(self, error: BaseException) -> None:
        """End the iteration with this error."""
        self._error = error
        self._changed.set()

    def _next(self) -> Event | None:
        if self._closed:
            return None
        if self._overdue:
            event, self._overdue = self._overdue, None
            return event
        return self._queue.popleft() if self._queue else None

    def _count(self, block: Block) -> None:
        if self._end is not None and block.start > self._end:
            self.gaps += 1
            self.lost_samples += block.start - self._end
        self._end = block.end
