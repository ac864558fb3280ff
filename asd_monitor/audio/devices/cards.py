"""ALSA's sound cards as the kernel lists them in /proc/asound and /sys; no device is opened."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from asd_monitor.audio.devices.device_strings import DeviceKind, DeviceSpec

_CARD_LINE = re.compile(r"\s*(\d+) \[(\S+)\s*\]: (.*?) - (.*)")
_USB_PORT = re.compile(r"\d+-\d+(?:\.\d+)*\Z")
_STATUS_PID = re.compile(r"^owner_pid\s*:\s*(\d+)", re.MULTILINE)
_STATUS_STATE = re.compile(r"^state:\s*(\S+)", re.MULTILINE)
_PARENT = re.compile(r"^PPid:\s*(\d+)", re.MULTILINE)
_RATES = re.compile(r"^\s*Rates: (.*)", re.MULTILINE)
_CHANNELS = re.compile(r"^\s*Channels: (\d+)", re.MULTILINE)


class CardNotFoundError(Exception):
    """Not exactly one card matches a device string; the message is one line with the remedy."""


@dataclass(frozen=True, slots=True)
class Holder:
    """A process that has an input open."""

    pid: int
    command: str
    parent: int | None = None  # the process that started it

    def __str__(self) -> str:
        return f"process {self.pid} ({self.command})"


@dataclass(frozen=True, slots=True)
class CapturePcm:
    """One input of a card."""

    number: int
    state: str  # as the kernel reports it, such as RUNNING; "closed" if no process has it open
    holder: Holder | None


@dataclass(frozen=True, slots=True)
class Card:
    """One sound card that can record."""

    number: int
    id: str
    name: str
    usb_id: str | None  # 0d8c:0014
    usb_path: str | None  # 1-1.4
    serial: str | None
    pcms: tuple[CapturePcm, ...]
    rates_hz: tuple[int, ...]  # as a USB device declares them; empty: not declared
    channels: tuple[int, ...]

    @property
    def identity(self) -> tuple[str, str | None, str | None]:
        """Id, USB id and serial number: distinguishes this card from another of the same number."""
        return self.id, self.usb_id, self.serial


class Cards:
    """The sound cards of a computer whose /proc, /sys and /dev are below ``root``."""

    def __init__(self, root: Path = Path("/")) -> None:
        self._proc = root / "proc"
        self._asound = root / "proc" / "asound"
        self._sys = root / "sys" / "class" / "sound"
        self._devices = root / "dev" / "snd"

    @property
    def access_denied(self) -> bool:
        """Whether this user may open none of the inputs in /dev/snd."""
        devices = list(self._devices.glob("pcm*c"))
        return bool(devices) and not any(os.access(each, os.R_OK) for each in devices)

    def all(self) -> list[Card]:
        """Return the cards that can record, sorted by number."""
        cards = []
        for line in _text(self._asound / "cards").splitlines():
            head = _CARD_LINE.match(line)
            if head and (card := self._card(int(head[1]), head[2], head[4].strip())).pcms:
                cards.append(card)
        return sorted(cards, key=lambda card: card.number)

    def find(self, spec: DeviceSpec) -> Card:
        """Return the card that a ``hw:``, ``card-id:`` or ``usb-…:`` device string names.

        Raises:
            CardNotFoundError: no card matches, or several do.

        """
        cards = self.all()
        hits = [card for card in cards if _matches(card, spec)]
        if len(hits) == 1:
            return hits[0]
        if hits:
            names = ", ".join(stable_name(card, cards) for card in hits)
            raise CardNotFoundError(f"{len(hits)} devices match {spec}: choose one of: {names}")
        available = ", ".join(stable_name(card, cards) for card in cards)
        remedy = (
            f"plug it in, or choose an available device: {available}"
            if available
            else "this computer has no sound card with an input: connect the microphone"
        )
        raise CardNotFoundError(f"not plugged in: {remedy}")

    def holder(self, number: int, pcm: int | None) -> Holder | None:
        """Return the process that has this input open; ``pcm`` None: any input of the card."""
        for card in self.all():
            if card.number == number:
                for each in card.pcms:
                    if each.holder and pcm in (None, each.number):
                        return each.holder
        return None

    def _card(self, number: int, card_id: str, name: str) -> Card:
        folder = self._asound / f"card{number}"
        device = self._usb_device(number)
        stream = _text(folder / "stream0")
        capture = stream[stream.find("Capture:") :] if "Capture:" in stream else ""
        return Card(
            number=number,
            id=card_id,
            name=name,
            usb_id=_text(folder / "usbid").strip().lower() or None,
            usb_path=device.name if device else None,
            serial=_text(device / "serial").strip() or None if device else None,
            pcms=tuple(self._pcm(path) for path in sorted(folder.glob("pcm*c"), key=_pcm_number)),
            rates_hz=_rates(capture),
            channels=tuple(sorted({int(each) for each in _CHANNELS.findall(capture)})),
        )

    def _usb_device(self, number: int) -> Path | None:
        here = (self._sys / f"card{number}" / "device").resolve()
        for folder in (here, *here.parents):
            if _USB_PORT.match(folder.name):
                return folder
        return None

    def _pcm(self, folder: Path) -> CapturePcm:
        status = _text(folder / "sub0" / "status")
        state, owner = _STATUS_STATE.search(status), _STATUS_PID.search(status)
        return CapturePcm(
            number=_pcm_number(folder),
            state=state[1] if state else "closed",
            holder=self._holder(int(owner[1])) if owner else None,
        )

    def _holder(self, pid: int) -> Holder:
        command = _text(self._proc / str(pid) / "comm").strip() or "of another user"
        parent = _PARENT.search(_text(self._proc / str(pid) / "status"))
        return Holder(pid, command, int(parent[1]) if parent else None)


def stable_name(card: Card, cards: list[Card]) -> str:
    """Return a device string that names this card after a reboot or a replug, too.

    ``cards`` are all cards: a serial number must be unique among them.
    """
    if card.usb_id and card.serial and sum(each.serial == card.serial for each in cards) == 1:
        return f"usb-id:{card.usb_id}:{card.serial}"
    if card.usb_path:
        return f"usb-path:{card.usb_path}"
    return f"card-id:{card.id}"


def _matches(card: Card, spec: DeviceSpec) -> bool:
    match spec.kind:
        case DeviceKind.USB_PATH:
            return card.usb_path == spec.name
        case DeviceKind.USB_ID:
            return card.usb_id == spec.name and spec.serial in (None, card.serial)
        case DeviceKind.HW if spec.name.isdigit():
            return card.number == int(spec.name)
        case DeviceKind.HW | DeviceKind.CARD_ID:
            return card.id == spec.name
        case _:
            return False


def _rates(stream: str) -> tuple[int, ...]:
    rates: set[int] = set()
    for line in _RATES.findall(stream):
        rates.update(int(each) for each in re.findall(r"\d+", line))
    return tuple(sorted(rates))


def _pcm_number(folder: Path) -> int:
    return int(re.sub(r"\D", "", folder.name))


def _text(path: Path) -> str:
    """Return the content of a file; empty if it is gone, since a card may be unplugged any time."""
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
