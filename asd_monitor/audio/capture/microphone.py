"""A sound device with all its channels: attempts to capture, repeated until it is closed.

All wanted channels come from one capture child, since a card can be opened only once.  The child
may stall, spin, crash or be routed to another device; each of these ends it by SIGKILL, is an
`Outage`, and is followed by another attempt after a pause.

While the device cannot be opened, the pauses are short: one that is plugged in is found within
2 s.  A device that opens and soon fails again is unstable: its pauses grow to a minute, until an
attempt has delivered for `CaptureTiming.stable_s`.  From the third failure of a row on, an
unstable device counts as open only after it has delivered for `CaptureTiming.probation_s`, so
that its state does not alternate; the sound before is lost.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Collection

from asd_monitor.audio.capture.capture_attempt import (
    CaptureAttempt,
    CaptureTiming,
    Closed,
    Reopen,
    Unavailable,
)
from asd_monitor.audio.capture.child_process import CaptureChild
from asd_monitor.audio.capture.input_identity import InputIdentity
from asd_monitor.audio.capture.planar import PlanarBlock, PlanarReceiver
from asd_monitor.audio.capture.sample_clock import SampleClock
from asd_monitor.audio.devices.cards import Cards
from asd_monitor.audio.devices.device_strings import DeviceSpec
from asd_monitor.audio.source import BLOCK_S, Opened, Outage
from asd_monitor.backoff import Backoff
from asd_monitor.records import MicrophoneState, Stream

_log = logging.getLogger(__name__)
_STABLE_FAILURES = 2  # of a row, after which a device is on probation


class Microphone:
    """A sound device; one stream, of which all channels have the same sample indices."""

    def __init__(
        self,
        spec: DeviceSpec,
        *,
        cards: Cards | None = None,
        notice: Callable[[str], None] = _log.warning,
        timing: CaptureTiming | None = None,
    ) -> None:
        """``notice`` is called with lines for the user that report no outage."""
        self._spec = spec
        self._timing = timing or CaptureTiming()
        self._wanted = frozenset({spec.channel or 0})
        self._block_s = BLOCK_S
        self._identity = InputIdentity(spec, cards or Cards(), notice)
        self._closed = asyncio.Event()
        self._attempt: CaptureAttempt | None = None
        self._clock: SampleClock | None = None  # since the first opening
        self._stream: Stream | None = None
        self._absent = Backoff(self._timing.pauses_s)
        self._unstable = Backoff(
            self._timing.unstable_pauses_s, reset_after_s=self._timing.stable_s
        )
        self._reported: Outage | None = None  # None: blocks were delivered since
        self._stuck: CaptureChild | None = None

    @property
    def drift_ppm(self) -> float:
        """Deviation of the device's sample clock in ppm; see `Source`."""
        return self._clock.drift_ppm if self._clock else 0.0

    def request(self, channels: Collection[int], block_s: float) -> bool:
        """Capture these channels, from 0, at least one, in blocks of this length in s.

        Return whether the device is opened again for a channel, which is an outage and a restart.
        Channels that the device does not have are omitted; fewer channels and another length are
        in use from the next opening on.
        """
        self._wanted, self._block_s = frozenset(channels), block_s
        if self._attempt is None:
            return False
        self._attempt.wanted = self._wanted
        return self._attempt.must_reopen

    async def close(self) -> None:
        """Release the device; `run` then ends.

        May be called in any state and more than once.  Returns within `CaptureTiming.release_s`.
        """
        self._closed.set()
        self._identity.close()
        if self._attempt:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._timing.release_s):
                    await self._attempt.close()

    async def run(self, receiver: PlanarReceiver) -> None:
        """Deliver openings, blocks of the wanted channels and outages, until `close`.

        A block contains the wanted channels that the device has.  A device that has none of them
        is an outage.
        """
        try:
            while not self._closed.is_set():
                pause_s = await self._attempt_once(receiver)
                if self._closed.is_set():
                    return
                if self._stuck is not None:
                    await self._wait_for_release(self._stuck, receiver)
                await self._pause(pause_s)
        finally:
            self._identity.close()

    async def _attempt_once(self, receiver: PlanarReceiver) -> float:
        """Capture once; return the pause before the next attempt, in s."""
        self._attempt = attempt = CaptureAttempt(
            self._identity, self._wanted, self._timing, self._start_clock, block_s=self._block_s
        )
        is_unstable = self._unstable.failures > _STABLE_FAILURES
        hold_s = self._timing.probation_s if is_unstable else 0.0
        delivery = _Delivery(receiver, hold_s)
        try:
            outcome = await attempt.run(delivery)
        finally:
            self._stuck = attempt.stuck_child or self._stuck
        if delivery.has_delivered:
            self._reported = None
        match outcome:
            case Closed():
                return 0.0
            case Reopen(outage):
                if outage is not None:
                    self._report(outage, receiver)
                return 0.0
            case Unavailable(outage):
                self._report(outage, receiver)
        if delivery.opened_s is None:
            return self._absent.delay_s()
        self._absent.reset()
        return self._unstable.delay_s(time.monotonic() - delivery.opened_s)

    def _report(self, outage: Outage, receiver: PlanarReceiver) -> None:
        if not self._closed.is_set() and outage != self._reported:
            self._reported = outage
            receiver.interrupted(outage)

    async def _wait_for_release(self, child: CaptureChild, receiver: PlanarReceiver) -> None:
        reason = (
            f"{self._spec}: the kernel does not release it (process {child.pid} cannot be "
            "killed): unplug it, or restart the computer"
        )
        self._report(Outage(reason, MicrophoneState.FAULT), receiver)
        while not self._closed.is_set() and not await child.end(self._absent.longest_s):
            pass
        self._stuck = None

    def _start_clock(self, rate_hz: int) -> tuple[Stream, SampleClock]:
        if self._stream is None or self._clock is None:
            self._stream, self._clock = Stream(rate_hz), SampleClock(rate_hz)
        else:
            self._clock.restart()
        return self._stream, self._clock

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._closed.wait()


class _Delivery:
    """Passes on what an attempt delivers, after a probation."""

    def __init__(self, receiver: PlanarReceiver, hold_s: float) -> None:
        self.opened_s: float | None = None
        """Monotonic time at which the device was opened; None: it was not."""
        self.has_delivered = False
        self._receiver = receiver
        self._hold_s = hold_s
        self._opened: Opened | None = None  # not passed on yet

    def opened(self, opened: Opened) -> None:
        self._opened, self.opened_s = opened, time.monotonic()

    def write(self, block: PlanarBlock) -> None:
        if self._opened is not None:
            if time.monotonic() - (self.opened_s or 0.0) < self._hold_s:
                return
            self._receiver.opened(self._opened)
            self._opened, self.has_delivered = None, True
        self._receiver.write(block)

    def interrupted(self, outage: Outage) -> None:
        self._receiver.interrupted(outage)
