"""A recording, or a folder of them, as a source of sound that keeps its own clock's pace."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TypeVar

from asd_monitor.audio.devices.device_strings import DeviceSpec
from asd_monitor.audio.files.recordings import (
    BY_DEVICE,
    AbsentRecordingError,
    RecordingReader,
    find_recordings,
)
from asd_monitor.audio.source import Event, Opened, Outage
from asd_monitor.dsp.resampling import Resampler
from asd_monitor.errors import OperationError, UsageError
from asd_monitor.records import Block, MicrophoneState

BLOCK_S = 0.1
RETRY_S = 2.0
R = TypeVar("R")
_log = logging.getLogger(__name__)
_BOUNDARY_SAMPLES = 1  # enough that two files never join


class FileSource:
    """Plays ``file:`` devices: speed 1 as a microphone would, 2 twice as fast, 0 unpaced.

    At speed 0 it is as fast as whoever iterates.  Nothing is ever lost: a slow consumer
    makes the sound late.  A file whose rate differs from the first one's is resampled.
    A path that is not there is an outage, and tried again for ever; a file that cannot
    be read is an outage until the next one.
    """

    def __init__(
        self,
        spec: DeviceSpec,
        *,
        speed: float = 1.0,
        notice: Callable[[str], None] = _log.warning,
        other: str = BY_DEVICE,
    ) -> None:
        """``other`` tells people how to choose another channel than the first."""
        if not speed >= 0.0:
            raise UsageError(f"speed {speed}: it must be 0 (as fast as it goes) or more")
        self.lost_samples = 0
        self.gaps = 0
        self.restarts = 0
        self.drift_ppm = 0.0
        self._spec = spec
        self._speed = speed
        self._notice = notice
        self._other = other
        self._closed = asyncio.Event()
        self._rate_hz = 0
        self._next = 0  # index of the next sample
        self._heard_any = False
        self._out = False
        self._told: set[str] = set()
        self._due: float | None = None  # when the next block is, by the monotonic clock
        # one thread: a file is never closed while it is read, and a folder that hangs, as one
        # on a network can, holds up this source alone
        self._reading = ThreadPoolExecutor(1, thread_name_prefix="recording")

    @property
    def keeps_pace(self) -> bool:
        """Whether it has a pace of its own: faster than sound it may be late."""
        return 0 < self._speed <= 1

    async def events(self) -> AsyncGenerator[Event]:
        """Iterate over the sound; see `Source`."""
        try:
            async with contextlib.aclosing(self._passes()) as passes:
                async for event in passes:
                    if self._closed.is_set():
                        return
                    yield event
        finally:
            self._reading.shutdown(wait=False)

    async def _passes(self) -> AsyncGenerator[Event]:
        while not self._closed.is_set():
            try:
                paths = await self._read(find_recordings, self._spec.path)
            except (AbsentRecordingError, OperationError) as error:
                if not self._out:
                    yield self._outage(str(error), MicrophoneState.NO_DEVICE)
                await self._sleep(RETRY_S)
                continue
            refusals = []
            for path in paths:
                try:
                    async with contextlib.aclosing(self._play(path)) as played:
                        async for event in played:
                            yield event
                except (UsageError, OperationError) as error:
                    refusals.append(str(error))
                    yield self._outage(str(error), MicrophoneState.FAULT)
                if self._closed.is_set():
                    return
            if len(refusals) == len(paths):
                raise UsageError(refusals[0])
            if not self._spec.loop:
                return

    async def close(self) -> None:
        """End the iteration after the block that is being read; nothing is waited for.

        It may be called in any state and more than once.
        """
        self._closed.set()

    async def _read(self, work: Callable[..., R], *arguments: object) -> R:
        """Do something with the files in the source's thread."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._reading, lambda: work(*arguments))

    def _outage(self, reason: str, state: MicrophoneState) -> Outage:
        self._out = True
        return Outage(reason, state)

    async def _play(self, path: Path) -> AsyncGenerator[Event]:
        open_reader = partial(RecordingReader, path, self._spec.channel, other=self._other)
        reader = await self._read(open_reader)
        try:
            self._rate_hz = self._rate_hz or reader.rate_hz
            self._tell(reader)
            if self._out or not self._heard_any:
                self.restarts += self._heard_any
                self._out = False
                yield Opened(self._rate_hz, reader.channels, str(self._spec.path))
            base = self._next + (_BOUNDARY_SAMPLES if self._heard_any else 0)
            blocks = _at_rate(reader, self._rate_hz)
            while block := await self._read(_next, blocks):
                for piece in self._pieces(Block(base + block.start, block.samples)):
                    await self._pace(len(piece.samples))
                    if self._closed.is_set():
                        return
                    self.gaps += self._heard_any and piece.start > self._next
                    self._heard_any = True
                    self._next = piece.end
                    yield piece
            self._tell(reader)
        finally:
            self._reading.submit(reader.close)  # after what is being read

    def _tell(self, reader: RecordingReader) -> None:
        """Tell each kind of notice once, not for each of a thousand files."""
        for text in reader.notices:
            kind = text.removeprefix(f"{reader.path}: ")
            if kind not in self._told:
                self._told.add(kind)
                self._notice(text)
        if reader.rate_hz != self._rate_hz and "rate" not in self._told:
            self._told.add("rate")
            self._notice(
                f"{reader.path}: {reader.rate_hz} Hz, resampled to the {self._rate_hz} Hz "
                "of the first file"
            )

    def _pieces(self, block: Block) -> Iterator[Block]:
        size = len(block.samples)
        if self._speed:
            size = max(1, round(BLOCK_S * self._rate_hz * max(1.0, self._speed / 10)))
        for first in range(0, len(block.samples), size or 1):
            yield Block(block.start + first, block.samples[first : first + size])

    async def _pace(self, samples: int) -> None:
        if not self._speed:
            return
        now = time.monotonic()
        if self._due is None or now - self._due > 1.0:  # a slow consumer is not chased
            self._due = now
        self._due += samples / self._rate_hz / self._speed
        await self._sleep(self._due - now)

    async def _sleep(self, seconds: float) -> None:
        if seconds > 0:
            try:
                async with asyncio.timeout(seconds):
                    await self._closed.wait()
            except TimeoutError:
                pass


def _next(blocks: Iterator[Block]) -> Block | None:
    return next(blocks, None)


def _at_rate(reader: RecordingReader, rate_hz: int) -> Iterator[Block]:
    """Yield the recording at this rate; its gaps stay."""
    if reader.rate_hz == rate_hz:
        yield from reader.blocks()
        return
    resampler = Resampler(reader.rate_hz, rate_hz)
    heard_to = position = 0
    for block in reader.blocks():
        if block.start != heard_to:
            rest = resampler.flush()
            yield Block(position, rest)
            position += len(rest) + _BOUNDARY_SAMPLES
            position = max(position, round(block.start * rate_hz / reader.rate_hz))
        heard_to = block.end
        made = resampler.push(block.samples)
        yield Block(position, made)
        position += len(made)
    yield Block(position, resampler.flush())
