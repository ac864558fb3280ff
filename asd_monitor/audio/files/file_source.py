"""A recording, or a folder of recordings, as a source."""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from asd_monitor.audio.devices.device_strings import DeviceSpec
from asd_monitor.audio.files.recording_search import RecordingNotFoundError, search_recordings
from asd_monitor.audio.files.recordings import BY_DEVICE, READ_S, RecordingReader
from asd_monitor.audio.source import BLOCK_S, Opened, Outage, Receiver
from asd_monitor.audio.stream import StreamLifetime, StreamState
from asd_monitor.errors import OperationError, UsageError
from asd_monitor.records import Block, MicrophoneState, Stream
from asd_monitor.worker_thread import WorkerThread

RETRY_S = 2.0
R = TypeVar("R")
_log = logging.getLogger(__name__)
_BOUNDARY_SAMPLES = 1  # least gap between two files
_AHEAD_S = 1.0  # read at once
_LATE_S = 1.0  # a longer delay is not made up for


class FileSource:
    """Source of a ``file:`` device; see `Source`.

    It delivers at ``speed`` times real time, or as fast as the receiver has room at speed 0.  No
    sample is lost: a slow receiver delays the sound.  A recording whose sample rate differs from
    that of the first one is resampled.  A path that does not exist is an outage and tried again
    indefinitely; a file that cannot be read is an outage until the next file.

    File access runs in a thread of the source: one that hangs (a FIFO, a folder on a network)
    delays neither `close` nor the end of the process.
    """

    def __init__(
        self,
        spec: DeviceSpec,
        *,
        speed: float = 1.0,
        block_s: float = BLOCK_S,
        notice: Callable[[str], None] = _log.warning,
        other: str = BY_DEVICE,
        retry_s: float = RETRY_S,
    ) -> None:
        """``notice`` is called with lines for the user; ``other`` is that of `RecordingReader`.

        ``block_s`` is the length of a block in s, longer above ten times real time.

        Raises:
            UsageError: the speed is negative or NaN.

        """
        if not speed >= 0.0:
            raise UsageError(f"speed {speed}: write 0 (as fast as possible) or more")
        self.stream = StreamLifetime()
        self.drift_ppm = 0.0
        self._spec = spec
        self._speed = speed
        self._block_s = block_s * max(1.0, speed / 10) if speed else READ_S
        self._notice = notice
        self._other = other
        self._retry_s = retry_s
        self._next = 0  # index of the next sample
        self._has_delivered = False
        self._noticed: set[str] = set()
        self._due_s: float | None = None  # monotonic time of the next block
        self._waiting: asyncio.Future[Any] | None = None  # which `close` settles with None
        self._reading = WorkerThread(f"read {spec}")

    @property
    def is_paced(self) -> bool:
        """Whether the source delivers at a rate of its own: not above real time."""
        return 0 < self._speed <= 1

    async def run(self, receiver: Receiver) -> None:
        """Deliver the recordings; see `Source`."""
        try:
            await self._repeat(receiver)
        finally:
            self._reading.close()
            self.stream.release(time.monotonic())

    async def close(self) -> None:
        """End `run` before the next block, without waiting for file access.

        May be called in any state and more than once.
        """
        self.stream.close(time.monotonic())
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    async def _repeat(self, receiver: Receiver) -> None:
        while not self.stream.is_ending:
            try:
                found = await self._in_thread(partial(search_recordings, self._spec.path))
            except (RecordingNotFoundError, OperationError) as error:
                if self.stream.state is not StreamState.INTERRUPTED:
                    self._interrupt(receiver, str(error), MicrophoneState.NO_DEVICE)
                await self._sleep(self._retry_s)
                continue
            if found is None:
                return
            self._pass_on(found.notices)
            refusals = []
            for path in found.paths:
                refusal = await self._play(path, receiver)
                if self.stream.is_ending:
                    return
                if refusal is not None:
                    refusals.append(refusal)
                    self._interrupt(receiver, refusal, MicrophoneState.FAULT)
            if len(refusals) == len(found.paths):
                raise UsageError(refusals[0])
            if not self._spec.loop:
                return

    def _interrupt(self, receiver: Receiver, reason: str, state: MicrophoneState) -> None:
        self.stream.interrupt(time.monotonic())
        receiver.interrupted(Outage(reason, state))

    async def _play(self, path: Path, receiver: Receiver) -> str | None:
        """Deliver a recording; return why it cannot be read, or None at its end."""
        try:
            reader = await self._in_thread(
                partial(RecordingReader, path, self._spec.channel, other=self._other)
            )
        except (UsageError, OperationError) as error:
            return str(error)
        if reader is None:
            return None
        try:
            return await self._deliver(reader, receiver)
        finally:
            self._reading.post(reader.close)  # after the read in progress

    async def _deliver(self, reader: RecordingReader, receiver: Receiver) -> str | None:
        now_s = time.monotonic()
        identity = self.stream.identity
        if self.stream.state is not StreamState.DELIVERING:
            rate_hz = identity.rate_hz if identity else reader.rate_hz
            identity = self.stream.open(rate_hz, now_s)
            receiver.opened(Opened(identity, reader.channels, str(self._spec.path)))
            self._due_s = self._due_s or now_s
        if identity is None:
            raise RuntimeError("a stream that delivers has an identity")
        self._notice_new(reader, identity)
        base = self._next + (_BOUNDARY_SAMPLES if self._has_delivered else 0)
        blocks = _cut(reader.blocks_at(identity.rate_hz, self._block_s), self._block_s)
        at_once = max(1, round(_AHEAD_S / self._block_s))
        while True:
            try:
                read = await self._in_thread(lambda: list(itertools.islice(blocks, at_once)))
            except (UsageError, OperationError) as error:
                return str(error)
            if not read:
                break
            for block in read:
                await self._pace(len(block.samples) / identity.rate_hz)
                await receiver.room(len(block.samples))
                if self.stream.is_ending:
                    return None
                placed = Block(identity, base + block.start, block.samples)
                self._count(placed)
                receiver.write(placed)
        if not self.stream.is_ending:
            self._notice_new(reader, identity)
        return None

    def _count(self, block: Block) -> None:
        """Count a gap before the block; nothing of a recording is lost."""
        self.stream.gaps += self._has_delivered and block.start > self._next
        self._has_delivered = True
        self._next = block.end

    def _notice_new(self, reader: RecordingReader, stream: Stream) -> None:
        self._pass_on(reader.notices, f"{reader.path}: ")
        if reader.rate_hz != stream.rate_hz and "rate" not in self._noticed:
            self._noticed.add("rate")
            self._notice(
                f"{reader.path}: {reader.rate_hz} Hz, resampled to the {stream.rate_hz} Hz "
                "of the first file"
            )

    def _pass_on(self, notices: Iterable[str], file: str = "") -> None:
        """Pass on each kind of notice once, not for each of a thousand files."""
        for text in notices:
            kind = text.removeprefix(file)
            if kind not in self._noticed:
                self._noticed.add(kind)
                self._notice(text)

    async def _pace(self, seconds: float) -> None:
        if not self._speed:
            return
        now_s = time.monotonic()
        if self._due_s is None or now_s - self._due_s > _LATE_S:
            self._due_s = now_s
        self._due_s += seconds / self._speed
        await self._sleep(self._due_s - now_s)

    async def _in_thread(self, work: Callable[[], R]) -> R | None:
        """Return what file access returns; None if the source is closed meanwhile."""
        if self.stream.is_ending:
            return None
        self._waiting = future = self._reading.submit(work)
        return await future

    async def _sleep(self, seconds: float) -> None:
        """Wait, at most until `close`."""
        if seconds <= 0 or self.stream.is_ending:
            return
        loop = asyncio.get_running_loop()
        self._waiting = future = loop.create_future()
        timer = loop.call_later(seconds, _settle, future)
        try:
            await future
        finally:
            timer.cancel()


def _settle(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _cut(blocks: Iterable[Block], block_s: float) -> Iterator[Block]:
    """Yield gapless blocks of this length; a shorter one before a gap and at the end.

    Lengths that are no whole number of samples are met in the mean.
    """
    held: Block | None = None
    begin = number = 0  # of the gapless piece: its first sample, and the blocks of it so far
    for read in blocks:
        block = read
        if held is not None and held.end == block.start:
            joined = np.concatenate((held.samples, block.samples))
            block = Block(block.stream, held.start, joined)
        else:
            if held is not None:
                yield held
            begin, number = block.start, 0
        size = block_s * block.rate_hz
        at = block.start
        while (end := begin + max(1, round((number + 1) * size))) <= block.end:
            yield block.part(at, end)
            at, number = end, number + 1
        held = block.part(at, block.end) if at < block.end else None
    if held is not None:
        yield held
