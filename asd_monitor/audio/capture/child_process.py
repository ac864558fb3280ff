"""The capture child from its parent's side: start, read, end; and its list of inputs."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Mapping

from asd_monitor.audio.capture.child_protocol import (
    EXIT_ABSENT,
    CaptureRequest,
    PortAudioInput,
    StreamFormat,
    decode_inputs,
)
from asd_monitor.audio.wire import Frame, StreamParser, WireError
from asd_monitor.child_signals import send_signal
from asd_monitor.parent_process import with_parent

LIST_LIMIT_S = 20.0
_KILL_LIMIT_S = 5.0
_READ_BYTES = 1 << 16
_STDERR_BYTES = 4096
_REREAD_LIMIT_S = 0.05


class ChildStalledError(Exception):
    """The child runs and delivers nothing."""


class ChildEndedError(Exception):
    """The child ended; the message is its reason, one line."""

    def __init__(self, reason: str, *, absent: bool) -> None:
        super().__init__(reason)
        self.absent = absent
        """Whether the device is absent or cannot be opened now."""


class InputQueryError(Exception):
    """PortAudio's inputs could not be listed; one line: what, remedy."""


async def _spawn(
    *arguments: str, environment: Mapping[str, str] | None = None
) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *with_parent([sys.executable, "-m", "asd_monitor.audio.capture.child", *arguments]),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "JACK_NO_START_SERVER": "1", **(environment or {})},
        # a Ctrl-C in the terminal is handled by the parent
        start_new_session=True,
    )


class CaptureChild:
    """A running capture child; `end` must be called in any case.

    `end` may be called in any state, more than once, and while `frames` is awaited.
    """

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        if process.stdout is None or process.stderr is None:
            raise ValueError("both streams must be pipes")
        self._process = process
        self._stdout = process.stdout
        self._parser = StreamParser()
        self._reading = asyncio.Lock()  # a stream has one reader at a time
        self._is_ending = False
        self._format: StreamFormat | None = None
        self._early: list[Frame] = []  # received while the opening was awaited
        self._reason = asyncio.create_task(_last_line(process.stderr), name="capture.stderr")

    @classmethod
    async def start(cls, request: CaptureRequest, environment: Mapping[str, str]) -> CaptureChild:
        """Start a child; ``environment`` is added to that of this process."""
        return cls(await _spawn("capture", request.encode(), environment=environment))

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    @property
    def format(self) -> StreamFormat:
        """Format of the stream.

        Raises:
            RuntimeError: the device is not open yet.

        """
        if self._format is None:
            raise RuntimeError("not open yet")
        return self._format

    async def opened(self, limit_s: float) -> None:
        """Wait until the child has opened the device; `format` is known then.

        Raises:
            ChildStalledError: nothing was received for ``limit_s``.
            ChildEndedError: the child ended, or `end` was called.

        """
        while self._format is None:
            self._early += await self._receive(limit_s)

    async def frames(self, limit_s: float) -> list[Frame]:
        """Return the next frames, at least one.

        Raises:
            ChildStalledError: nothing was received for ``limit_s``.
            ChildEndedError: the child ended, or `end` was called.

        """
        frames, self._early = self._early, []
        while not frames or self._is_ending:
            frames = await self._receive(limit_s)
        return frames

    async def _receive(self, limit_s: float) -> list[Frame]:
        """Return the frames that the next bytes complete.  Raises as `frames` does."""
        data = b"" if self._is_ending else await self._read_within(limit_s)
        if self._is_ending:
            raise ChildEndedError("the capture was closed", absent=False)
        if not data:
            raise await self._ended(limit_s)
        try:
            frames = self._parser.feed(data)
            if self._format is None and self._parser.line is not None:
                self._format = StreamFormat.decode(self._parser.line)
        except WireError as error:
            raise ChildEndedError(
                f"invalid output of the capture process: {error}", absent=False
            ) from error
        return frames

    async def _read_within(self, limit_s: float) -> bytes:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(limit_s):
                return await self._read()
        # if the event loop was blocked, the time is over although data are waiting
        try:
            async with asyncio.timeout(_REREAD_LIMIT_S):
                return await self._read()
        except TimeoutError as error:
            raise ChildStalledError from error

    async def _read(self) -> bytes:
        async with self._reading:
            return await self._stdout.read(_READ_BYTES)

    async def _has_ended(self, limit_s: float) -> bool:
        """Return whether the process ends, and its pipes are closed, within the limit."""
        try:
            async with asyncio.timeout(limit_s):
                await self._process.wait()
                await asyncio.wait((self._reason,))  # which a time-out must not cancel
        except TimeoutError:
            return False
        return True

    async def _ended(self, limit_s: float) -> ChildEndedError:
        if not await self._has_ended(limit_s):
            raise ChildStalledError
        status, reason = self._process.returncode or 0, self._reason.result()
        if status < 0:
            name = signal.Signals(-status).name
            reason = f"the capture process was ended by {name}" + (f": {reason}" if reason else "")
        return ChildEndedError(reason or f"exit status {status}", absent=status == EXIT_ABSENT)

    async def end(self, limit_s: float) -> bool:
        """Kill the child; return whether it ended within the limit (the kernel may hold it)."""
        self._is_ending = True
        send_signal(self._process, signal.SIGKILL)
        try:
            async with asyncio.timeout(limit_s):
                while await self._read():
                    pass  # asyncio's wait() needs the end of the pipes too
                return await self._has_ended(limit_s)
        except TimeoutError:
            return False


async def query_portaudio_inputs(limit_s: float = LIST_LIMIT_S) -> list[PortAudioInput]:
    """Return PortAudio's inputs, listed by a child.

    Raises:
        InputQueryError: no answer within ``limit_s``, PortAudio failed, or the child cannot be
            started.

    """
    try:
        process = await _spawn("list")
    except OSError as error:
        raise InputQueryError(
            f"no capture process can be started ({error.strerror or error}): raise the limits of "
            "processes and open files, and let this user run this Python"
        ) from error
    try:
        async with asyncio.timeout(limit_s):
            output, errors = await process.communicate()
    except TimeoutError as error:
        raise InputQueryError(
            f"PortAudio does not answer within {limit_s:g} s, a device hangs: unplug it"
        ) from error
    finally:
        if process.returncode is None:
            send_signal(process, signal.SIGKILL)
            with contextlib.suppress(TimeoutError):  # the kernel may hold it
                async with asyncio.timeout(_KILL_LIMIT_S):
                    await process.communicate()
    if process.returncode or not output:
        raise InputQueryError(
            _last_line_of(errors) or f"PortAudio failed (exit status {process.returncode})"
        )
    return decode_inputs(output)


async def _last_line(stream: asyncio.StreamReader) -> str:
    kept = b""
    while data := await stream.read(_STDERR_BYTES):
        kept = (kept + data)[-_STDERR_BYTES:]
    return _last_line_of(kept)


def _last_line_of(output: bytes) -> str:
    lines = output.decode(errors="replace").strip().splitlines()
    return lines[-1].strip() if lines else ""
