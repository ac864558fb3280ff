"""The command line: `asd-monitor`.

Each command lives in a module of its own and imports what it needs when it is called,
so that `asd-monitor --version` and completion stay quick.
"""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from asd_monitor import __version__
from asd_monitor.cli import (
    alarms,
    backtest,
    config_command,
    demo,
    devices,
    evaluate,
    models,
    pretrain,
    record,
    run,
    score,
    train,
)
from asd_monitor.cli.many_values import ManyValues
from asd_monitor.errors import AsdMonitorError

app = typer.Typer(
    name="asd-monitor",
    help="Listens to machines day and night and tells when one sounds wrong.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _print_version(wanted: bool) -> None:  # noqa: FBT001 - typer hands the flag over like this
    if wanted:
        typer.echo(f"asd-monitor {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print it.")
    ] = False,
) -> None:
    pass


app.command("demo", short_help="Show all of it on this computer alone, in about a minute.")(
    demo.command
)
app.command(
    "train",
    cls=ManyValues,
    short_help="Learn a machine's normal sound: a new version of its model.",
)(train.command)
app.command("run", short_help="Listen to machines, day and night: the daemon.")(run.command)
app.command("score", short_help="Score recordings, a line a window or a file.")(score.command)
app.command("backtest", short_help="Tell the alarms that recordings would have raised.")(
    backtest.command
)
app.command("evaluate", short_help="Train and test on a data set in the layout of DCASE.")(
    evaluate.command
)
app.command("pretrain", cls=ManyValues, short_help="Train the encoder that ships, from nothing.")(
    pretrain.command
)
app.command("devices", short_help="List the microphones, each with a name that lasts.")(
    devices.command
)
app.command("record", short_help="Record a machine's normal sound, with a level meter.")(
    record.command
)
app.add_typer(models.app, name="models")
app.add_typer(alarms.app, name="alarms")
app.add_typer(config_command.app, name="config")


def main() -> None:
    """Run the command line; an error that is told to the user has no traceback."""
    # Our matrices are small: more threads than one only wait for each other, ten times as
    # long on a busy machine.  Read when numpy is first imported, and by child processes.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    try:
        app()
    except AsdMonitorError as error:
        typer.echo(f"asd-monitor: {error}", err=True)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
