"""`asd-monitor config`: checks and shows a configuration file."""

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

File = Annotated[
    Path, typer.Argument(metavar="FILE", help="Configuration file (YAML).", readable=False)
]


@app.command(short_help="Check a file: report every error, with place and remedy.")
def check(file: File, *, as_json: AsJson = False) -> None:
    """Check a file: report every error with place and remedy, and settings without effect."""
    from asd_monitor.config.loading import ConfigError
    from asd_monitor.encoders.runtime import check_provider
    from asd_monitor.wording import count

    try:
        read = _read(file, check_provider=check_provider)
    except ConfigError as error:
        if not as_json:
            raise
        document = {"file": str(file), "ok": False, "errors": list(error.problems), "notices": []}
        typer.echo(json.dumps(document, indent=2))
        raise typer.Exit(error.exit_code) from error
    if as_json:
        machines = list(read.config.machines)
        document = {"file": str(file), "ok": True, "errors": [], "notices": list(read.notices)}
        typer.echo(json.dumps(document | {"machines": machines}, indent=2))
        return
    for notice in read.notices:
        typer.echo(f"notice: {notice}")
    typer.echo(f"{file}: valid, {count(len(read.config.machines), 'machine')}")


@app.command()
def show(file: File, *, as_json: AsJson = False) -> None:
    """Print every setting in effect, defaults included."""
    from asd_monitor.config.loading import as_yaml

    config = _read(file).config
    text = json.dumps(config.as_written(), indent=2) if as_json else as_yaml(config).rstrip()
    typer.echo(text)


@app.command(short_help="Print the JSON Schema of the file, for editors.")
def schema() -> None:
    """Print the JSON Schema of the file, for editors that validate YAML."""
    from asd_monitor.config.settings import file_schema

    typer.echo(json.dumps(file_schema(), indent=2))


def _read(file: Path, *, check_provider: ProviderCheck | None = None) -> ConfigFile:
    from asd_monitor.audio.devices.device_strings import parse_device
    from asd_monitor.config.loading import read_config

    return read_config(file, check_device=parse_device, check_provider=check_provider)
