"""`asd-monitor demo`: a demonstration without microphone, broker or recordings."""

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
            metavar="DIR",
            help="New or empty folder.",
            show_default="./asd-monitor-demo",
        ),
    ] = None,
    family: Annotated[
        str,
        typer.Option(
            metavar="NAME", help="Machine: fan, pump, gearbox, slider, valve, compressor …"
        ),
    ] = "fan",
    fault: Annotated[
        str,
        typer.Option(metavar="NAME", help="Simulated fault: bearing, leak, loose, squeal, rub …"),
    ] = "bearing",
    seed: Annotated[
        int, typer.Option(metavar="N", min=0, help="Seed of the machine and its sound.")
    ] = 1,
) -> None:
    """Demonstrate training, monitoring and an alarm on a synthetic machine, in about a minute."""
    from rich.console import Console

    from asd_monitor.demo.files import new_folder
    from asd_monitor.demo.scenario import draw_scenario
    from asd_monitor.extras import DEMO, require_extra

    require_extra("demo", DEMO)
    from asd_monitor.demo.demonstration import run_demonstration

    scenario = draw_scenario(family, fault, seed)
    run_demonstration(scenario, new_folder(output, Path.cwd()), Console())
