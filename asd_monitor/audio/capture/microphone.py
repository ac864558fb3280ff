"""A microphone that heals: the parent of the capture child, for ever.

All channels that are wanted come from one child, since a card can be opened only once.

The child (`asd_monitor.audio.capture.child`) may stall, spin, die or hear the wrong device.  Each
of these ends it: SIGKILL, an `Outage`, and another child after 0.5, 1, 2, 2, … s.

What was heard first is what is heard ever after: the same sound card behind a ``hw:``
number, the same source of a sound server.  While only another one is to be had, the outage
goes on; the wrong machine is never monitored.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import AsyncGenerator, Callable, Collection, Iterator

from asd_monitor.audio.capture.child_process import (
    CaptureChild,
    ChildEndedError,
    ChildStalledError,
    Hello,
)
from asd_monitor.audio.capture.planar import PlanarBlock, take_apart
from asd_monitor.audio.capture.routing_watch import FeedWatch
from asd_monitor.audio.capture.sample_clock import SampleClock
from asd_monitor.audio.devices.cards import Card, Cards
from asd_monitor.audio.devices.device_strings import DeviceKind, DeviceSpec
from asd_monitor.audio.devices.remedies import no_channel, not_there
from asd_monitor.audio.devices.sound_server import (
    Feed,
    NoSoundServerError,
    SoundServer,
    SoundServerQueryError,
)
from asd_monitor.audio.devices.target import DeviceUnavailableError, Target
from asd_monitor.audio.source import Event, Opened, Outage
from asd_monitor.audio.wire import Frame
from asd_monitor.records import MicrophoneState

START_S = 5.0
STALL_S = 3.0
BACKOFF_S = (0.5, 1.0, 2.0)
HELD_BY_KERNEL_S = 10.0
_FAULT = MicrophoneState.FAULT
_log = logging.getLogger(__name__)


class _ReopenError(Exception):
    """The device is there, and shall be opened at once in another way."""


class Microphone:
    """A source that never ends; see `Source`.

    `events` hears the channel of its device string.  `planes` hears all that are wanted of
    it (`want`), and is iterated in the place of `events`.
    """

    def __init__(
        self,
        spec: DeviceSpec,
        *,
        cards: Cards | None = None,
        notice: Callable[[str], None] = _log.warning,
    ) -> None:
        self.restarts = 0
        self.lost_samples = 0
        self.gaps = 0
        self._spec = spec
        self._notice = notice
        self._wanted = frozenset({spec.channel or 0})
        self._target = Target(spec, cards or Cards())
        self._server = SoundServer()
        self._source = spec.name if spec.kind is DeviceKind.PULSE else None  # of the server
        self._closed = asyncio.Event()
        self._started = asyncio.Event()  # no child is being started at the moment
        self._started.set()
        self._child: CaptureChild | None = None
        self._hello: Hello | None = None  # of the child that is heard
        self._stuck: CaptureChild | None = None  # killed, but held by the kernel
        self._clock: SampleClock | None = None  # since the first opening
        self._rate_hz: int | None = None  # as first opened
        self._channels: int | None = None  # as the sound server's source has; None: all
        self._end = 0  # of the last block handed on
        self._said_unasked = False

    @property
    def keeps_pace(self) -> bool:
        """Whether it has a pace of its own: the device's."""
        return True

    @property
    def drift_ppm(self) -> float:
        """By how much the device's clock is faster than ours."""
        return self._clock.drift_ppm if self._clock else 0.0

    def want(self, channels: Collection[int]) -> bool:
        """Hear these channels, counted from 0, at least one.

        Return whether the device is opened again for that: an outage, and a restart.  It is
        not for channels that the device has not, which are left out, nor to hear fewer.
        """
        self._wanted = frozenset(channels)
        return self._hello is not None and bool(self._lacking(self._hello))

    async def close(self) -> None:
        """Release the device; `events` or `planes` then ends.

        It may be called in any state and more than once, and returns within
        `HELD_BY_KERNEL_S`.  A capture child that is being started is ended as soon as it runs.
        """
        self._closed.set()
        self._server.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(HELD_BY_KERNEL_S):
                await self._started.wait()
                if self._child:
                    await self._child.end(HELD_BY_KERNEL_S)

    async def events(self) -> AsyncGenerator[Event]:
        """Iterate over the sound and its outages, for ever; see `Source`."""
        async with contextlib.aclosing(self.planes()) as planes:
            async for event in planes:
                if not isinstance(event, PlanarBlock):
                    yield event
                elif block := event.channel(self._spec.channel or 0):
                    yield block

    async def planes(self) -> AsyncGenerator[Opened | PlanarBlock | Outage]:
        """Iterate over the sound of the wanted channels and its outages, for ever.

        A block has those that the device has.  While it has none of them, that is an outage.
        """
        try:
            async with contextlib.aclosing(self._lives()) as lives:
                async for event in lives:
                    yield event
        finally:
            self._server.close()

    async def _lives(self) -> AsyncGenerator[Opened | PlanarBlock | Outage]:
        """One child after the other, until it is closed."""
        told: Outage | None = None
        tries = 0
        while not self._closed.is_set():
            try:
                async with contextlib.aclosing(self._life()) as life:
                    async for event in life:
                        if self._closed.is_set():
                            return
                        told, tries = None, 0
                        if isinstance(event, PlanarBlock):
                            self._count(event)
                        yield event
            except _ReopenError as reopening:
                if reopening.args and not self._closed.is_set():
                    told = reopening.args[0]
                    yield told
                continue
            except DeviceUnavailableError as away:
                if self._closed.is_set():
                    return
                if away.outage != told:
                    told = away.outage
                    yield told
            if self._closed.is_set():
                return
            if self._stuck:
                told = self._kernel_outage(self._stuck)
                yield told
                while not self._closed.is_set() and not await self._stuck.end(BACKOFF_S[-1]):
                    pass
                self._stuck = None
            await self._sleep(BACKOFF_S[min(tries, len(BACKOFF_S) - 1)])
            tries += 1

    def _count(self, block: PlanarBlock) -> None:
        if block.start > self._end:
            self.gaps += 1
            self.lost_samples += block.start - self._end
        self._end = block.end

    def _kernel_outage(self, child: CaptureChild) -> Outage:
        return Outage(
            f"{self._spec}: the kernel does not let go of it (process {child.pid} cannot be "
            "killed): unplug it, or restart the computer",
            _FAULT,
        )

    async def _sleep(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._closed.wait()

    def _lacking(self, hello: Hello) -> set[int]:
        """Return the wanted channels that another opening would bring."""
        most = hello.most if self._channels is None else self._channels
        return {each for each in self._wanted.difference(hello.sent) if each < most}

    async def _life(self) -> AsyncGenerator[Opened | PlanarBlock]:
        """One child, from its start to the error that ends it; `close` alone raises none."""
        card = self._target.find_card()
        request = {
            **self._target.request(card),
            "wanted": sorted(self._wanted),
            "rate_hz": self._rate_hz,
            "channels": self._channels,
        }
        # libpulse takes the source named here or none, where the PCM itself names none
        environment = {"PULSE_SOURCE": self._source} if self._source else {}
        self._started.clear()
        try:
            self._child = child = await CaptureChild.start(request, environment)
        finally:
            self._started.set()
        watching: asyncio.Task[None] | None = None
        try:
            if self._closed.is_set():
                return
            early = await self._first_frames(child)
            feed = await self._identify(child, card)
            if not child.hello.sent:
                reason = no_channel(self._wanted, child.hello.channels)
                raise DeviceUnavailableError(self._spec, reason, _FAULT)
            if self._lacking(child.hello):
                raise _ReopenError
            yield self._opened(child, card, feed)
            watch = None
            if feed:
                watch = FeedWatch(self._server, child.pid, feed.name)
                watching = asyncio.create_task(watch.run(), name="microphone.watch")
            async with contextlib.aclosing(self._blocks(child, early, watch)) as blocks:
                async for block in blocks:
                    yield block
        finally:
            if watching:
                watching.cancel()
            self._child = self._hello = None
            if not await child.end(HELD_BY_KERNEL_S):
                self._stuck = child

    async def _first_frames(self, child: CaptureChild) -> list[Frame]:
        try:
            return await child.frames(START_S)
        except ChildStalledError as error:
            reason = f"it gives no sound within {START_S:g} s: unplug it and plug it in again"
            raise DeviceUnavailableError(self._spec, reason, _FAULT) from error
        except ChildEndedError as error:
            raise await self._why_not(error) from error

    async def _why_not(self, error: ChildEndedError) -> DeviceUnavailableError:
        """Explain why the child could not open it; only a sound server knows its sources."""
        if self._spec.kind is not DeviceKind.PULSE or not error.absent:
            return self._target.why_not(error)
        try:
            names = [feed.name for feed in await self._server.sources()]
        except SoundServerQueryError as unasked:
            reason = f"{unasked}: is PulseAudio or PipeWire running for this user? ({error})"
            return DeviceUnavailableError(self._spec, reason)
        if self._spec.name in names:
            return self._target.why_not(error)
        others = [f"pulse:{name}" for name in names if not name.endswith(".monitor")]
        return DeviceUnavailableError(self._spec, not_there(others))

    async def _identify(self, child: CaptureChild, card: Card | None) -> Feed | None:
        """Return the sound server's source behind the child; None: no server is between."""
        if self._target.is_open_in(card, child.pid):
            return None
        try:
            feed = await self._server.feed_of(child.pid)
        except NoSoundServerError as error:
            if self._clock and self._source:
                reason = f"which microphone is heard cannot be told: {error}"
                raise DeviceUnavailableError(self._spec, reason, _FAULT) from error
            if self._spec.kind in (DeviceKind.PULSE, DeviceKind.DEFAULT):
                self._say_unasked(error)
            return None
        except SoundServerQueryError as error:
            reason = f"which microphone is heard cannot be told: {error}"
            raise DeviceUnavailableError(self._spec, reason, _FAULT) from error
        if feed and self._source not in (None, feed.name):
            raise DeviceUnavailableError(self._spec, self._instead(feed), _FAULT)
        if feed:
            self._take_shape(child, feed)
        return feed

    def _say_unasked(self, error: NoSoundServerError) -> None:
        if not self._said_unasked and not self._server.is_askable:
            self._said_unasked = True
            self._notice(f"{self._spec}: should it be moved to another microphone, {error}")

    def _instead(self, feed: Feed) -> str:
        return (
            f"the sound server gives {feed.name} ({feed.description}) instead of {self._source}: "
            "plug that in, or restart to hear this one"
        )

    def _take_shape(self, child: CaptureChild, feed: Feed) -> None:
        """Open a source as it is, for the server's own conversions change the sound."""
        if self._rate_hz is None and self._channels is None:
            if min(self._wanted) >= feed.channels:
                raise DeviceUnavailableError(
                    self._spec, no_channel(self._wanted, feed.channels), _FAULT
                )
            self._channels = feed.channels
            if (child.hello.rate_hz, child.hello.channels) != (feed.rate_hz, feed.channels):
                self._rate_hz = feed.rate_hz
                raise _ReopenError

    def _opened(self, child: CaptureChild, card: Card | None, feed: Feed | None) -> Opened:
        self._hello = hello = child.hello
        self._target.remember(card)
        self._rate_hz = hello.rate_hz
        self._source = feed.name if feed else self._source
        if self._clock:
            self._clock.reopened()
            self.restarts += 1
        else:
            self._clock = SampleClock(hello.rate_hz)
        name = f"{hello.name}: {feed.description}" if feed else hello.name
        return Opened(hello.rate_hz, hello.channels, name)

    async def _blocks(
        self, child: CaptureChild, early: list[Frame], watch: FeedWatch | None
    ) -> AsyncGenerator[PlanarBlock]:
        held: deque[Frame] = deque()
        frames = early
        while True:
            for block, time_ns in self._placed(frames, held):
                if watch:
                    watch.hold(block, time_ns)
                else:
                    yield block
            if watch:
                if watch.moved_to:
                    raise DeviceUnavailableError(self._spec, self._instead(watch.moved_to), _FAULT)
                if watch.is_unconfirmed:
                    reason = "the sound server does not answer which microphone this is"
                    raise DeviceUnavailableError(self._spec, reason, _FAULT)
                for block in watch.confirmed():
                    yield block
            try:
                frames = await child.frames(STALL_S)
            except ChildStalledError as error:
                reason = f"no sound for {STALL_S:g} s: if this goes on, unplug it and plug it in"
                raise DeviceUnavailableError(self._spec, reason, _FAULT) from error
            except ChildEndedError as error:
                reason = f"its stream broke off: was it unplugged? plug it in again ({error})"
                raise DeviceUnavailableError(self._spec, reason) from error
            if more := self._lacking(child.hello):
                told = " and ".join(map(str, sorted(more)))
                reason = f"{self._spec}: it is opened again, to hear channel {told} too"
                raise _ReopenError(Outage(reason, MicrophoneState.NO_DEVICE))

    def _placed(self, frames: list[Frame], held: deque[Frame]) -> Iterator[tuple[PlanarBlock, int]]:
        """Yield blocks and when they were read, as the clock lets them go."""
        if self._clock is None or self._hello is None:
            raise RuntimeError("not opened")
        sent = self._hello.sent
        for frame in frames:
            held.append(frame)
            for start in self._clock.push(frame.samples // len(sent), frame.time_ns):
                placed = held.popleft()
                if start is not None:
                    yield take_apart(placed, start, sent), placed.time_ns
