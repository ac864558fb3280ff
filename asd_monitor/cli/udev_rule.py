"""`asd-monitor udev-rule`: a rule that gives a USB sound card a name of its own."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import typer

from asd_monitor.cli.options import device_option
from asd_monitor.errors import UsageError

Device = Annotated[
    str | None,
    device_option("USB sound card", "the only one"),
]


def command(*, device: Device = None) -> None:
    """Print a udev rule that gives a USB sound card an ALSA id of its own.

    The rule goes to stdout; where to save it, and which device to configure then, to stderr.
    """
    from asd_monitor.audio.devices.cards import CardNotFoundError, Cards
    from asd_monitor.audio.devices.device_strings import parse_device
    from asd_monitor.diagnosis.presence import CARD_KINDS
    from asd_monitor.diagnosis.udev_rule import rule_of, usb_cards

    all_cards = Cards().all()
    if device is None:
        usb = [card for card in all_cards if card.usb_path is not None]
        if len(usb) != 1:
            raise UsageError(f"no --device: {usb_cards(all_cards)}")
        card = usb[0]
    else:
        spec = replace(parse_device(device), channel=None)
        if spec.kind not in CARD_KINDS:
            raise UsageError(f"{spec} does not name a sound card: {usb_cards(all_cards)}")
        try:
            card = Cards().find(spec)
        except CardNotFoundError as error:
            raise UsageError(f"{spec}: {error}") from error
    rule = rule_of(card, all_cards)
    name = device or f"usb-path:{card.usb_path}"
    typer.echo(rule.line)
    typer.echo(
        f"The rule recognises {card.name} by {rule.by}.  Save it and apply it:\n"
        f"  asd-monitor udev-rule --device {name} | sudo tee {rule.file}\n"
        "  sudo udevadm control --reload\n"
        "and unplug the card and plug it in again.  "
        f'Then configure `device: "card-id:{rule.card_id}"`.',
        err=True,
    )
