"""A source of sound whose blocks, gaps and outages are given by the test."""

from __future__ import annotations

import asyncio
import functools

import numpy as np

from asd_monitor.audio.source import Opened, Outage, Receiver
from asd_monitor.audio.stream import StreamLifetime
from asd_monitor.records import Block, MicrophoneState, Samples, Stream

RATE_HZ = 16_000


@functools.lru_cache(maxsize=16)
def _noise(seed: int, count: int) -> np.ndarray:
    """Return white noise of unit RMS; many sources and tests play the same pieces."""
    return np.random.default_rng(seed).standard_normal(count)


class ScriptedSource:
    """Delivers what the test has queued; behaves as a microphone until `finish` is called."""

    def __init__(self, rate_hz: int = RATE_HZ) -> None:
        self.rate_hz = rate_hz
        self.identity = Stream(rate_hz)
        self.stream = StreamLifetime()
        self.drift_ppm = 0.0
        self.is_paced = True
        self.closed = False
        self.is_microphone = False
        """Whether blocks are written without waiting for room."""
        self.end = 0
        """Sample index after the newest queued sample."""
        self._events: asyncio.Queue[Opened | Block | Outage | Exception | None] = asyncio.Queue()

    def open(self) -> ScriptedSource:
        """Queue the opening of the device."""
        self._events.put_nowait(Opened(self.identity, 1, "scripted"))
        return self

    def play(self, seconds: float, level: float = 0.1, *, gap: int = 0) -> None:
        """Queue white noise of this RMS in blocks of 0.1 s, after a gap in samples."""
        self.end += gap
        count = round(seconds * self.rate_hz)
        self.play_samples((_noise(self.end, count) * level).astype(np.float32))

    def play_samples(self, sound: Samples) -> None:
        """Queue a sound in blocks of 0.1 s."""
        for first in range(0, len(sound), self.rate_hz // 10):
            part = sound[first : first + self.rate_hz // 10]
            self._events.put_nowait(Block(self.identity, self.end, part))
            self.end += len(part)

    def play_constant(self, seconds: float, value: float = 0.0) -> None:
        """Queue one block of a constant value, as a muted microphone delivers it."""
        count = round(seconds * self.rate_hz)
        self._events.put_nowait(Block(self.identity, self.end, np.full(count, value, np.float32)))
        self.end += count

    def interrupt(self, reason: str, state: MicrophoneState = MicrophoneState.NO_DEVICE) -> None:
        """Queue an outage."""
        self._events.put_nowait(Outage(reason, state))

    def fail(self, error: Exception) -> None:
        """Queue an exception that the iteration raises."""
        self._events.put_nowait(error)

    def finish(self) -> None:
        """Queue the end of the recording."""
        self._events.put_nowait(None)

    @property
    def delivered(self) -> bool:
        """Whether everything that was queued has been delivered."""
        return self._events.empty()

    async def run(self, receiver: Receiver) -> None:
        while (event := await self._events.get()) is not None:
            match event:
                case Exception():
                    raise event
                case Opened():
                    receiver.opened(event)
                case Block():
                    if not self.is_microphone:
                        await receiver.room(len(event.samples))
                    receiver.write(event)
                case Outage():
                    receiver.interrupted(event)
            if self._events.empty():
                await asyncio.sleep(0)

    async def close(self) -> None:
        self.closed = True
