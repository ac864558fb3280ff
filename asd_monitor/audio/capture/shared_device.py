"""One device used by several machines, one channel each: opened once, distributed to all.

    device ── capture child ── Microphone ─┬─ ChannelSource, channel 0
                                           └─ ChannelSource, channel 1

The device is opened when the first source is iterated, and released when the last one is closed.
A source that attaches while the device is open starts at the sample index that the others have
reached.  If its channel is not captured yet, the device is opened again, which is an outage for
all.  A source that detaches does not affect the others; its channel is captured until the device
is opened again.

Each source has a bounded queue of its own.  A slow consumer loses the oldest sound of its own
queue only.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import AsyncGenerator, Callable, Collection
from dataclasses import replace
from typing import Protocol

from asd_monitor.audio.capture.planar import PlanarBlock
from asd_monitor.audio.devices.device_strings import DeviceSpec
from asd_monitor.audio.devices.remedies import no_channel
from asd_monitor.audio.source import CountedSource, Opened, Outage, SourceEvent
from asd_monitor.records import Block, MicrophoneState, Stream

QUEUE_EVENTS = 300  # 30 s in blocks of 100 ms
RELEASE_LIMIT_S = 15.0  # longer than a microphone needs whose child the kernel holds
_CANCEL_LIMIT_S = 1.0
_log = logging.getLogger(__name__)


class PlanarSource(Protocol):
    """Interface of a `Microphone` for a `SharedDevice`; see there."""

    @property
    def drift_ppm(self) -> float:
        """Deviation of the device's sample clock in ppm."""

    def request_channels(self, channels: Collection[int]) -> bool:
        """Capture these channels; return whether the device is opened again for them."""

    def planar_events(self) -> AsyncGenerator[Opened | PlanarBlock | Outage]:
        """Iterate over openings, blocks of the requested channels and outages."""

    async def close(self) -> None:
        """Release the device; `planar_events` then ends."""


class SharedDevice:
    """A device and the sources attached to it."""

    def __init__(
        self,
        spec: DeviceSpec,
        open_microphone: Callable[[], PlanarSource],
        *,
        release_limit_s: float = RELEASE_LIMIT_S,
    ) -> None:
        """`spec` has no channel.  A release that takes longer than the limit is cancelled."""
        self.spec = spec
        self.expected_channels: frozenset[int] = frozenset()
        """Channels of sources that will be attached; each opening includes them."""
        self._open_microphone = open_microphone
        self._release_limit_s = release_limit_s
        self._sources: list[ChannelSource] = []
        self._microphone: PlanarSource | None = None
        self._capture: asyncio.Task[None] | None = None
        self._latest: Opened | Outage | None = None
        self._releasing: asyncio.Task[None] | None = None

    @property
    def drift_ppm(self) -> float:
        """Deviation of the device's sample clock in ppm; see `Source`."""
        return self._microphone.drift_ppm if self._microphone else 0.0

    async def attach(self, source: ChannelSource) -> None:
        """Deliver to a source from now on, unless it is closed before the device is released."""
        await self._wait_released()
        if source.is_closed:
            return
        self._sources.append(source)
        wanted = self.expected_channels | {each.channel for each in self._sources}
        if self._capture is None or self._microphone is None:
            self._microphone = microphone = self._open_microphone()
            microphone.request_channels(wanted)
            self._latest = None
            self._capture = asyncio.create_task(
                self._distribute(microphone), name=f"capture {self.spec}"
            )
            self._capture.add_done_callback(self._on_capture_end)
        elif not self._microphone.request_channels(wanted) and self._latest:
            source.deliver(self._latest)

    async def detach(self, source: ChannelSource) -> None:
        """Remove a source; after the last one, release the device and wait for that.

        The release continues if this is cancelled, and ends within the limit and a second.
        """
        if source in self._sources:
            self._sources.remove(source)
            if not self._sources and self._capture and self._microphone:
                capture, self._capture = self._capture, None
                self._releasing = asyncio.create_task(
                    self._release(self._microphone, capture), name=f"release {self.spec}"
                )
        await self._wait_released()

    async def _wait_released(self) -> None:
        """Wait until no release is in progress: a card can be opened only once."""
        while self._releasing is not None and not self._releasing.done():
            await asyncio.wait((self._releasing,))

    async def _release(self, microphone: PlanarSource, capture: asyncio.Task[None]) -> None:
        closing = asyncio.create_task(microphone.close(), name=f"close {self.spec}")
        _, pending = await asyncio.wait((closing, capture), timeout=self._release_limit_s)
        if pending:
            _log.error("%s: not released within %g s: cancelled", self.spec, self._release_limit_s)
            for each in pending:
                each.cancel()
            await asyncio.wait(pending, timeout=_CANCEL_LIMIT_S)
        for each in (closing, capture):
            if each.done() and not each.cancelled() and (error := each.exception()):
                _log.error("%s: unexpected error during its release", self.spec, exc_info=error)

    async def _distribute(self, microphone: PlanarSource) -> None:
        async with contextlib.aclosing(microphone.planar_events()) as events:
            async for event in events:
                if not isinstance(event, PlanarBlock):
                    self._latest = event
                for source in self._sources:
                    source.deliver(event)
                await asyncio.sleep(0)  # consumers run between the events of a burst

    def _on_capture_end(self, capture: asyncio.Task[None]) -> None:
        """Raise in all sources if the capture ended by itself, which is a defect."""
        error = None if capture.cancelled() else capture.exception()
        if capture is self._capture:
            self._capture = None
            for source in self._sources:
                source.fail(error or RuntimeError(f"{self.spec}: its capture ended"))
            self._sources.clear()


