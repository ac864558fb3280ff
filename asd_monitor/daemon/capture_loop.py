"""The listening half of a machine: source → ring, and how well the microphone hears."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime

import structlog

from asd_monitor.audio.devices.device_strings import DeviceSpec
from asd_monitor.audio.ring import Ring
from asd_monitor.audio.sharing.server import Outlet
from asd_monitor.audio.source import Opened, Outage, Source
from asd_monitor.daemon.machine_publisher import utc
from asd_monitor.daemon.stream_clock import StreamClock
from asd_monitor.errors import UsageError
from asd_monitor.records import Block, MicrophoneState

log = structlog.get_logger()

RING_S = 30.0
_LOST_SHARE = 1e-3  # of the sound since the last look; more is `degraded`


@dataclass(frozen=True, slots=True)
class Clocks:
    """Seconds of the two clocks that a daemon lives by."""

    monotonic_s: Callable[[], float] = time.monotonic
    wall_s: Callable[[], float] = time.time


class CaptureLoop:
    """Takes what the source gives and puts it into the ring, whatever else goes on.

    Who judges too slowly loses the oldest sound, which is counted; a recording waits instead.
    """

    def __init__(
        self,
        machine: str,
        device: DeviceSpec,
        source: Source,
        outlet: Outlet,
        *,
        clocks: Clocks,
        ease: Callable[[], Awaitable[None]],
        changed: Callable[[], object],
        news: Callable[[], None],
    ) -> None:
        """Call `changed` when `microphone` or `reason` may have, and `news` after any event."""
        self.device = device
        self.outage: Outage | None = Outage(f"opening {device}", MicrophoneState.NO_DEVICE)
        self.outages: deque[int] = deque(maxlen=1000)
        """Sample indices at which outages began, until the judge has taken note."""
        self.heard_something = False
        """Whether the source has told anything yet, be it why it gives nothing."""
        self.ended = False
        self.refusal: UsageError | None = None
        """Why a recording could not be heard at all."""
        self.ring: Ring | None = None
        self._source = source
        self._outlet = outlet
        self._clocks = clocks
        self._ease = ease
        self._changed = changed
        self._news = news
        self._log = log.bind(machine=machine)
        self._rate_hz: int | None = None
        self._clock: StreamClock | None = None
        self._position = 0
        self._taken = asyncio.Event()
        self._lost_before = 0
        self._heard_before = 0
        self._degraded: str | None = None

    async def run(self) -> None:
        """Hear until the source ends."""
        try:
            async with contextlib.aclosing(self._source.events()) as events:
                async for event in events:
                    match event:
                        case Block():
                            await self._take(event)
                        case Opened():
                            self._open(event)
                        case Outage():
                            self._lose(event)
                    self._news()
        except UsageError as refusal:
            self.refusal = refusal
            self._lose(Outage(str(refusal), MicrophoneState.FAULT))
        self.ended = True
        self._outlet.opened = None
        self._news()

    async def close(self) -> None:
        """Let go of the device."""
        await self._source.close()

    @property
    def rate_hz(self) -> int:
        """Rate of the sound; ValueError before the device was open for the first time."""
        if self._rate_hz is None:
            raise ValueError(f"{self.device} is not open yet")
        return self._rate_hz

    @property
    def position(self) -> int:
        """Sample index up to which all is judged."""
        return self._position

    def judged(self, position: int) -> None:
        """Take note that the sound before this sample index is not needed any more."""
        self._position = position
        self._taken.set()

    @property
    def microphone(self) -> MicrophoneState:
        """How the microphone does, but for a dead channel, which only the monitor sees."""
        if self.outage is not None:
            return self.outage.state
        return MicrophoneState.DEGRADED if self._degraded else MicrophoneState.OK

    @property
    def reason(self) -> str | None:
        """Why the microphone is not `ok`."""
        return self.outage.reason if self.outage else self._degraded

    @property
    def behind_s(self) -> float:
        """Seconds of sound that wait; 0 where they only wait since nobody keeps the pace."""
        if self.ring is None or not self._source.keeps_pace:
            return 0.0
        return (self.ring.capacity - self.ring.room(self._position)) / self.rate_hz

    @property
    def lost_samples(self) -> int:
        """Samples that nobody heard or judged."""
        return self._source.lost_samples + (self.ring.overrun_samples if self.ring else 0)

    @property
    def gaps(self) -> int:
        """Places where the sound does not join."""
        return self._source.gaps

    @property
    def restarts(self) -> int:
        """How often the device was opened again."""
        return self._source.restarts

    @property
    def drift_ppm(self) -> float:
        """By how much the device's clock is too fast."""
        return self._source.drift_ppm

    def check_losses(self) -> None:
        """Judge the losses since the last call, or since the last outage."""
        if self.ring is None or self.outage is not None:
            return
        lost, heard = self.lost_samples - self._lost_before, self.ring.end - self._heard_before
        self._lost_before, self._heard_before = self.lost_samples, self.ring.end
        self._degraded = None
        if lost > _LOST_SHARE * heard:
            self._degraded = f"{lost / self.rate_hz:.2f} s of sound were lost since the last look"

    def time_of(self, sample: int) -> datetime:
        """Return the wall-clock time of a sample; now, where there is no sound yet."""
        return utc(self._clock.wall_s(sample) if self._clock else self._clocks.wall_s())

    def now(self) -> datetime:
        """Return the time on this machine's clock; a recording has its own."""
        if self.device.is_file:
            return self.time_of(self._position)
        return utc(self._clocks.wall_s())

    def _open(self, opened: Opened) -> None:
        self._outlet.opened = opened
        if self.ring is None:
            self._rate_hz = opened.rate_hz
            self.ring = Ring(RING_S, opened.rate_hz)
        elif opened.rate_hz != self._rate_hz:
            raise ValueError(f"{self.device} came back with another rate: {opened.rate_hz} Hz")
        self._log.info(
            "listening", device=opened.name, rate_hz=opened.rate_hz, channels=opened.channels
        )

    async def _take(self, block: Block) -> None:
        ring = self.ring
        if ring is None:
            raise ValueError(f"{self.device} gave sound before it was open")
        if self.device.is_file:
            await self._wait_for_room(ring, len(block.samples))
        ring.write(block)
        monotonic_s = self._clocks.monotonic_s()
        if self._clock is None:
            self._clock = StreamClock(self.rate_hz, recording=self.device.is_file)
        # a recording's first sample sounds now; a microphone's last one just did
        index = block.start if self.device.is_file else block.end
        self._clock.arrived(index, monotonic_s=monotonic_s, wall_s=self._clocks.wall_s())
        self._outlet.hand_over(block, monotonic_s)
        if self.outage is not None:
            self.outage, self.heard_something = None, True
            self._degraded = None
            # what the outage cost is told by it, and is no loss while listening
            self._lost_before, self._heard_before = self.lost_samples, block.start
            self._changed()

    async def _wait_for_room(self, ring: Ring, samples: int) -> None:
        while ring.room(self._position) < min(samples, ring.capacity):
            self._taken.clear()
            await self._taken.wait()
        await self._ease()

    def _lose(self, outage: Outage) -> None:
        if self.outage is None or self.outage.reason != outage.reason:
            self._log.warning("nobody listens", reason=outage.reason, microphone=outage.state)
        self.outage, self.heard_something = outage, True
        self.outages.append(self.ring.end if self.ring else 0)
        self._outlet.opened = None
        self._changed()
