"""The sound of a device that a daemon holds, for other programs on the same computer.

The daemon listens on the Unix socket ``sound.sock`` in its state folder.  A client sends
one line of JSON and the daemon answers with one:

    → {"device": "hw:1"}              or  {"machine": "fan01"}
    ← {"rate_hz": 48000, "channels": 2, "name": "…", "device": "hw:1", "channel": 0}
    ← {"error": "no machine here listens to hw:2; there are: hw:1"}

After an error the daemon closes.  Otherwise frames follow (`asd_monitor.audio.wire`): one
for each block, whose ``position`` is the block's absolute sample index, so that a gap shows
as a jump; nothing while the microphone is away.  A client that reads too slowly is cut off.
The daemon closes when it ends; the client sends nothing more, and closes to leave.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from pathlib import Path

import numpy as np

from asd_monitor.audio.source import Event, Opened, Outage
from asd_monitor.audio.wire import (
    Frame,
    Parser,
    WireError,
    decode_line,
    encode_frame,
    encode_line,
)
from asd_monitor.errors import OperationError
from asd_monitor.records import Block, MicrophoneState

SOCKET_NAME = "sound.sock"
ANSWER_S = 5.0
SILENT_S = 5.0
_READ_BYTES = 1 << 16


class NotSharedError(OperationError):
    """A daemon is there and does not give this sound; the message is its own."""


def encode_request(*, device: str | None = None, machine: str | None = None) -> bytes:
    """Return a client's line; exactly one of the two is said."""
    if (device is None) == (machine is None):
        raise ValueError("either a device or a machine")
    return encode_line({"machine": machine} if device is None else {"device": device})


def decode_request(line: bytes) -> tuple[str | None, str | None]:
    """Return (device, machine), one of which is None.

    Raises:
        WireError: it is not a request.

    """
    request = decode_line(line)
    device, machine = request.get("device"), request.get("machine")
    if isinstance(device, str) and machine is None:
        return device, None
    if isinstance(machine, str) and device is None:
        return None, machine
    raise WireError("a request names either a device or a machine")


def encode_answer(opened: Opened, *, device: str, channel: int) -> bytes:
    """Return the daemon's line before the frames."""
    return encode_line(
        {
            "rate_hz": opened.rate_hz,
            "channels": opened.channels,
            "name": opened.name,
            "device": device,
            "channel": channel,
        }
    )


def encode_refusal(reason: str) -> bytes:
    """Return the daemon's line when it cannot serve; it closes after it."""
    return encode_line({"error": reason})


def encode_block(block: Block, *, sequence: int, time_ns: int) -> bytes:
    """Return a block as one frame; exact for sound that came as int16."""
    pcm = np.clip(np.rint(block.samples * 32768.0), -32768, 32767).astype("<i2").tobytes()
    return encode_frame(Frame(sequence, block.start, time_ns, pcm))


def decode_block(frame: Frame) -> Block:
    """Return a frame's samples as they are everywhere else: float32, full scale ±1."""
    samples = np.frombuffer(frame.pcm, "<i2").astype(np.float32) / np.float32(32768)
    return Block(frame.position, samples)


class SharedSound:
    """A source that hears what the daemon hears; it ends when the daemon does.

    `connect` makes it.
    """

    def __init__(
        self,
        answer: dict[str, object],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        parser: Parser,
        early: list[Frame],
    ) -> None:
        self.opened = Opened(
            _integer(answer, "rate_hz"), _integer(answer, "channels"), str(answer.get("name"))
        )
        self.device = str(answer.get("device"))
        self.channel = _integer(answer, "channel")
        self.lost_samples = 0
        self.gaps = 0
        self.restarts = 0
        self.drift_ppm = 0.0
        self.keeps_pace = True
        self._reader = reader
        self._writer = writer
        self._parser = parser
        self._early = early
        self._end: int | None = None
        self._closed = False

    async def events(self) -> AsyncGenerator[Event]:
        """Iterate over the sound; see `Source`."""
        if self._closed:
            return
        yield self.opened
        silent = False
        frames = self._early
        while not self._closed:
            for frame in frames:
                if self._closed:
                    return
                if silent:
                    silent = False
                    self.restarts += 1
                    yield self.opened
                yield self._counted(decode_block(frame))
            frames = []
            try:
                async with asyncio.timeout(None if silent else SILENT_S):
                    data = await self._reader.read(_READ_BYTES)
                if self._closed:
                    return
                if not data:
                    yield Outage(
                        "the daemon that shares its sound has ended", MicrophoneState.FAULT
                    )
                    return
                frames = self._parser.feed(data)
            except TimeoutError:
                silent = True
                yield Outage("the daemon's microphone gives no sound", MicrophoneState.FAULT)
            except (WireError, ConnectionError) as error:
                yield Outage(f"the daemon's socket broke: {error}", MicrophoneState.FAULT)
                return

    def _counted(self, block: Block) -> Block:
        if self._end is not None and block.start > self._end:
            self.gaps += 1
            self.lost_samples += block.start - self._end
        self._end = block.end
        return block

    async def close(self) -> None:
        """Disconnect, without waiting; `events` then ends.  It may be called more than once."""
        self._closed = True
        self._writer.close()
        self._reader.feed_eof()


async def connect(
    socket: Path, *, device: str | None = None, machine: str | None = None
) -> SharedSound | None:
    """Ask the daemon behind this socket for its sound; None when no daemon is there.

    Raises:
        NotSharedError: the daemon refuses.
        OperationError: it does not answer, or is of another version.

    """
    try:
        reader, writer = await asyncio.open_unix_connection(str(socket))
    except (FileNotFoundError, ConnectionRefusedError):
        return None
    except PermissionError as error:
        raise OperationError(
            f"{socket}: no permission to hear through the daemon: run as its user"
        ) from error
    try:
        with contextlib.ExitStack() as undo:
            undo.callback(writer.close)
            writer.write(encode_request(device=device, machine=machine))
            async with asyncio.timeout(ANSWER_S):
                shared = await _answered(reader, writer)
            undo.pop_all()
            return shared
    except (WireError, TimeoutError, ConnectionError) as error:
        raise OperationError(
            f"{socket}: the daemon's answer is not understood ({error or 'none came in time'}): "
            "restart it, so that both are of one version"
        ) from error


async def _answered(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> SharedSound:
    parser = Parser()
    early: list[Frame] = []
    while parser.line is None:
        data = await reader.read(_READ_BYTES)
        if not data:
            raise WireError("it hung up")
        early += parser.feed(data)
    if "error" in parser.line:
        raise NotSharedError(f"the daemon does not share its sound: {parser.line['error']}")
    return SharedSound(parser.line, reader, writer, parser, early)


def _integer(answer: dict[str, object], key: str) -> int:
    value = answer.get(key)
    if not isinstance(value, int) or value < 0:
        raise WireError(f"no {key} in it")
    return value
