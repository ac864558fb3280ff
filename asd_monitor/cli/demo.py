"""`asd-monitor demo`: no microphone, no broker, no recordings, and an alarm all the same."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def command(
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="Folder for what it makes; new or empty.",
            show_default="asd-monitor-demo, here",
        ),
    ] = None,
    family: Annotated[
        str,
        typer.Option(help="Kind of machine: fan, pump, gearbox, slider, valve, compressor …"),
    ] = "fan",
    fault: Annotated[
        str, typer.Option(help="What goes wrong: bearing, leak, loose, squeal, rub …")
    ] = "bearing",
    seed: Annotated[int, typer.Option(min=0, help="Another number, another machine.")] = 1,
) -> None:
    """Make a machine's sound, learn it, monitor it, let a fault grow; takes about a minute."""
    from rich.console import Console

    from asd_monitor.demo.demonstration import perform
    from asd_monitor.demo.folder import fresh_folder
    from asd_monitor.demo.scenario import draw_scenario

    scenario = draw_scenario(family, fault, seed)
    perform(scenario, fresh_folder(output, Path.cwd()), Console())
