"""A udev rule that gives a USB sound card an ALSA id of its own; pure.

The kernel takes 15 letters, digits, `_` and `-` as id of a card (`snd_card_set_id`).  Values in a
rule are patterns of the shell, udev(7).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from asd_monitor.audio.devices.cards import Card, stable_name
from asd_monitor.errors import UsageError

_MAX_ID = 15
_PLAIN = re.compile(r"[\w .:/+,@-]+\Z", re.ASCII)
"""Text that a rule takes literally."""


@dataclass(frozen=True, slots=True)
class UdevRule:
    """The rule, and the id that it gives."""

    line: str
    card_id: str
    by: str  # what the card is recognised by

    @property
    def file(self) -> str:
        """Where to save it."""
        return f"/etc/udev/rules.d/85-asd-monitor-{self.card_id}.rules"


def rule_of(card: Card, cards: Sequence[Card]) -> UdevRule:
    """Return the rule for a card: by its serial number where that is unique, else by its port.

    Args:
        card: the card.
        cards: all cards.

    Raises:
        UsageError: it is not a USB device; the message lists those that are.

    """
    if card.usb_path is None or card.usb_id is None:
        raise UsageError(
            f"{card.name} ({card.id}) is not a USB device, and its name stays the same anyhow: "
            f"{usb_cards(cards)}"
        )
    serial = card.serial
    same = [each for each in cards if (each.usb_id, each.serial) == (card.usb_id, serial)]
    if serial is not None and len(same) == 1 and _PLAIN.fullmatch(serial):
        vendor, _, product = card.usb_id.partition(":")
        match = (
            f'ATTRS{{idVendor}}=="{vendor}", ATTRS{{idProduct}}=="{product}", '
            f'ATTRS{{serial}}=="{serial}"'
        )
        name, by = _id_of(serial, f"{card.usb_id}:{serial}"), f"its serial number {serial}"
    else:
        match = f'KERNELS=="{card.usb_path}"'
        name, by = _id_of(card.usb_path, card.usb_path), f"its USB port {card.usb_path}"
    taken = {each.id for each in cards if each is not card}
    if name in taken:
        name = _hashed(f"{card.usb_id}:{serial}:{card.usb_path}")
    line = (
        f'ACTION=="add", SUBSYSTEM=="sound", KERNEL=="card*", SUBSYSTEMS=="usb", {match}, '
        f'ATTR{{id}}="{name}"'
    )
    return UdevRule(line, name, by)


def usb_cards(cards: Sequence[Card]) -> str:
    """Return the remedy that lists the USB cards."""
    names = [stable_name(card, list(cards)) for card in cards if card.usb_path is not None]
    if not names:
        return "this computer has no USB sound card: plug it in"
    return f"choose one of the USB sound cards: {', '.join(names)}"


def _id_of(text: str, whole: str) -> str:
    """Return an id that shows a port or a serial number where that fits."""
    name = "mic_" + re.sub(r"[^A-Za-z0-9]", "_", text)
    return name if len(name) <= _MAX_ID else _hashed(whole)


def _hashed(text: str) -> str:
    return "mic_" + hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:8]