class ChannelSource(CountedSource):
    """One channel of a shared device as a source; see `Source`."""

    def __init__(self, device: SharedDevice, spec: DeviceSpec) -> None:
        """`spec` is that of the device, with the channel."""
        super().__init__()
        self.channel = spec.channel or 0
        self._device = device
        self._spec = spec
        self._queue: deque[SourceEvent] = deque()
        self._overdue: Opened | Outage | None = None  # removed from the full queue
        self._stream: Stream | None = None  # since the first opening
        self._error: BaseException | None = None
        self._closed = False
        self._changed = asyncio.Event()

    @property
    def is_paced(self) -> bool:
        """Whether the source delivers at a rate of its own: True, the device's."""
        return True

    @property
    def drift_ppm(self) -> float:
        """Deviation of the device's sample clock in ppm; see `Source`."""
        return self._device.drift_ppm

    @property
    def is_closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed

    async def events(self) -> AsyncGenerator[SourceEvent]:
        """Iterate over the channel's openings, blocks and outages, until `close`; see `Source`."""
        try:
            await self._device.attach(self)
            while not self._closed:
                self._changed.clear()
                while event := self._next():
                    if isinstance(event, Block):
                        self._count(event.start, event.end)
                    yield event
                if self._error:
                    raise self._error
                await self._changed.wait()
        finally:
            await self._device.detach(self)

    async def close(self) -> None:
        """Detach from the device; `events` then ends.

        May be called in any state and more than once.  For the last source of a device it returns
        when the device is released; see `SharedDevice.detach` for the limit.
        """
        self._closed = True
        self._changed.set()
        await self._device.detach(self)

    def deliver(self, event: Opened | PlanarBlock | Outage) -> None:
        """Append an event of the device to the queue; never waits."""
        match event:
            case PlanarBlock():
                block = event.channel(self.channel, self._stream) if self._stream else None
                if block is None:
                    return
                self._end = block.start if self._end is None else self._end
                self._queue.append(block)
            case Opened() if self.channel >= event.channels:
                reason = f"{self._spec}: {no_channel((self.channel,), event.channels)}"
                self._queue.append(Outage(reason, MicrophoneState.FAULT))
            case Opened():
                if self._stream is None:
                    self._stream = Stream(event.rate_hz)
                else:
                    self.restarts += 1
                self._queue.append(replace(event, stream=self._stream))
            case Outage():
                self._queue.append(event)
        if len(self._queue) > QUEUE_EVENTS:
            oldest = self._queue.popleft()
            if not isinstance(oldest, Block):
                self._overdue = oldest
        self._changed.set()

    def fail(self, error: BaseException) -> None:
        """Raise this error from `events`."""
        self._error = error
        self._changed.set()

    def _next(self) -> SourceEvent | None:
        if self._closed:
            return None
        if self._overdue:
            event, self._overdue = self._overdue, None
            return event
        return self._queue.popleft() if self._queue else None
