"""Contract between the capture child and its parent process.

The child is ``python -m asd_monitor.audio.capture.child`` with one of these arguments:

    capture REQUEST    REQUEST is a `CaptureRequest`.  Standard output has the format of
                       `asd_monitor.audio.wire`; its line of JSON is a `StreamFormat`.
    list               Standard output has one line of JSON: the `PortAudioInput` of each device.

After an error the exit status is `EXIT_ABSENT` or `EXIT_FAULT`, and the last line of standard
error is the reason.  The module does without NumPy, which the child must not load.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import NamedTuple

from asd_monitor.audio.devices.portaudio_names import card_and_pcm
from asd_monitor.audio.wire import WireError, decode_line, encode_line

EXIT_ABSENT = 10
"""The device is absent or cannot be opened now."""
EXIT_FAULT = 11
"""Any other reason."""


class CaptureRequest(NamedTuple):
    """Device and channels to capture; the device is given by either ``hw`` or ``name``."""

    hw: tuple[int, int | None] | None = None  # ALSA card and PCM; PCM None: any
    name: str | None = None  # PortAudio's device name
    wanted: tuple[int, ...] = (0,)  # channels from 0, ascending, at least one
    rate_hz: int | None = None  # None: a rate that the device offers
    channels: int | None = None  # to open; None: the device's own number
    block_s: float = 0.1  # length of a block

    def encode(self) -> str:
        """Return the argument of the capture child."""
        return json.dumps(self._asdict())

    @classmethod
    def decode(cls, argument: str) -> CaptureRequest:
        """Return the request of an argument."""
        values = json.loads(argument)
        hw = values.pop("hw")
        return cls(hw=hw and (hw[0], hw[1]), wanted=tuple(values.pop("wanted")), **values)


class StreamFormat(NamedTuple):
    """Format in which the device was opened."""

    rate_hz: int
    channels: int  # opened
    max_channels: int  # that the device can be opened with
    sent_channels: tuple[int, ...]  # wanted ones that the device has, from 0, ascending
    name: str  # PortAudio's device name

    def encode(self) -> bytes:
        """Return the line of JSON that begins the child's output."""
        return encode_line(self._asdict())

    @classmethod
    def decode(cls, line: dict[str, object]) -> StreamFormat:
        """Return the format of a line; raises WireError if it is not one."""
        match line:
            case {
                "rate_hz": int(rate_hz),
                "channels": int(channels),
                "max_channels": int(max_channels),
                "sent_channels": [*sent],
                "name": str(name),
            }:
                numbers = tuple(each for each in sent if isinstance(each, int))
                if len(numbers) == len(sent):
                    return cls(rate_hz, channels, max_channels, numbers, name)
        raise WireError(f"not a stream format: {line}")


class PortAudioInput(NamedTuple):
    """One input as PortAudio lists it; PortAudio omits a card's input that is in use."""

    name: str
    channels: int
    rates_hz: tuple[int, ...]

    @property
    def hw(self) -> tuple[int, int] | None:
        """ALSA card and PCM; None if the input is not a card's."""
        return card_and_pcm(self.name)


def encode_inputs(inputs: Iterable[PortAudioInput]) -> bytes:
    """Return the child's output for ``list``."""
    return encode_line({"inputs": [each._asdict() for each in inputs]})


def decode_inputs(line: bytes) -> list[PortAudioInput]:
    """Return the inputs of the child's output; raises WireError if it is not valid."""
    inputs = decode_line(line).get("inputs")
    if not isinstance(inputs, list):
        raise WireError(f"not a list of inputs: {line[:60]!r}")
    return [
        PortAudioInput(each["name"], each["channels"], tuple(each["rates_hz"])) for each in inputs
    ]
