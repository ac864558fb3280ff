"""How sound travels between our processes: a line of JSON, then frames of int16.

The line says what follows; each frame is a header and its samples:

    mark       2 bytes  ``AS``
    flags      u16      `OVERFLOW`: the device says that something was lost before this
    sequence   u32      counts frames, modulo 2^32
    count      u32      samples in this frame, those of all channels together
    position   u64      samples of one channel before this frame (from a device: received;
                        shared: index)
    time_ns    u64      CLOCK_MONOTONIC when its last sample had been read
    samples    count × int16, little endian as the header is; several channels interleaved

The capture child tells by its exit status whether the device is absent or something else
is wrong (`EXIT_ABSENT`, `EXIT_FAULT`), and by the last line on stderr what.

No numpy here: the capture child shall stay small.
"""

from __future__ import annotations

import json
import struct
from array import array
from collections.abc import Sequence
from typing import NamedTuple

OVERFLOW = 1
EXIT_ABSENT = 10
EXIT_FAULT = 11
MAX_SAMPLES = 1 << 20
MAX_LINE_BYTES = 1 << 16
_HEADER = struct.Struct("<2sHIIQQ")
_MARK = b"AS"


class WireError(ValueError):
    """What came is not this format: the other side is another program or version."""


class Frame(NamedTuple):
    """A header and its samples, as they travel."""

    sequence: int
    position: int
    time_ns: int
    pcm: bytes  # int16, little endian
    flags: int = 0

    @property
    def samples(self) -> int:
        """How many there are in this frame, of all channels together."""
        return len(self.pcm) // 2


def encode_line(value: dict[str, object]) -> bytes:
    """Return the line of JSON that begins a stream."""
    return json.dumps(value).encode() + b"\n"


def decode_line(line: bytes) -> dict[str, object]:
    """Return what a line says.

    Raises:
        WireError: it is not one JSON object.

    """
    try:
        value = json.loads(line)
    except ValueError as error:
        raise WireError(f"not a line of JSON: {line[:60]!r}") from error
    if not isinstance(value, dict):
        raise WireError(f"not a JSON object: {line[:60]!r}")
    return value


def encode_header(frame: Frame) -> bytes:
    """Return the header alone; ``frame.pcm`` follows it."""
    return _HEADER.pack(
        _MARK,
        frame.flags,
        frame.sequence & 0xFFFFFFFF,
        frame.samples,
        frame.position,
        frame.time_ns,
    )


def encode_frame(frame: Frame) -> bytes:
    """Return header and samples."""
    return encode_header(frame) + frame.pcm


def choose_channels(pcm: bytes, channels: int, chosen: Sequence[int]) -> bytes:
    """Return some channels of interleaved int16, in rising order, interleaved again."""
    if len(chosen) == channels:
        return pcm
    samples = memoryview(pcm).cast("h")
    kept = array("h", bytes(len(pcm) // channels * len(chosen)))
    with memoryview(kept) as places:
        for place, channel in enumerate(chosen):
            places[place :: len(chosen)] = samples[channel::channels]
    return kept.tobytes()


class Parser:
    """Takes any number of bytes at a time; gives the line first, then the frames."""

    def __init__(self) -> None:
        self.line: dict[str, object] | None = None
        self._pending = bytearray()

    def feed(self, data: bytes) -> list[Frame]:
        """Return the frames completed by these bytes.

        Raises:
            WireError: they are not this format; nothing more can be read.

        """
        self._pending += data
        if self.line is None and not self._take_line():
            return []
        frames = []
        while len(self._pending) >= _HEADER.size:
            mark, flags, sequence, count, position, time_ns = _HEADER.unpack_from(self._pending)
            if mark != _MARK or count > MAX_SAMPLES:
                raise WireError(f"not a frame: {bytes(self._pending[: _HEADER.size])!r}")
            end = _HEADER.size + 2 * count
            if len(self._pending) < end:
                break
            pcm = bytes(self._pending[_HEADER.size : end])
            frames.append(Frame(sequence, position, time_ns, pcm, flags))
            del self._pending[:end]
        return frames

    def _take_line(self) -> bool:
        line, newline, rest = self._pending.partition(b"\n")
        if not newline:
            if len(line) > MAX_LINE_BYTES:
                raise WireError(f"not a line of JSON: {bytes(line[:60])!r}")
            return False
        self.line = decode_line(bytes(line))
        self._pending = rest
        return True
