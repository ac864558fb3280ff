"""One attempt to capture: the capture child from its start to the error that ends it."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from asd_monitor.audio.capture.child_process import (
    CaptureChild,
    ChildEndedError,
    ChildStalledError,
)
from asd_monitor.audio.capture.child_protocol import StreamFormat
from asd_monitor.audio.capture.device_resolver import DeviceUnavailableError
from asd_monitor.audio.capture.input_identity import InputIdentity
from asd_monitor.audio.capture.planar import PlanarBlock, PlanarReceiver, deinterleave
from asd_monitor.audio.capture.routing_watch import RoutingWatch
from asd_monitor.audio.capture.sample_clock import SampleClock
from asd_monitor.audio.devices.remedies import no_channel
from asd_monitor.audio.source import BLOCK_S, Opened, Outage
from asd_monitor.audio.wire import Frame
from asd_monitor.backoff import doubling
from asd_monitor.records import MicrophoneState, Stream

_FAULT = MicrophoneState.FAULT


@dataclass(frozen=True, slots=True)
class CaptureTiming:
    """Time limits and pauses of a capture, in s."""

    opening_s: float = 20.0  # from the start of the child until it has opened the device
    start_s: float = 5.0  # from then to its first frame
    stall_s: float = 3.0  # from one frame to the next
    release_s: float = 10.0  # until a killed child is gone; the kernel may hold it
    pauses_s: tuple[float, ...] = (0.5, 1.0, 2.0)  # while the device cannot be opened
    unstable_pauses_s: tuple[float, ...] = doubling(0.5, 15.0)  # after attempts that opened it
    stable_s: float = 60.0  # an attempt that delivered this long begins the pauses anew
    probation_s: float = 5.0  # an unstable device must deliver this long before it counts as open


@dataclass(frozen=True, slots=True)
class Closed:
    """The attempt was closed."""


@dataclass(frozen=True, slots=True)
class Reopen:
    """The device is to be opened again at once, with another request."""

    outage: Outage | None = None  # to be reported; None: nothing was delivered yet


@dataclass(frozen=True, slots=True)
class Unavailable:
    """The device cannot be opened, or delivers no sound any more."""

    outage: Outage


AttemptOutcome = Closed | Reopen | Unavailable


class CaptureAttempt:
    """One run of the capture child; `run` is called once."""

    def __init__(
        self,
        identity: InputIdentity,
        wanted: frozenset[int],
        timing: CaptureTiming,
        start_clock: Callable[[int], tuple[Stream, SampleClock]],
        *,
        block_s: float = BLOCK_S,
    ) -> None:
        """``start_clock`` is called with the rate in Hz when the device is open.

        It returns the stream, the same one for each rate, and its clock.  ``block_s`` is the
        length of a block, in s.
        """
        self.wanted = wanted
        """Channels to capture; the attempt ends if the device must be opened again for them."""
        self.stuck_child: CaptureChild | None = None
        """The child, if it could not be ended within the limit."""
        self._identity = identity
        self._spec = identity.spec
        self._timing = timing
        self._start_clock = start_clock
        self._block_s = block_s
        self._format: StreamFormat | None = None  # while the stream is open
        self._child: CaptureChild | None = None
        self._is_closed = False
        self._is_started = asyncio.Event()  # no child is being started at present
        self._is_started.set()

    @property
    def must_reopen(self) -> bool:
        """Whether the device is open without a wanted channel that it has."""
        return self._format is not None and bool(self._missing(self._format))

    async def close(self) -> None:
        """End the child; `run` then returns.  A child that is being started ends when it runs.

        May be called in any state and more than once.  Returns within `CaptureTiming.release_s`
        of the start of the child.
        """
        self._is_closed = True
        await self._is_started.wait()
        if self._child:
            await self._child.end(self._timing.release_s)

    async def run(self, receiver: PlanarReceiver) -> AttemptOutcome:
        """Capture until the stream ends; return why it has ended.

        Errors of the receiver are raised.
        """
        try:
            outcome = await self._run(receiver)
        except DeviceUnavailableError as unavailable:
            outcome = Unavailable(unavailable.outage)
        return Closed() if self._is_closed else outcome

    async def _run(self, receiver: PlanarReceiver) -> AttemptOutcome:
        card = self._identity.find_card()
        request = self._identity.request(card, self.wanted)._replace(block_s=self._block_s)
        self._is_started.clear()
        try:
            child = await CaptureChild.start(request, self._identity.environment)
            self._child = child
        finally:
            self._is_started.set()
        watching: asyncio.Task[None] | None = None
        try:
            if self._is_closed:
                return Closed()
            received = await self._first_frames(child)
            source = await self._identity.verify(child.pid, card)
            if source and self._identity.adopt_format(source, child.format, self.wanted):
                return Reopen()
            if not child.format.sent_channels:
                reason = no_channel(self.wanted, child.format.channels)
                return Unavailable(Outage(f"{self._spec}: {reason}", _FAULT))
            if self._missing(child.format):
                return Reopen()
            self._format = child.format
            self._identity.pin(card, source, child.format.rate_hz)
            stream, clock = self._start_clock(child.format.rate_hz)
            name = child.format.name
            receiver.opened(
                Opened(
                    stream,
                    child.format.channels,
                    f"{name}: {source.description}" if source else name,
                )
            )
            watch = None
            if source:
                watch = self._identity.watch(child.pid, source)
                watching = asyncio.create_task(watch.run(), name="microphone.watch")
            placement = _Placement(clock, child.format.sent_channels)
            return await self._deliver(receiver, child, received, placement, watch)
        finally:
            if watching:
                watching.cancel()
            self._child = self._format = None
            if not await child.end(self._timing.release_s):
                self.stuck_child = child

    def _missing(self, opened: StreamFormat) -> set[int]:
        """Return the wanted channels that are not sent, and that the device has."""
        available = (
            opened.max_channels if self._identity.channels is None else self._identity.channels
        )
        return {each for each in self.wanted.difference(opened.sent_channels) if each < available}

    async def _first_frames(self, child: CaptureChild) -> list[Frame]:
        limit_s = self._timing.opening_s
        try:
            await child.opened(limit_s)  # which takes seconds where the computer is busy
        except ChildStalledError as error:
            reason = f"not opened within {limit_s:g} s: unplug it and plug it in again"
            raise DeviceUnavailableError(self._spec, reason, _FAULT) from error
        except ChildEndedError as error:
            raise await self._identity.explain(error) from error
        limit_s = self._timing.start_s
        try:
            return await child.frames(limit_s)
        except ChildStalledError as error:
            reason = f"no sound within {limit_s:g} s of opening: unplug it and plug it in again"
            raise DeviceUnavailableError(self._spec, reason, _FAULT) from error
        except ChildEndedError as error:
            raise await self._identity.explain(error) from error

    async def _deliver(
        self,
        receiver: PlanarReceiver,
        child: CaptureChild,
        received: list[Frame],
        placement: _Placement,
        watch: RoutingWatch | None,
    ) -> AttemptOutcome:
        frames = received
        while not self._is_closed:
            received_ns = time.monotonic_ns()
            for block in placement.place(frames):
                if watch:
                    watch.hold(block, received_ns)
                else:
                    receiver.write(block)
            if watch:
                if watch.moved_to:
                    raise self._identity.mismatch(watch.moved_to)
                if watch.is_unconfirmed:
                    reason = (
                        "the sound server does not confirm which microphone delivers the sound: "
                        "restart the sound server"
                    )
                    raise DeviceUnavailableError(self._spec, reason, _FAULT)
                for block in watch.confirmed():
                    receiver.write(block)
            frames = await self._next_frames(child)
            if missing := self._missing(child.format):
                channels = " and ".join(map(str, sorted(missing)))
                reason = f"{self._spec}: opened again to add channel {channels}"
                return Reopen(Outage(reason, MicrophoneState.NO_DEVICE))
        return Closed()

    async def _next_frames(self, child: CaptureChild) -> list[Frame]:
        limit_s = self._timing.stall_s
        try:
            return await child.frames(limit_s)
        except ChildStalledError as error:
            reason = f"no sound for {limit_s:g} s: if this persists, unplug it and plug it in again"
            raise DeviceUnavailableError(self._spec, reason, _FAULT) from error
        except ChildEndedError as error:
            reason = f"the stream ended: if it was unplugged, plug it in again ({error})"
            raise DeviceUnavailableError(self._spec, reason) from error


class _Placement:
    """Frames in the order received → blocks at the sample indices of the clock."""

    def __init__(self, clock: SampleClock, channels: tuple[int, ...]) -> None:
        self._clock = clock
        self._channels = channels
        self._held: deque[Frame] = deque()

    def place(self, frames: list[Frame]) -> Iterator[PlanarBlock]:
        """Yield the blocks that the clock releases."""
        for frame in frames:
            self._held.append(frame)
            samples = frame.samples // len(self._channels)
            for start in self._clock.push(samples, frame.time_ns):
                placed = self._held.popleft()
                if start is not None:
                    yield deinterleave(placed, start, self._channels)
