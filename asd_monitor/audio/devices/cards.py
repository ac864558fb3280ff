"""ALSA's sound cards, as the kernel shows them in /proc/asound and /sys: nothing is opened."""

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


class NoCardError(Exception):
    """No card is what was asked for, or more than one; one line tells."""


@dataclass(frozen=True, slots=True)
class Holder:
    """The process that has a microphone open."""

    pid: int
    command: str
    parent: int | None = None  # the process that started it

    def __str__(self) -> str:
        return f"process {self.pid} ({self.command})"


@dataclass(frozen=True, slots=True)
class CapturePcm:
    """One input of a card."""

    number: int
    state: str  # as the kernel says it, such as RUNNING; "closed" when nobody has it open
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
    rates_hz: tuple[int, ...]  # as a USB device declares them; empty: not declared here
    channels: tuple[int, ...]

    @property
    def identity(self) -> tuple[str, str | None, str | None]:
        """What tells this card from another that took its number."""
        return self.id, self.usb_id, self.serial


class Cards:
    """Reads the cards below a root folder (that of the machine, unless a test brings one)."""

    def __init__(self, root: Path = Path("/")) -> None:
        self._proc = root / "proc"
        self._asound = root / "proc" / "asound"
        self._sys = root / "sys" / "class" / "sound"
        self._devices = root / "dev" / "snd"

    @property
    def readable(self) -> bool:
        """Whether the kernel shows any sound system at all."""
        return (self._asound / "cards").exists()

    @property
    def forbidden(self) -> bool:
        """Whether there are sound devices that this user may not open."""
        devices = list(self._devices.glob("pcm*c"))
        return bool(devices) and not any(os.access(each, os.R_OK) for each in devices)

    def all(self) -> list[Card]:
        """Return the cards that can record, by number."""
        found = []
        for line in _text(self._asound / "cards").splitlines():
            head = _CARD_LINE.match(line)
            if head and (card := self._card(int(head[1]), head[2], head[4].strip())).pcms:
                found.append(card)
        return sorted(found, key=lambda card: card.number)

    def find(self, spec: DeviceSpec) -> Card:
        """Return the one card that a ``hw:``, ``card-id:``, ``usb-…:`` string means.

        Raises:
            NoCardError: none is, or several are.

        """
        cards = self.all()
        hits = [card for card in cards if _is(card, spec)]
        if len(hits) == 1:
            return hits[0]
        if hits:
            ways = ", ".join(stable_name(card, cards) for card in hits)
            raise NoCardError(f"{len(hits)} devices are {spec}: name one by its port: {ways}")
        there = ", ".join(stable_name(card, cards) for card in cards)
        remedy = (
            f"plug it in, or choose one that is there: {there}"
            if there
            else "there are no sound cards"
        )
        raise NoCardError(f"not plugged in: {remedy}")

    def holder(self, number: int, pcm: int | None) -> Holder | None:
        """Return who has this input open."""
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
    """Return the device string that will mean this card after a reboot or a replug."""
    if card.usb_id and card.serial and sum(each.serial == card.serial for each in cards) == 1:
        return f"usb-id:{card.usb_id}:{card.serial}"
    if card.usb_path:
        return f"usb-path:{card.usb_path}"
    return f"card-id:{card.id}"


def _is(card: Card, spec: DeviceSpec) -> bool:
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
    """Return what the file says; nothing where it went away, as cards do at any moment."""
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
