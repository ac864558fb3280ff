"""The program `asd-monitor`: its commands, and how it ends.

Each command is a module of its own and imports what it needs when it is called, so that
`asd-monitor --version` and shell completion start fast.
"""

from __future__ import annotations

import io
import os
import sys
from typing import Annotated

import typer

from asd_monitor import __version__
from asd_monitor.cli import (
    alarms,
    backtest,
    box,
    config_command,
    demo,
    devices,
    evaluate,
    models,
    pretrain,
    record,
    run,
    score,
    setup,
    train,
)
from asd_monitor.cli.command_group import CommandGroup
from asd_monitor.cli.many_values import ManyValues
from asd_monitor.errors import AsdMonitorError

app = CommandGroup("asd-monitor", "Monitors machines by their sound and raises alarms over MQTT.")


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


app.command("demo", short_help="Demonstrate training, monitoring and an alarm.")(demo.command)
app.command("setup", short_help="Set up a machine, step by step.")(setup.command)
app.command(
    "train",
    cls=ManyValues,
    short_help="Train a model of a machine's normal sound.",
)(train.command)
app.command("run", short_help="Monitor machines: the daemon.")(run.command)
app.command("score", short_help="Score recordings, per window or per file.")(score.command)
app.command("backtest", short_help="List the alarms that recordings would have raised.")(
    backtest.command
)
app.command("evaluate", short_help="Evaluate detection on a data set of DCASE Task 2.")(
    evaluate.command
)
app.command("pretrain", cls=ManyValues, short_help="Train the package's encoder from scratch.")(
    pretrain.command
)
app.command("devices", short_help="List the input devices, each with a permanent name.")(
    devices.command
)
app.command("record", short_help="Record a machine's normal sound.")(record.command)
app.add_typer(models.app, name="models")
app.add_typer(alarms.app, name="alarms")
app.add_typer(config_command.app, name="config")
app.add_typer(box.app, name="box")


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
