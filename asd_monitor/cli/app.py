"""The program `asd-monitor`: its commands, and how it ends.

Each command is a module of its own, which is imported when it is called, and imports what it needs
when it runs, so that commands that need little start fast.
"""

from __future__ import annotations

import io
import os
import sys
from typing import Annotated

import typer

from asd_monitor import __version__
from asd_monitor.cli.command_group import CommandGroup
from asd_monitor.cli.commands_on_demand import CommandModule, group_on_demand
from asd_monitor.cli.many_values import ManyValues
from asd_monitor.errors import AsdMonitorError

_COMMANDS = {
    "demo": CommandModule("asd_monitor.cli.demo", "Demonstrate training, monitoring and an alarm."),
    "setup": CommandModule("asd_monitor.cli.setup", "Set up a machine, step by step."),
    "train": CommandModule(
        "asd_monitor.cli.train", "Train a model of a machine's normal sound.", cls=ManyValues
    ),
    "run": CommandModule("asd_monitor.cli.run", "Monitor machines: the daemon."),
    "score": CommandModule("asd_monitor.cli.score", "Score recordings, per window or per file."),
    "backtest": CommandModule(
        "asd_monitor.cli.backtest", "List the alarms that recordings would have raised."
    ),
    "evaluate": CommandModule(
        "asd_monitor.cli.evaluate", "Evaluate detection on a data set of DCASE Task 2."
    ),
    "pretrain": CommandModule(
        "asd_monitor.cli.pretrain", "Train the package's encoder from scratch.", cls=ManyValues
    ),
    "devices": CommandModule(
        "asd_monitor.cli.devices", "List the input devices, each with a permanent name."
    ),
    "doctor": CommandModule(
        "asd_monitor.cli.doctor", "Examine this installation: what is wrong, and why."
    ),
    "record": CommandModule("asd_monitor.cli.record", "Record a machine's normal sound."),
    "udev-rule": CommandModule(
        "asd_monitor.cli.udev_rule", "Print a udev rule that names a USB sound card."
    ),
    "models": CommandModule("asd_monitor.cli.models"),
    "alarms": CommandModule("asd_monitor.cli.alarms"),
    "config": CommandModule("asd_monitor.cli.config_command"),
    "box": CommandModule("asd_monitor.cli.box"),
}

app = CommandGroup(
    "asd-monitor",
    "Monitors machines by their sound and raises alarms over MQTT.",
    cls=group_on_demand(_COMMANDS),
)


def _print_version(wanted: bool) -> None:  # noqa: FBT001 - the signature that typer calls
    if wanted:
        typer.echo(f"asd-monitor {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    *,
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run the command line; errors of the package end it with a message and an exit code."""
    # The matrices are small: with several threads OpenBLAS spends its time on synchronisation,
    # ten times as much on a busy computer.  Read at numpy's import, also by child processes.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    for stream in (sys.stdout, sys.stderr):  # names of files need not be text in this encoding
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        app()
    except AsdMonitorError as error:
        typer.echo(f"asd-monitor: {error}", err=True)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
