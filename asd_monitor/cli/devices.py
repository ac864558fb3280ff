"""`asd-monitor devices`: what there is to listen to."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from typing import TYPE_CHECKING

import typer

from asd_monitor.cli.options import AsJson
from asd_monitor.errors import OperationError

if TYPE_CHECKING:
    from asd_monitor.audio.devices.inputs import Input, Listing


def command(*, as_json: AsJson = False) -> None:
    """List the inputs of this computer, each with a device string that lasts."""
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
        typer.echo("no inputs: plug a microphone in", err=True)


async def _list() -> Listing:
    from asd_monitor.audio.devices.cards import Cards
    from asd_monitor.audio.devices.inputs import list_inputs
    from asd_monitor.audio.devices.sound_server import SoundServer

    server = SoundServer()
    try:
        return await list_inputs(Cards(), server)
    finally:
        server.close()


def _print_table(inputs: tuple[Input, ...]) -> None:
    from rich.table import Table
    from rich.text import Text

    from asd_monitor.cli.console import result_console

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("device", no_wrap=True)
    for heading in ("now", "name", "channels", "rates (Hz)", "held by"):
        table.add_column(heading)
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
