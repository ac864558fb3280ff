"""Messages of sound sharing, on a Unix stream socket.

The daemon listens on the socket ``sound.sock`` in its state folder.  The client sends one line
of JSON as its request; the daemon responds with one line of JSON:

    → {"device": "hw:1"}              or  {"machine": "fan01"}
    ← {"rate_hz": 48000, "channels": 2, "name": "…", "device": "hw:1", "channel": 0}
    ← {"error": "no machine uses the device hw:2; in use: hw:1"}

After an error the daemon disconnects.  Otherwise frames follow (`asd_monitor.audio.wire`), one for
each block; the ``position`` of a frame is the absolute sample index of the block, so a gap shows
as a jump.  No frame is sent during an outage of the microphone.  A client that reads too slowly is
disconnected.  The client sends nothing after its request and disconnects to end; the daemon
disconnects when it ends.
"""

from __future__ import annotations

from dataclasses import dataclass

from asd_monitor.audio.pcm import decode_pcm, encode_pcm
from asd_monitor.audio.source import Opened
from asd_monitor.audio.wire import Frame, WireError, decode_line, encode_frame, encode_line
from asd_monitor.errors import OperationError
from asd_monitor.records import Block, Stream

SOCKET_NAME = "sound.sock"


class SharingRefusedError(OperationError):
    """The daemon does not share the requested sound; the message contains its reason."""


@dataclass(frozen=True, slots=True)
class SharedStream:
    """The daemon's description of a shared stream."""

    opened: Opened
    device: str  # device string without channel
    channel: int  # of the device, from 0


def encode_request(*, device: str | None = None, machine: str | None = None) -> bytes:
    """Return a client's request for the sound of a device or of a machine.

    Raises:
        ValueError: both or none of the two are given.

    """
    if (device is None) == (machine is None):
        raise ValueError("either a device or a machine")
    return encode_line({"machine": machine} if device is None else {"device": device})


def decode_request(line: bytes) -> tuple[str | None, str | None]:
    """Return (device, machine) of a request, one of which is None.

    Raises:
        WireError: the line is not a request.

    """
    request = decode_line(line)
    device, machine = request.get("device"), request.get("machine")
    if isinstance(device, str) and machine is None:
        return device, None
    if isinstance(machine, str) and device is None:
        return None, machine
    raise WireError("a request names either a device or a machine")


def encode_response(stream: SharedStream) -> bytes:
    """Return the daemon's response before the frames."""
    return encode_line(
        {
            "rate_hz": stream.opened.rate_hz,
            "channels": stream.opened.channels,
            "name": stream.opened.name,
            "device": stream.device,
            "channel": stream.channel,
        }
    )


def encode_refusal(reason: str) -> bytes:
    """Return the daemon's response to a request that it refuses."""
    return encode_line({"error": reason})


def decode_response(response: dict[str, object]) -> SharedStream:
    """Return the stream that a response describes.

    Raises:
        SharingRefusedError: the daemon refused the request.
        WireError: the object is not a response.

    """
    if "error" in response:
        raise SharingRefusedError(f"the daemon does not share its sound: {response['error']}")
    opened = Opened(
        Stream(_count_of(response, "rate_hz")),
        _count_of(response, "channels"),
        str(response.get("name")),
    )
    return SharedStream(opened, str(response.get("device")), _count_of(response, "channel"))


def encode_block(block: Block, *, sequence: int, time_ns: int) -> bytes:
    """Return a block as one frame; exact for sound that was captured as int16."""
    return encode_frame(Frame(sequence, block.start, time_ns, encode_pcm(block.samples)))


def decode_block(frame: Frame, stream: Stream) -> Block:
    """Return the block of a frame."""
    return Block(stream, frame.position, decode_pcm(frame.pcm, 1)[0])


def _count_of(response: dict[str, object], key: str) -> int:
    value = response.get(key)
    if not isinstance(value, int) or value < 0:
        raise WireError(f"{key} is missing or not a count")
    return value
