"""`asd-monitor config`: help for the person who writes the configuration file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from asd_monitor.cli.options import AsJson

if TYPE_CHECKING:
    from asd_monitor.config.loading import ConfigFile, ProviderCheck

app = typer.Typer(
    name="config",
    help="Check and show a configuration file.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

File = Annotated[Path, typer.Argument(metavar="FILE", help="The configuration (YAML).")]


@app.command(short_help="Tell every error in the file, and what is to be noticed.")
def check(file: File, *, as_json: AsJson = False) -> None:
    """Tell every error in the file, and what in it does not do what one may expect."""
    from asd_monitor.config.loading import ConfigError
    from asd_monitor.encoders.runtime import check_provider

    try:
        read = _read(file, check_provider=check_provider)
    except ConfigError as error:
        if not as_json:
            raise
        told = {"file": str(file), "ok": False, "errors": list(error.problems), "notices": []}
        typer.echo(json.dumps(told, indent=2))
        raise typer.Exit(error.exit_code) from error
    if as_json:
        machines = list(read.config.machines)
        told = {"file": str(file), "ok": True, "errors": [], "notices": list(read.notices)}
        typer.echo(json.dumps(told | {"machines": machines}, indent=2))
        return
    for notice in read.notices:
        typer.echo(f"notice: {notice}")
    count = len(read.config.machines)
    typer.echo(f"{file}: good, {count} machine{'' if count == 1 else 's'}")


@app.command()
def show(file: File, *, as_json: AsJson = False) -> None:
    """Print every setting that the file leads to, the defaults included."""
    from asd_monitor.config.loading import as_yaml

    config = _read(file).config
    text = json.dumps(config.as_written(), indent=2) if as_json else as_yaml(config).rstrip()
    typer.echo(text)


@app.command(short_help="Print the JSON Schema of the file, for editors.")
def schema() -> None:
    """Print the JSON Schema of the file, for editors that check while you type."""
    from asd_monitor.config.settings import file_schema

    typer.echo(json.dumps(file_schema(), indent=2))


def _read(file: Path, *, check_provider: ProviderCheck | None = None) -> ConfigFile:
    from asd_monitor.audio.devices.device_strings import parse_device
    from asd_monitor.config.loading import read_config

    return read_config(file, check_device=parse_device, check_provider=check_provider)
