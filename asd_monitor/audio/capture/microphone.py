"""A microphone as a source: attempts to capture, repeated until it is closed.

All wanted channels come from one capture child, since a card can be opened only once.  The child
may stall, spin, crash or be routed to another device; each of these ends it by SIGKILL, is an
`Outage`, and is followed by another attempt after a pause of 0.5, 1, 2, 2, … s.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Callable, Collection

from asd_monitor.audio.capture.capture_attempt import CaptureAttempt, CaptureTiming, ReopenError
from asd_monitor.audio.capture.child_process import CaptureChild
from asd_monitor.audio.capture.device_resolver import DeviceUnavailableError
from asd_monitor.audio.capture.input_identity import InputIdentity
from asd_monitor.audio.capture.planar import PlanarBlock
from asd_monitor.audio.capture.sample_clock import SampleClock
from asd_monitor.audio.devices.cards import Cards
from asd_monitor.audio.devices.device_strings import DeviceSpec
from asd_monitor.audio.source import CountedSource, Opened, Outage, SourceEvent
from asd_monitor.backoff import Backoff
from asd_monitor.records import MicrophoneState, Stream

_log = logging.getLogger(__name__)


class Microphone(CountedSource):
    """Source of one channel, or of several channels, of a sound device; see `Source`.

    `events` delivers the channel of the device string.  `planar_events`, iterated instead of
    `events`, delivers all the channels of `request_channels`.
    """

    def __init__(
        self,
        spec: DeviceSpec,
        *,
        cards: Cards | None = None,
        notice: Callable[[str], None] = _log.warning,
        timing: CaptureTiming | None = None,
    ) -> None:
        """``notice`` is called with lines for the user that report no outage."""
        super().__init__()
        self._end = 0  # sound lost before the first block counts
        self._spec = spec
        self._timing = timing or CaptureTiming()
        self._wanted = frozenset({spec.channel or 0})
        self._identity = InputIdentity(spec, cards or Cards(), notice)
        self._closed = asyncio.Event()
        self._attempt: CaptureAttempt | None = None
        self._clock: SampleClock | None = None  # since the first opening
        self._stream: Stream | None = None

    @property
    def is_paced(self) -> bool:
        """Whether the source delivers at a rate of its own: True, the device's."""
        return True

    @property
    def drift_ppm(self) -> float:
        """Deviation of the device's sample clock in ppm; see `Source`."""
        return self._clock.drift_ppm if self._clock else 0.0

    def request_channels(self, channels: Collection[int]) -> bool:
        """Capture these channels, from 0, at least one.

        Return whether the device is opened again for them, which is an outage and a restart.
        Channels that the device does not have are omitted; fewer channels are captured from the
        next opening on.
        """
        self._wanted = frozenset(channels)
        if self._attempt is None:
            return False
        self._attempt.wanted = self._wanted
        return self._attempt.must_reopen

    async def close(self) -> None:
        """Release the device; `events` or `planar_events` then ends.

        May be called in any state and more than once.  Returns within `CaptureTiming.release_s`.
        """
        self._closed.set()
        self._identity.close()
        if self._attempt:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._timing.release_s):
                    await self._attempt.close()

    async def events(self) -> AsyncGenerator[SourceEvent]:
        """Iterate over openings, blocks and outages, until `close`; see `Source`."""
        async with contextlib.aclosing(self.planar_events()) as events:
            async for event in events:
                if not isinstance(event, PlanarBlock):
                    yield event
                elif self._stream and (
                    block := event.channel(self._spec.channel or 0, self._stream)
                ):
                    yield block

    async def planar_events(self) -> AsyncGenerator[Opened | PlanarBlock | Outage]:
        """Iterate over openings, blocks of the wanted channels and outages, until `close`.

        A block contains the wanted channels that the device has.  A device that has none of them
        is an outage.
        """
        try:
            async with contextlib.aclosing(self._attempts()) as events:
                async for event in events:
                    yield event
        finally:
            self._identity.close()

    async def _attempts(self) -> AsyncGenerator[Opened | PlanarBlock | Outage]:
        reported: Outage | None = None
        stuck: CaptureChild | None = None
        backoff = Backoff(self._timing.pauses_s)
        while not self._closed.is_set():
            self._attempt = attempt = CaptureAttempt(
                self._identity, self._wanted, self._timing, self._start_clock
            )
            try:
                async with contextlib.aclosing(attempt.events()) as events:
                    async for event in events:
                        if self._closed.is_set():
                            return
                        reported = None
                        backoff.reset()
                        if isinstance(event, PlanarBlock):
                            self._count(event.start, event.end)
                        yield event
            except ReopenError as reopening:
                stuck = attempt.stuck_child or stuck
                if reopening.outage and not self._closed.is_set():
                    reported = reopening.outage
                    yield reported
                continue
            except DeviceUnavailableError as unavailable:
                if self._closed.is_set():
                    return
                if unavailable.outage != reported:
                    reported = unavailable.outage
                    yield reported
            if self._closed.is_set():
                return
            stuck = attempt.stuck_child or stuck
            if stuck:
                reported = self._not_released(stuck)
                yield reported
                while not self._closed.is_set() and not await stuck.end(backoff.longest_s):
                    pass
                stuck = None
            await self._pause(backoff.delay_s())

    def _start_clock(self, rate_hz: int) -> tuple[Stream, SampleClock]:
        if self._stream is None or self._clock is None:
            self._stream, self._clock = Stream(rate_hz), SampleClock(rate_hz)
        else:
            self._clock.restart()
            self.restarts += 1
        return self._stream, self._clock

    def _not_released(self, child: CaptureChild) -> Outage:
        return Outage(
            f"{self._spec}: the kernel does not release it (process {child.pid} cannot be "
            "killed): unplug it, or restart the computer",
            MicrophoneState.FAULT,
        )

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._closed.wait()
