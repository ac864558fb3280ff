"""A device of several channels whose openings, blocks and outages are given by the test."""

from __future__ import annotations

import asyncio
from collections.abc import Collection

import numpy as np
import numpy.typing as npt

from asd_monitor.audio.capture.planar import PlanarBlock, PlanarReceiver
from asd_monitor.audio.source import Opened, Outage
from asd_monitor.records import MicrophoneState
from tests.doubles.blocks import stream_at

RATE_HZ = 16_000
BLOCK = 1600
"""Samples of a block."""


class ScriptedMicrophone:
    """Stands in for `Microphone` behind a `SharedDevice`; implements `PlanarSource`.

    As the real one, it sends the channels that were wanted when it was opened, and reports that it
    must be opened again for others; the test then queues this outage and the opening.  Channel k
    plays `ramp`, which identifies channel and sample index.
    """

    def __init__(self, channels: int = 2) -> None:
        self.channels = channels
        self.drift_ppm = 12.0
        self.wanted: list[frozenset[int]] = []
        """The channels of each call of `request`."""
        self.block_s: list[float] = []
        """The length of blocks of each call of `request`."""
        self.closed = asyncio.Event()
        self.may_close = asyncio.Event()
        """`close` waits for it, as for a child that the kernel holds; set at first."""
        self.may_close.set()
        self.end = 0
        """Sample index after the newest queued sample."""
        self._sent: frozenset[int] | None = None
        self._events: asyncio.Queue[Opened | PlanarBlock | Outage | Exception | None]
        self._events = asyncio.Queue()

    def request(self, channels: Collection[int], block_s: float) -> bool:
        self.wanted.append(frozenset(channels))
        self.block_s.append(block_s)
        return self._sent is not None and bool(self._available() - self._sent)

    def _available(self) -> frozenset[int]:
        return self.wanted[-1] & frozenset(range(self.channels))

    def open(self) -> None:
        """Queue an opening, with the channels that are wanted now."""
        self._sent = self._available()
        self._events.put_nowait(Opened(stream_at(RATE_HZ), self.channels, "scripted"))

    def play(self, blocks: int = 1, *, gap: int = 0) -> None:
        """Queue blocks of the channels sent, after a gap in samples."""
        self.end += gap
        for _ in range(blocks):
            assert self._sent is not None
            channels = tuple(sorted(self._sent))
            rows = [ramp(each, self.end, self.end + BLOCK) for each in channels]
            self._events.put_nowait(PlanarBlock(self.end, channels, np.array(rows)))
            self.end += BLOCK

    def interrupt(self, reason: str, state: MicrophoneState = MicrophoneState.NO_DEVICE) -> None:
        """Queue an outage."""
        self._sent = None
        self._events.put_nowait(Outage(reason, state))

    def fail(self, error: Exception) -> None:
        """Queue an exception that the iteration raises."""
        self._events.put_nowait(error)

    async def run(self, receiver: PlanarReceiver) -> None:
        while (event := await self._events.get()) is not None:
            match event:
                case Exception():
                    raise event
                case Opened():
                    receiver.opened(event)
                case PlanarBlock():
                    receiver.write(event)
                case Outage():
                    receiver.interrupted(event)
            await asyncio.sleep(0)  # as a device, whose blocks do not come in one call

    async def close(self) -> None:
        await self.may_close.wait()
        self.closed.set()
        self._events.put_nowait(None)


def ramp(channel: int, start: int, end: int) -> npt.NDArray[np.float32]:
    """Return samples, (end − start,) float32, that identify their channel and sample index."""
    index = np.arange(start, end, dtype=np.float32)
    return (np.float32(channel) + index / np.float32(2**20)) / np.float32(16)
