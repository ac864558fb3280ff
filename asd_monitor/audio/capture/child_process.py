"""One life of the capture process, from the parent's side."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from asd_monitor.audio.wire import EXIT_ABSENT, Frame, Parser, WireError

_READ_BYTES = 1 << 16
_LAST_WORDS_BYTES = 4096
_SECOND_LOOK_S = 0.05


class ChildStalledError(Exception):
    """It lives and gives nothing."""


class ChildEndedError(Exception):
    """It ended; its last line tells why."""

    def __init__(self, reason: str, *, absent: bool) -> None:
        super().__init__(reason)
        self.absent = absent


@dataclass(frozen=True, slots=True)
class Hello:
    """How the device was opened."""

    rate_hz: int
    channels: int  # opened
    most: int  # channels that it could be opened with
    sent: tuple[int, ...]  # the channels that come, from 0, rising
    name: str  # PortAudio's


class CaptureChild:
    """A running ``asd_monitor.audio.capture.child``; `end` it in any case.

    `end` may be called in any state, more than once, and while `frames` is awaited.
    """

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        if process.stdout is None or process.stderr is None:
            raise ValueError("both streams must be pipes")
        self._process = process
        self._stdout = process.stdout
        self._parser = Parser()
        self._reading = asyncio.Lock()  # a stream has one reader at a time
        self._is_ending = False
        self._hello: Hello | None = None
        self._last_words = asyncio.create_task(_tail(process.stderr), name="capture.stderr")

    @classmethod
    async def start(
        cls, request: Mapping[str, object], environment: Mapping[str, str]
    ) -> CaptureChild:
        """Start it with this request."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "asd_monitor.audio.capture.child",
            json.dumps({**request, "parent": os.getpid()}),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, "JACK_NO_START_SERVER": "1", **environment},
            # a Ctrl-C in the terminal is the parent's to handle
            start_new_session=True,
        )
        return cls(process)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def hello(self) -> Hello:
        """What it said before the first frame; asked for only after one."""
        if self._hello is None:
            raise RuntimeError("no frame yet")
        return self._hello

    async def frames(self, limit_s: float) -> list[Frame]:
        """Return the next frames, at least one.

        Raises:
            ChildStalledError: not a byte came for this long.
            ChildEndedError: it ended, or `end` was called.

        """
        while True:
            data = b"" if self._is_ending else await self._read(limit_s)
            if self._is_ending:
                raise ChildEndedError("the capture was closed", absent=False)
            if not data:
                raise await self._ended(limit_s)
            try:
                frames = self._parser.feed(data)
            except WireError as error:
                raise ChildEndedError(
                    f"the capture process is confused: {error}", absent=False
                ) from error
            if frames:
                self._hello = self._hello or _hello(self._parser.line or {})
                return frames

    async def _read(self, limit_s: float) -> bytes:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(limit_s):
                return await self._take()
        # When something blocked the loop, the time is over although bytes are waiting.
        try:
            async with asyncio.timeout(_SECOND_LOOK_S):
                return await self._take()
        except TimeoutError as error:
            raise ChildStalledError from error

    async def _take(self) -> bytes:
        async with self._reading:
            return await self._stdout.read(_READ_BYTES)

    async def _gone(self, limit_s: float) -> bool:
        """Return whether the process is gone, and its pipes closed, within the limit."""
        try:
            async with asyncio.timeout(limit_s):
                await self._process.wait()
                await asyncio.wait((self._last_words,))  # which a time-out must not cancel
        except TimeoutError:
            return False
        return True

    async def _ended(self, limit_s: float) -> ChildEndedError:
        if not await self._gone(limit_s):
            raise ChildStalledError
        status, words = self._process.returncode or 0, self._last_words.result()
        if status < 0:
            name = signal.Signals(-status).name
            words = f"the capture process was ended by {name}" + (f": {words}" if words else "")
        return ChildEndedError(words or f"exit status {status}", absent=status == EXIT_ABSENT)

    async def end(self, limit_s: float) -> bool:
        """Kill it; return whether it is gone within the limit (the kernel may hold it)."""
        self._is_ending = True
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        try:
            async with asyncio.timeout(limit_s):
                while await self._take():
                    pass  # asyncio waits for the end of the pipes too
                return await self._gone(limit_s)
        except TimeoutError:
            return False


def _hello(line: dict[str, object]) -> Hello:
    match line:
        case {
            "rate_hz": int(rate_hz),
            "channels": int(channels),
            "most": int(most),
            "sent": [*sent],
            "name": str(name),
        }:
            numbers = tuple(each for each in sent if isinstance(each, int))
            if len(numbers) == len(sent):
                return Hello(rate_hz, channels, most, numbers, name)
    raise ChildEndedError(f"the capture process is confused: {line}", absent=False)


async def _tail(stream: asyncio.StreamReader) -> str:
    kept = b""
    while data := await stream.read(_LAST_WORDS_BYTES):
        kept = (kept + data)[-_LAST_WORDS_BYTES:]
    lines = kept.decode(errors="replace").strip().splitlines()
    return lines[-1].strip() if lines else ""
