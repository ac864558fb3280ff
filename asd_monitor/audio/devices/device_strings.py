"""Device strings: the microphone or the recording that delivers the sound of a machine.

    hw:1   hw:1,0   hw:CARD=Device,DEV=0     ALSA card (and PCM) by number or id
    card-id:NAME                             ALSA card by id
    usb-path:1-1.4                           USB device at this port
    usb-id:0d8c:0014[:SERIAL]                USB device with this id, the only one
    pulse:SOURCE                             source of PulseAudio or PipeWire
    name:EXACT NAME                          PortAudio's device name
    default                                  the system's default
    file:PATH[?loop]                         a recording, or a folder of them in natural order

``#2`` at the end selects a channel, from 0.  Names are matched exactly and must match one device;
never a part of a name, since ``hw:1`` is a part of ``hw:10``.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from asd_monitor.audio.devices.remedies import SEE_DEVICES
from asd_monitor.errors import UsageError
from asd_monitor.wording import quoted, shortened

_CHANNEL = re.compile(r"#(\d+)\Z")
_HW_NUMBER = re.compile(r"(\d+)(?:,(\d+))?\Z")
_HW_NAMED = re.compile(r"CARD=([A-Za-z0-9_-]+)(?:,DEV=(\d+))?\Z")
_HW_ID = re.compile(r"([A-Za-z0-9_-]+)(?:,(\d+))?\Z")
_CARD_ID = re.compile(r"[A-Za-z0-9_-]+\Z")
_USB_PATH = re.compile(r"\d+-\d+(?:\.\d+)*\Z")
_USB_ID = re.compile(r"([0-9A-Fa-f]{4}):([0-9A-Fa-f]{4})(?::(.+))?\Z")
_FORMS = (
    "hw:1, card-id:NAME, usb-path:1-1.4, usb-id:0d8c:0014, pulse:SOURCE, name:…, default, file:…"
)
_CHANNEL_REMEDY = (
    "write the channel after #, a number from 0, such as hw:1#0; omit # for the first channel"
)
MAX_CHANNEL = 255
_MAX_CHARS = 4096


class DeviceKind(StrEnum):
    """The word before the colon; `DEFAULT` stands alone."""

    HW = "hw"
    CARD_ID = "card-id"
    USB_PATH = "usb-path"
    USB_ID = "usb-id"
    PULSE = "pulse"
    NAME = "name"
    DEFAULT = "default"
    FILE = "file"


@dataclass(frozen=True, slots=True)
class DeviceSpec:
    """A parsed device string; ``str()`` returns its canonical form."""

    kind: DeviceKind
    name: str = ""  # card number or id, USB port, vid:pid, source, PortAudio's name, path
    pcm: int | None = None  # of an ALSA card
    serial: str | None = None  # of a USB device
    loop: bool = False  # of a recording: start again at its end
    channel: int | None = None  # from 0; None: not given, the first

    def __str__(self) -> str:
        channel = "" if self.channel is None else f"#{self.channel}"
        match self.kind:
            case DeviceKind.DEFAULT:
                return f"default{channel}"
            case DeviceKind.HW if self.name.isdigit():
                rest = self.name if self.pcm is None else f"{self.name},{self.pcm}"
            case DeviceKind.HW:
                rest = f"CARD={self.name}" + ("" if self.pcm is None else f",DEV={self.pcm}")
            case DeviceKind.USB_ID:
                rest = self.name if self.serial is None else f"{self.name}:{self.serial}"
            case DeviceKind.FILE:
                rest = self.name + ("?loop" if self.loop else "")
            case _:
                rest = self.name
        return f"{self.kind}:{rest}{channel}"

    @property
    def is_file(self) -> bool:
        """Whether this is a recording rather than a microphone."""
        return self.kind is DeviceKind.FILE

    @property
    def path(self) -> Path:
        """The recording or folder of a ``file:``, with ``~`` resolved."""
        return Path(self.name).expanduser()

    def with_channel(self, channel: int) -> DeviceSpec:
        """Return the device with the channel of a separate setting.

        Raises:
            UsageError: the string selects a channel already, or the number is out of range.

        """
        if self.channel is not None:
            raise UsageError(
                f"device {str(self)!r} selects channel {self.channel}, and so does the setting "
                f"`channel: {channel}`: remove one of them"
            )
        return replace(self, channel=_checked_channel(channel, str(self)))


def parse_device(text: str) -> DeviceSpec:
    """Parse a device string; whether the device exists is not checked.

    Raises:
        UsageError: the string is malformed.

    """
    if not isinstance(text, str) or re.fullmatch(r"\s*\d+\s*", text):
        number = shortened(str(text).strip())
        raise UsageError(
            f"device {number}: a number alone is refused, since card numbers change at every boot: "
            f"write hw:{number} for an ALSA card, or better a stable name; {SEE_DEVICES}"
        )
    if len(text) > _MAX_CHARS:
        raise UsageError(f"device {quoted(text)}: too long: write one of {_FORMS}")
    text = text.strip()
    body, channel = text, None
    suffix = _CHANNEL.search(text)
    if suffix:
        body = text[: suffix.start()]
        channel = _checked_channel(int(suffix[1]), text)
    if body == "default":
        return DeviceSpec(DeviceKind.DEFAULT, channel=channel)
    if body.startswith("default#"):
        raise UsageError(f"device {quoted(text)}: {_CHANNEL_REMEDY}")
    word, colon, rest = body.partition(":")
    if not colon or word not in set(DeviceKind) - {DeviceKind.DEFAULT}:
        raise UsageError(
            f"device {quoted(text)}: {_remedy_for_word(word, has_colon=bool(colon))}; {SEE_DEVICES}"
        )
    if not rest.strip() or "\0" in rest or "\n" in rest:
        raise UsageError(
            f"device {quoted(text)}: no valid name after the colon: "
            f"{_REMEDIES.get(DeviceKind(word), f'write one of {_FORMS}')}; {SEE_DEVICES}"
        )
    spec = _parse_rest(DeviceKind(word), rest)
    if spec is None and "#" in body and word != DeviceKind.FILE:
        raise UsageError(f"device {quoted(text)}: {_CHANNEL_REMEDY}")
    if spec is None:
        raise UsageError(f"device {quoted(text)}: {_REMEDIES[DeviceKind(word)]}; {SEE_DEVICES}")
    return replace(spec, channel=channel)


def _checked_channel(channel: int, text: str) -> int:
    if not 0 <= channel <= MAX_CHANNEL:
        raise UsageError(
            f"device {quoted(text)}: channel {channel} is out of range: write one from 0 to "
            f"{MAX_CHANNEL}"
        )
    return channel


def _remedy_for_word(word: str, *, has_colon: bool) -> str:
    if word in ("plughw", "dsnoop", "sysdefault"):
        return f"{word}: converts the sound: write hw:…, any sample rate is accepted"
    if word.startswith("/dev/"):
        return "not a device string: write hw:1 for card 1, or better a stable name"
    if not has_colon and ("/" in word or word.lower().endswith((".wav", ".flac"))):
        return f"not a device string: write file:{shortened(word)} for a recording or a folder"
    similar = difflib.get_close_matches(word, list(DeviceKind), n=1, cutoff=0.5)
    if has_colon and similar:
        return f"unknown word {quoted(word)} before the colon: did you mean {similar[0]}:…?"
    if similar:
        rest = "" if similar[0] == DeviceKind.DEFAULT else ":…"
        return f"not a device string: did you mean {similar[0]}{rest}?"
    return f"not a device string: write one of {_FORMS}"


_REMEDIES = {
    DeviceKind.HW: "write hw:1, hw:1,0 or hw:CARD=Device,DEV=0",
    DeviceKind.CARD_ID: "write a card's id, letters, digits, - and _ only",
    DeviceKind.USB_PATH: "write a USB port such as 1-1.4",
    DeviceKind.USB_ID: "write the ids as four hexadecimal digits each: usb-id:0d8c:0014",
    DeviceKind.FILE: "write the path of a recording or folder after the colon",
}


def _parse_rest(kind: DeviceKind, rest: str) -> DeviceSpec | None:
    spec: DeviceSpec | None = DeviceSpec(kind, rest)
    match kind:
        case DeviceKind.HW:
            hit = _HW_NUMBER.match(rest) or _HW_NAMED.match(rest) or _HW_ID.match(rest)
            spec = hit and DeviceSpec(
                kind, _without_leading_zeros(hit[1]), pcm=int(hit[2]) if hit[2] else None
            )
        case DeviceKind.CARD_ID if not _CARD_ID.match(rest):
            spec = None
        case DeviceKind.USB_PATH if not _USB_PATH.match(rest):
            spec = None
        case DeviceKind.USB_ID:
            hit = _USB_ID.match(rest)
            spec = hit and DeviceSpec(kind, f"{hit[1]}:{hit[2]}".lower(), serial=hit[3])
        case DeviceKind.FILE:
            path = rest.removesuffix("?loop")
            spec = DeviceSpec(kind, path, loop=path != rest) if path else None
    return spec


def _without_leading_zeros(card: str) -> str:
    return str(int(card)) if card.isdigit() else card
