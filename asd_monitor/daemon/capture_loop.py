"""Capture of one machine's sound into a ring buffer, and the condition of its microphone."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from datetime import datetime

import structlog

from asd_monitor.audio.devices.device_strings import DeviceSpec
from asd_monitor.audio.files.levels import dbfs
from asd_monitor.audio.ring_buffer import RingBuffer
from asd_monitor.audio.sharing.server import PublishedChannel
from asd_monitor.audio.source import Opened, Outage, Source
from asd_monitor.daemon.machine_publisher import utc
from asd_monitor.daemon.stream_clock import Clocks, StreamClock
from asd_monitor.errors import UsageError
from asd_monitor.records import Block, MicrophoneState

log = structlog.get_logger()

_DEGRADED_LOSS = 1e-3  # lost fraction of the samples between two checks; more is `degraded`
_LEVEL_S = 0.1
_CHECK_S = 60.0  # from one check to the next: what may be lost in that time is `degraded` at once


class CaptureLoop:
    """Receives the blocks of a source into a ring buffer, independent of their evaluation.

    The ring is the only buffer between capture and evaluation.  If the evaluation is too slow, the
    oldest samples of a microphone are overwritten and counted; a recording waits instead.

    Args:
        machine: Id of the machine, for the log.
        device, source: What is captured.
        published_channel: Receives each block for other programs.
        clocks: System clocks.
        ring_s: Length of the ring buffer, in s.
        kept_s: Evaluated sound that a recording leaves in it, in s.
        throttle: Awaited before each block of a recording is written.
        on_change: Called when `microphone` or `reason` may have changed.
        on_due: Called when `is_due` has become true.

    """

    def __init__(
        self,
        machine: str,
        device: DeviceSpec,
        source: Source,
        published_channel: PublishedChannel,
        *,
        clocks: Clocks,
        ring_s: float,
        kept_s: float = 0.0,
        throttle: Callable[[], Awaitable[None]],
        on_change: Callable[[], object],
        on_due: Callable[[], None],
    ) -> None:
        self.device = device
        self.outage: Outage | None = Outage(f"opening {device}", MicrophoneState.NO_DEVICE)
        """The outage that lasts, or None."""
        self.outages: deque[int] = deque(maxlen=1000)
        """Sample indices at which outages began and that are not evaluated yet."""
        self.has_reported = False
        """Whether the source has delivered sound or reported an outage."""
        self.ended = False
        """Whether the source has ended, as a recording does."""
        self.is_throttled = False
        """Whether a recording waits until the broker has taken messages."""
        self.refusal: UsageError | None = None
        """Why a recording cannot be read at all."""
        self.ring: RingBuffer | None = None
        """The captured samples; None before the device was open for the first time."""
        self._source = source
        self._published_channel = published_channel
        self._clocks = clocks
        self._ring_s = ring_s
        self._kept_s = kept_s
        self._throttle = throttle
        self._on_change = on_change
        self._on_due = on_due
        self._log = log.bind(machine=machine)
        self._clock: StreamClock | None = None
        self._position = 0
        self._due_at = 1  # sample index from which on the sound is due
        self.dropped_outages = 0
        """Outages that were forgotten before they were evaluated, since there were too many."""
        self._released = asyncio.Event()
        self._checked_lost = 0
        self._checked_end = 0
        self._degraded: str | None = None

    async def run(self) -> None:
        """Capture until the source ends."""
        try:
            await self._source.run(self)
        except UsageError as refusal:
            self.refusal = refusal
            self.interrupted(Outage(str(refusal), MicrophoneState.FAULT))
        self.ended = True
        self._published_channel.opened = None
        self._on_due()

    async def close(self) -> None:
        """Release the device.

        May be called in any state and more than once; the source bounds its time.
        """
        await self._source.close()

    @property
    def is_due(self) -> bool:
        """Whether sound can be evaluated: a window may be complete, or the sound has ended."""
        if self.ring is None or self.ring.end <= self._position:
            return bool(self.outages)
        return self.ring.end >= self._due_at or bool(self.outages) or self.ended

    @property
    def rate_hz(self) -> int:
        """Sample rate; raises ValueError before the device was open for the first time."""
        if self.ring is None:
            raise ValueError(f"{self.device} is not open yet")
        return self.ring.stream.rate_hz

    @property
    def position(self) -> int:
        """Sample index up to which the sound is evaluated."""
        return self._position

    def release(self, position: int, missing: int) -> None:
        """Mark the sound before this sample index as evaluated; it may be overwritten.

        The next evaluation is due when ``missing`` further samples have been captured.
        """
        self._position = position
        self._due_at = position + max(1, missing)
        self._released.set()

    @property
    def microphone(self) -> MicrophoneState:
        """State of the microphone, except for a dead channel, which the monitor detects."""
        if self.outage is not None:
            return self.outage.state
        return MicrophoneState.DEGRADED if self._degraded else MicrophoneState.OK

    @property
    def reason(self) -> str | None:
        """Why the microphone is not `ok`."""
        return self.outage.reason if self.outage else self._degraded

    @property
    def backlog_s(self) -> float:
        """How long ago the next evaluation was due, in s; 0 for a recording at full speed."""
        if self.ring is None or not self._source.is_paced:
            return 0.0
        return max(0, self.ring.end - self._due_at) / self.rate_hz

    @property
    def level_dbfs(self) -> float | None:
        """Level of the newest tenth of a second, without its mean; None: there is no sound now."""
        ring = self.ring
        if ring is None or self.outage is not None or self.ended:
            return None
        newest = ring.newest_before(ring.end, round(_LEVEL_S * self.rate_hz))
        return None if newest is None else dbfs(float(newest.samples.std()))

    @property
    def is_paced(self) -> bool:
        """Whether the sound arrives at a speed of its own; not so for a recording at full speed."""
        return self._source.is_paced

    @property
    def captured_samples(self) -> int:
        """Samples that were captured, evaluated or not."""
        return self.ring.end - self._source.stream.lost_samples if self.ring else 0

    @property
    def lost_samples(self) -> int:
        """Samples that were not captured, or overwritten before they were evaluated."""
        return self._source.stream.lost_samples + self.overrun_samples

    @property
    def overrun_samples(self) -> int:
        """Samples that were overwritten before they were evaluated."""
        return self.ring.overrun_samples if self.ring else 0

    @property
    def clock_steps(self) -> int:
        """Observed steps of the system clock."""
        return self._clock.steps if self._clock else 0

    @property
    def gaps(self) -> int:
        """Discontinuities of the sample index."""
        return self._source.stream.gaps

    @property
    def restarts(self) -> int:
        """How often the device was opened again."""
        return self._source.stream.restarts

    @property
    def drift_ppm(self) -> float:
        """Deviation of the device's clock from the system clock, in ppm; positive: fast."""
        return self._source.drift_ppm

    def check_losses(self) -> None:
        """Update the state `degraded` from the losses since the last call or outage."""
        if self.ring is None or self.outage is not None:
            return
        lost, captured = self._newly_lost, self.ring.end - self._checked_end
        self._checked_lost, self._checked_end = self.lost_samples, self.ring.end
        self._degraded = None
        if lost > _DEGRADED_LOSS * captured:
            self._degraded = self._loss_reason(lost)

    @property
    def _newly_lost(self) -> int:
        """Samples lost since the last check or outage."""
        return self.lost_samples - self._checked_lost

    def _loss_reason(self, lost: int) -> str:
        return f"{lost / self.rate_hz:.2f} s of sound lost in the last minute"

    def time_of(self, sample: int) -> datetime:
        """Return the wall-clock time of a sample index; the present time before any sound."""
        return utc(self._clock.wall_s(sample) if self._clock else self._clocks.wall_s())

    def now(self) -> datetime:
        """Return the present time; for a recording, the time of its evaluated position."""
        if self.device.is_file:
            return self.time_of(self._position)
        return self.present_time()

    def present_time(self) -> datetime:
        """Return the present time, also for a recording: people name times by it."""
        return utc(self._clocks.wall_s())

    def opened(self, opened: Opened) -> None:
        """Take note of an opening of the source."""
        self._published_channel.opened = opened
        if self.ring is None:
            self.ring = RingBuffer(self._ring_s, opened.stream)
            if self.device.is_file:  # its first sample is captured now
                self._update_clock(0, opened.rate_hz)
        self._log.info(
            "capture started", device=opened.name, rate_hz=opened.rate_hz, channels=opened.channels
        )

    def write(self, block: Block) -> None:
        """Take a block of the source."""
        ring = self.ring
        if ring is None:
            raise ValueError(f"{self.device} delivered sound before it was open")
        ring.write(block)
        monotonic_s = self._update_clock(block.end, block.rate_hz)
        self._published_channel.send_block(block, monotonic_s)
        if self.outage is not None:
            self.outage, self.has_reported = None, True
            self._degraded = None
            # the samples lost in the outage are reported by it, not as `degraded`
            self._checked_lost, self._checked_end = self.lost_samples, block.start
            self._on_change()
        elif (
            self._degraded is None and self._newly_lost > _DEGRADED_LOSS * _CHECK_S * block.rate_hz
        ):
            self._degraded = self._loss_reason(self._newly_lost)
            self._checked_lost, self._checked_end = self.lost_samples, block.end
            self._on_change()
        if ring.end >= self._due_at:
            self._on_due()

    async def room(self, samples: int) -> None:
        """Wait until a recording's block can be written without a loss."""
        ring = self.ring
        while ring is not None and ring.room(self._kept_from) < min(samples, ring.capacity):
            self._due_at = 0  # the ring is shorter than what is missing
            self._on_due()
            self._released.clear()
            await self._released.wait()
        self.is_throttled = True
        await self._throttle()
        self.is_throttled = False

    @property
    def _kept_from(self) -> int:
        """Sample index from which on a recording must not be overwritten."""
        return max(0, self._position - round(self._kept_s * self.rate_hz))

    def interrupted(self, outage: Outage) -> None:
        """Take note of an outage of the source."""
        if self.outage is None or self.outage.reason != outage.reason:
            self._log.warning("no signal", reason=outage.reason, microphone=outage.state)
        self.outage, self.has_reported = outage, True
        self.dropped_outages += len(self.outages) == self.outages.maxlen
        self.outages.append(self.ring.end if self.ring else 0)
        self._published_channel.opened = None
        self._on_change()
        self._on_due()

    def _update_clock(self, sample: int, rate_hz: int) -> float:
        """Note that the samples before this index are captured; return the time, in s."""
        monotonic_s = self._clocks.monotonic_s()
        if self._clock is None:
            self._clock = StreamClock(rate_hz, recording=self.device.is_file)
        self._clock.update(sample, monotonic_s=monotonic_s, wall_s=self._clocks.wall_s())
        return monotonic_s
