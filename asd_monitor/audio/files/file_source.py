"""A recording, or a folder of recordings, as a source."""

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
from asd_monitor.audio.files.recording_search import RecordingNotFoundError, find_recordings
from asd_monitor.audio.files.recordings import BY_DEVICE, RecordingReader
from asd_monitor.audio.source import Opened, Outage, SourceEvent
from asd_monitor.errors import OperationError, UsageError
from asd_monitor.records import Block, MicrophoneState, Stream

BLOCK_S = 0.1
RETRY_S = 2.0
R = TypeVar("R")
_log = logging.getLogger(__name__)
_BOUNDARY_SAMPLES = 1  # least gap between two files


class FileSource:
    """Source of a ``file:`` device; see `Source`.

    It delivers at ``speed`` times real time, or as fast as it is iterated at speed 0.  No sample is
    lost: a slow consumer delays the sound.  A recording whose sample rate differs from that of the
    first one is resampled.  A path that does not exist is an outage and tried again indefinitely; a
    file that cannot be read is an outage until the next file.
    """

    def __init__(
        self,
        spec: DeviceSpec,
        *,
        speed: float = 1.0,
        notice: Callable[[str], None] = _log.warning,
        other: str = BY_DEVICE,
        retry_s: float = RETRY_S,
    ) -> None:
        """``notice`` is called with lines for the user; ``other`` is that of `RecordingReader`.

        Raises:
            UsageError: the speed is negative or NaN.

        """
        if not speed >= 0.0:
            raise UsageError(f"speed {speed}: write 0 (as fast as possible) or more")
        self.lost_samples = 0
        self.gaps = 0
        self.restarts = 0
        self.drift_ppm = 0.0
        self._spec = spec
        self._speed = speed
        self._notice = notice
        self._other = other
        self._retry_s = retry_s
        self._closed = asyncio.Event()
        self._stream: Stream | None = None
        self._next = 0  # index of the next sample
        self._has_delivered = False
        self._is_out = False
        self._noticed: set[str] = set()
        self._due: float | None = None  # monotonic time of the next block
        # one thread: a file is never closed while it is read, and a folder that hangs, such as one
        # on a network, blocks this source only
        self._reading = ThreadPoolExecutor(1, thread_name_prefix="recording")

    @property
    def is_paced(self) -> bool:
        """Whether the source delivers at a rate of its own: not above real time."""
        return 0 < self._speed <= 1

    async def events(self) -> AsyncGenerator[SourceEvent]:
        """Iterate over openings, blocks and outages; see `Source`."""
        try:
            async with contextlib.aclosing(self._passes()) as passes:
                async for event in passes:
                    if self._closed.is_set():
                        return
                    yield event
        finally:
            self._reading.shutdown(wait=False)

    async def _passes(self) -> AsyncGenerator[SourceEvent]:
        while not self._closed.is_set():
            try:
                paths = await self._in_thread(find_recordings, self._spec.path)
            except (RecordingNotFoundError, OperationError) as error:
                if not self._is_out:
                    yield self._outage(str(error), MicrophoneState.NO_DEVICE)
                await self._sleep(self._retry_s)
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
        """End the iteration after the block that is being read; does not wait.

        May be called in any state and more than once.
        """
        self._closed.set()

    async def _in_thread(self, work: Callable[..., R], *arguments: object) -> R:
        """Run file access in the source's thread."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._reading, lambda: work(*arguments))

    def _outage(self, reason: str, state: MicrophoneState) -> Outage:
        self._is_out = True
        return Outage(reason, state)

    async def _play(self, path: Path) -> AsyncGenerator[SourceEvent]:
        open_reader = partial(RecordingReader, path, self._spec.channel, other=self._other)
        reader = await self._in_thread(open_reader)
        try:
            self._stream = stream = self._stream or Stream(reader.rate_hz)
            self._notice_new(reader, stream)
            if self._is_out or not self._has_delivered:
                self.restarts += self._has_delivered
                self._is_out = False
                yield Opened(stream, reader.channels, str(self._spec.path))
            base = self._next + (_BOUNDARY_SAMPLES if self._has_delivered else 0)
            blocks = reader.blocks_at(stream.rate_hz)
            while block := await self._in_thread(_next, blocks):
                for piece in self._pieces(Block(stream, base + block.start, block.samples)):
                    await self._pace(len(piece.samples) / stream.rate_hz)
                    if self._closed.is_set():
                        return
                    self.gaps += self._has_delivered and piece.start > self._next
                    self._has_delivered = True
                    self._next = piece.end
                    yield piece
            self._notice_new(reader, stream)
        finally:
            self._reading.submit(reader.close)  # after the read in progress

    def _notice_new(self, reader: RecordingReader, stream: Stream) -> None:
        """Pass on each kind of notice once, not for each of a thousand files."""
        for text in reader.notices:
            kind = text.removeprefix(f"{reader.path}: ")
            if kind not in self._noticed:
                self._noticed.add(kind)
                self._notice(text)
        if reader.rate_hz != stream.rate_hz and "rate" not in self._noticed:
            self._noticed.add("rate")
            self._notice(
                f"{reader.path}: {reader.rate_hz} Hz, resampled to the {stream.rate_hz} Hz "
                "of the first file"
            )

    def _pieces(self, block: Block) -> Iterator[Block]:
        size = len(block.samples)
        if self._speed:
            size = max(1, round(BLOCK_S * block.rate_hz * max(1.0, self._speed / 10)))
        for first in range(0, len(block.samples), size or 1):
            yield block.part(block.start + first, block.start + first + size)

    async def _pace(self, seconds: float) -> None:
        if not self._speed:
            return
        now = time.monotonic()
        if self._due is None or now - self._due > 1.0:  # a longer delay is not made up for
            self._due = now
        self._due += seconds / self._speed
        await self._sleep(self._due - now)

    async def _sleep(self, seconds: float) -> None:
        if seconds > 0:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._closed.wait()


def _next(blocks: Iterator[Block]) -> Block | None:
    return next(blocks, None)
