"""One device used by several machines, one channel each: opened once, distributed to all.

    device ── capture child ── Microphone ─┬─ ChannelSource, channel 0
                                           └─ ChannelSource, channel 1

The device is opened when the first source is run, and released when the last one is closed.  A
source that attaches while the device is open starts at the sample index that the others have
reached.  If its channel is not captured yet, the device is opened again, which is an outage for
all.  A source that detaches does not affect the others; its channel is captured until the device
is opened again.

A block goes from the device to the receiver of each source within one call; nothing is queued.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Protocol

from asd_monitor.audio.capture.planar import PlanarBlock, PlanarReceiver
from asd_monitor.audio.devices.device_strings import DeviceSpec
from asd_monitor.audio.devices.remedies import no_channel
from asd_monitor.audio.source import BLOCK_S, Opened, Outage, Receiver
from asd_monitor.audio.stream import StreamLifetime, StreamState
from asd_monitor.records import MicrophoneState

RELEASE_LIMIT_S = 15.0  # longer than a microphone needs whose child the kernel holds
_CANCEL_LIMIT_S = 1.0
_log = logging.getLogger(__name__)


class PlanarSource(Protocol):
    """Interface of a `Microphone` for a `SharedDevice`; see there."""

    @property
    def drift_ppm(self) -> float:
        """Deviation of the device's sample clock in ppm."""

    def request(self, channels: Collection[int], block_s: float) -> bool:
        """Capture these channels in blocks of this length; return whether it is opened again."""

    async def run(self, receiver: PlanarReceiver) -> None:
        """Deliver openings, blocks of the requested channels and outages, until `close`."""

    async def close(self) -> None:
        """Release the device; `run` then ends."""


class SharedDevice:
    """A device and the sources attached to it.

    It owns the task that captures, which ends with the last source; see `detach` for the limit.
    """

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
        self.block_s = BLOCK_S
        """Length of the blocks from the next opening on, in s."""
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
        if source.stream.is_ending:
            return
        self._sources.append(source)
        wanted = self.expected_channels | {each.channel for each in self._sources}
        if self._capture is None or self._microphone is None:
            self._microphone = microphone = self._open_microphone()
            microphone.request(wanted, self.block_s)
            self._latest = None
            self._capture = asyncio.create_task(microphone.run(self), name=f"capture {self.spec}")
            self._capture.add_done_callback(self._on_capture_end)
        elif not self._microphone.request(wanted, self.block_s):
            match self._latest:
                case Opened() as opened:
                    source.device_opened(opened)
                case Outage() as outage:
                    source.device_interrupted(outage)

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

    def opened(self, opened: Opened) -> None:
        """Pass an opening to every source."""
        self._latest = opened
        for source in self._sources:
            source.device_opened(opened)

    def write(self, block: PlanarBlock) -> None:
        """Pass its channel of a block to every source."""
        for source in self._sources:
            source.write(block)

    def interrupted(self, outage: Outage) -> None:
        """Pass an outage to every source."""
        self._latest = outage
        for source in self._sources:
            source.device_interrupted(outage)

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

    def _on_capture_end(self, capture: asyncio.Task[None]) -> None:
        """Raise in all sources if the capture ended by itself, which is a defect."""
        error = None if capture.cancelled() else capture.exception()
        if capture is self._capture:
            self._capture = None
            for source in self._sources:
                source.fail(error or RuntimeError(f"{self.spec}: its capture ended"))
            self._sources.clear()


class ChannelSource:
    """One channel of a shared device as a source; see `Source`."""

    def __init__(self, device: SharedDevice, spec: DeviceSpec) -> None:
        """`spec` is that of the device, with the channel."""
        self.channel = spec.channel or 0
        self.stream = StreamLifetime()
        self._device = device
        self._spec = spec
        self._receiver: Receiver | None = None
        self._error: BaseException | None = None
        self._ended = asyncio.Event()

    @property
    def is_paced(self) -> bool:
        """Whether the source delivers at a rate of its own: True, the device's."""
        return True

    @property
    def drift_ppm(self) -> float:
        """Deviation of the device's sample clock in ppm; see `Source`."""
        return self._device.drift_ppm

    async def run(self, receiver: Receiver) -> None:
        """Deliver the channel until `close`; see `Source`."""
        self._receiver = receiver
        try:
            await self._device.attach(self)
            if not self.stream.is_ending:
                await self._ended.wait()
            if self._error is not None:
                raise self._error
        finally:
            await self._device.detach(self)
            self.stream.release(time.monotonic())

    async def close(self) -> None:
        """Detach from the device; `run` then ends.

        May be called in any state and more than once.  For the last source of a device it returns
        when the device is released; see `SharedDevice.detach` for the limit.
        """
        self.stream.close(time.monotonic())
        self._ended.set()
        await self._device.detach(self)

    def device_opened(self, opened: Opened) -> None:
        """Take note of an opening of the device, which may lack this channel."""
        if self._receiver is None or self.stream.is_ending:
            return
        if self.channel >= opened.channels:
            reason = f"{self._spec}: {no_channel((self.channel,), opened.channels)}"
            self.device_interrupted(Outage(reason, MicrophoneState.FAULT))
            return
        stream = self.stream.open(opened.rate_hz, time.monotonic())
        self._receiver.opened(replace(opened, stream=stream))

    def write(self, block: PlanarBlock) -> None:
        """Pass on this channel of a block of the device."""
        stream, receiver = self.stream, self._receiver
        if stream.state is not StreamState.DELIVERING or not stream.identity or receiver is None:
            return
        own = block.channel(self.channel, stream.identity)
        if own is not None:
            stream.count(own.start, own.end)
            receiver.write(own)

    def device_interrupted(self, outage: Outage) -> None:
        """Take note of an outage of the device."""
        if self._receiver is not None and not self.stream.is_ending:
            self.stream.interrupt(time.monotonic())
            self._receiver.interrupted(outage)

    def fail(self, error: BaseException) -> None:
        """Raise this error from `run`."""
        self._error = error
        self._ended.set()
