"""`asd-monitor devices`: the input devices of this computer."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from typing import TYPE_CHECKING

import typer

from asd_monitor.cli.options import AsJson
from asd_monitor.errors import OperationError

if TYPE_CHECKING:
    from asd_monitor.audio.inputs import AudioInput, InputListing


def command(*, as_json: AsJson = False) -> None:
    """List the input devices of this computer.

    The name in the column `device` stays the same after a restart.
    """
    listing = asyncio.run(_list())
    for problem in listing.problems:
        if listing.inputs:
            typer.echo(f"asd-monitor: {problem}", err=True)
    if not listing.inputs and listing.problems:
        raise OperationError("; ".join(listing.problems))
    if as_json:
        typer.echo(json.dumps([dataclasses.asdict(each) for each in listing.inputs], indent=2))
    elif listing.inputs:
        _print_table(listing.inputs)
    else:
        typer.echo(
            "no input device found: connect a microphone; recordings are the device file:PATH",
            err=True,
        )


async def _list() -> InputListing:
    from asd_monitor.audio.devices.cards import Cards
    from asd_monitor.audio.devices.sound_server import SoundServer
    from asd_monitor.audio.inputs import list_inputs

    server = SoundServer()
    try:
        return await list_inputs(Cards(), server)
    finally:
        server.close()


def _print_table(inputs: tuple[AudioInput, ...]) -> None:
    from rich.text import Text

    from asd_monitor.cli.console import plain_table, result_console

    table = plain_table("device", "now", "name", "channels", "rates (Hz)", "used by")
    for each in inputs:
        table.add_row(
            Text(each.device),
            Text(each.hw or ""),
            Text(each.name),
            Text(" ".join(map(str, each.channels)) or "any"),
            Text(" ".join(map(str, each.rates_hz)) or "?"),
            Text(str(each.holder) if each.holder else ""),
        )
    result_console().print(table)
