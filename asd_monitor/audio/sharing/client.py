"""Client of the daemon's shared sound: a source that receives from the daemon."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from asd_monitor.audio.sharing.protocol import (
    SharedStream,
    decode_block,
    decode_response,
    encode_request,
)
from asd_monitor.audio.source import Outage, Receiver
from asd_monitor.audio.stream import StreamLifetime, StreamState
from asd_monitor.audio.wire import Frame, StreamParser, WireError
from asd_monitor.errors import OperationError
from asd_monitor.records import MicrophoneState

RESPONSE_LIMIT_S = 5.0
SILENCE_LIMIT_S = 5.0
MAX_SOCKET_PATH_BYTES = 107
"""The longest path that a Unix socket can have: `sun_path` in unix(7), without its end."""
_READ_BYTES = 1 << 16


class SharedSource:
    """Source of the sound that the daemon shares; ends when the daemon ends.

    Created by `connect`.
    """

    def __init__(
        self,
        stream: SharedStream,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        parser: StreamParser,
        received: Iterable[Frame],
        *,
        silence_limit_s: float = SILENCE_LIMIT_S,
    ) -> None:
        """``received`` are the frames that came with the response.

        No frame for ``silence_limit_s`` is an outage.
        """
        self.stream = StreamLifetime()
        self.shared = stream
        self.drift_ppm = 0.0
        self.is_paced = True
        self._reader = reader
        self._writer = writer
        self._parser = parser
        self._received = list(received)
        self._silence_limit_s = silence_limit_s

    async def run(self, receiver: Receiver) -> None:
        """Deliver until `close`, or until the daemon ends; see `Source`."""
        try:
            await self._deliver(receiver)
        finally:
            self._writer.close()
            self.stream.release(time.monotonic())

    async def close(self) -> None:
        """Disconnect without waiting; `run` then ends.

        May be called in any state and more than once.
        """
        if not self.stream.is_ending:
            self.stream.close(time.monotonic())
            self._writer.close()
            self._reader.feed_eof()

    async def _deliver(self, receiver: Receiver) -> None:
        if self.stream.is_ending:
            return
        self._open(receiver)
        frames = self._received
        while True:
            for frame in frames:
                if self.stream.state is StreamState.INTERRUPTED:
                    self._open(receiver)
                if self.stream.identity is None or self.stream.is_ending:
                    return
                block = decode_block(frame, self.stream.identity)
                self.stream.count(block.start, block.end)
                receiver.write(block)
            is_silent = self.stream.state is StreamState.INTERRUPTED
            frames, outage = [], None
            try:
                async with asyncio.timeout(None if is_silent else self._silence_limit_s):
                    data = await self._reader.read(_READ_BYTES)
                if not data:
                    outage = "the daemon that shares its sound has ended"
                frames = self._parser.feed(data)
            except TimeoutError:
                self._interrupt(receiver, "the daemon's microphone delivers no sound")
            except (WireError, ConnectionError) as error:
                outage = f"the connection to the daemon failed: {error}"
            if self.stream.is_ending:
                return
            if outage is not None:
                self._interrupt(receiver, outage)
                return

    def _open(self, receiver: Receiver) -> None:
        opened = self.shared.opened
        stream = self.stream.open(opened.rate_hz, time.monotonic())
        receiver.opened(replace(opened, stream=stream))

    def _interrupt(self, receiver: Receiver, reason: str) -> None:
        if not self.stream.is_ending:
            self.stream.interrupt(time.monotonic())
            receiver.interrupted(Outage(reason, MicrophoneState.FAULT))


async def connect(
    socket: Path,
    *,
    device: str | None = None,
    machine: str | None = None,
    silence_limit_s: float = SILENCE_LIMIT_S,
) -> SharedSource | None:
    """Request the sound of a device or of a machine; None if no daemon listens on the socket.

    No daemon can listen on one whose path is longer than `MAX_SOCKET_PATH_BYTES`.

    Raises:
        SharingRefusedError: the daemon refuses.
        OperationError: no permission, no response in time, or another version of the protocol.

    """
    if len(os.fsencode(socket)) > MAX_SOCKET_PATH_BYTES:
        return None
    try:
        reader, writer = await asyncio.open_unix_connection(str(socket))
    except (FileNotFoundError, ConnectionRefusedError):
        return None
    except PermissionError as error:
        raise OperationError(
            f"{socket}: no permission to receive the daemon's sound: run as its user"
        ) from error
    try:
        with contextlib.ExitStack() as undo:
            undo.callback(writer.close)
            writer.write(encode_request(device=device, machine=machine))
            parser = StreamParser()
            async with asyncio.timeout(RESPONSE_LIMIT_S):
                stream, received = await _read_response(reader, parser)
            undo.pop_all()
    except (WireError, TimeoutError, ConnectionError) as error:
        raise OperationError(
            f"{socket}: no valid response from the daemon ({error or 'none in time'}): "
            "restart the daemon, so that both are of one version"
        ) from error
    return SharedSource(stream, reader, writer, parser, received, silence_limit_s=silence_limit_s)


async def _read_response(
    reader: asyncio.StreamReader, parser: StreamParser
) -> tuple[SharedStream, list[Frame]]:
    """Return the response and the frames received with it."""
    received: list[Frame] = []
    while parser.line is None:
        data = await reader.read(_READ_BYTES)
        if not data:
            raise WireError("it disconnected")
        received += parser.feed(data)
    return decode_response(parser.line), received
