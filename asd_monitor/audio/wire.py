"""Format of a stream of sound between processes: one line of JSON, then frames of int16 PCM.

The line of JSON describes the stream.  Each frame is a header of 28 bytes, little endian, and its
samples:

    mark       2 bytes  ``AS``
    flags      u16      `OVERFLOW`: the device reported lost samples before this frame
    sequence   u32      frame counter, modulo 2^32
    count      u32      samples in this frame, of all channels together
    position   u64      sample index of the first sample of each channel: samples received so far
                        (capture child), or the absolute sample index (sound sharing)
    time_ns    u64      CLOCK_MONOTONIC in ns when the last sample was captured, or shortly after
                        (capture child), or when the block was read (sound sharing)
    samples    count × int16, little endian, channels interleaved

Used between the capture child and its parent, and between the daemon and the clients of its
shared sound.  The module does without NumPy, which the capture child must not load.
"""

from __future__ import annotations

import json
import struct
from array import array
from collections.abc import Sequence
from typing import NamedTuple

OVERFLOW = 1
MAX_SAMPLES = 1 << 20
MAX_LINE_BYTES = 1 << 16
_HEADER = struct.Struct("<2sHIIQQ")
_MARK = b"AS"


class WireError(ValueError):
    """The data are not in this format: the peer is another program or another version."""


class Frame(NamedTuple):
    """Header and samples of one frame."""

    sequence: int
    position: int
    time_ns: int
    pcm: bytes  # int16, little endian, channels interleaved
    flags: int = 0

    @property
    def samples(self) -> int:
        """Number of samples in this frame, of all channels together."""
        return len(self.pcm) // 2


def encode_line(value: dict[str, object]) -> bytes:
    """Return a JSON object as one line, UTF-8."""
    return json.dumps(value).encode() + b"\n"


def decode_line(line: bytes) -> dict[str, object]:
    """Return the JSON object of a line.

    Raises:
        WireError: the line is not one JSON object.

    """
    try:
        value = json.loads(line)
    except ValueError as error:
        raise WireError(f"not a line of JSON: {line[:60]!r}") from error
    if not isinstance(value, dict):
        raise WireError(f"not a JSON object: {line[:60]!r}")
    return value


def encode_header(frame: Frame) -> bytes:
    """Return the header of a frame, without ``frame.pcm``."""
    return _HEADER.pack(
        _MARK,
        frame.flags,
        frame.sequence & 0xFFFFFFFF,
        frame.samples,
        frame.position,
        frame.time_ns,
    )


def encode_frame(frame: Frame) -> bytes:
    """Return header and samples of a frame."""
    return encode_header(frame) + frame.pcm


def select_channels(pcm: bytes, channels: int, selected: Sequence[int]) -> bytes:
    """Return the selected channels of interleaved int16 PCM, interleaved.

    ``channels`` is the number of channels in ``pcm``; ``selected`` are channel numbers from 0, in
    ascending order.
    """
    if len(selected) == channels:
        return pcm
    samples = memoryview(pcm).cast("h")
    kept = array("h", bytes(len(pcm) // channels * len(selected)))
    with memoryview(kept) as target:
        for place, channel in enumerate(selected):
            target[place :: len(selected)] = samples[channel::channels]
    return kept.tobytes()


class StreamParser:
    """Incremental parser: bytes in chunks of any size → the line of JSON, then frames."""

    def __init__(self) -> None:
        self.line: dict[str, object] | None = None
        """The JSON object that begins the stream; None until it is complete."""
        self._pending = bytearray()

    def feed(self, data: bytes) -> list[Frame]:
        """Return the frames that these bytes complete.

        Raises:
            WireError: the data are not in this format; the stream cannot be parsed further.

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
