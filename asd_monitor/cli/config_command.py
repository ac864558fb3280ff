"""`asd-monitor config`: checks and shows a configuration file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from asd_monitor.cli.command_group import CommandGroup
from asd_monitor.cli.options import AsJson, OptionalModelsDir, default_models_dir

if TYPE_CHECKING:
    from collections.abc import Iterator

    from asd_monitor.config.loading import Notice
    from asd_monitor.config.settings import Config

app = CommandGroup("config", "Check and show a configuration file.")

File = Annotated[
    Path, typer.Argument(metavar="FILE", help="Configuration file (YAML).", readable=False)
]


@app.command(short_help="Check a file: report every error, with place and remedy.")
def check(file: File, *, models: OptionalModelsDir = None, as_json: AsJson = False) -> None:
    """Check a file as `run` does: report every error with place and remedy.

    Notices report settings without effect, and what is missing now: broker, devices, recordings,
    models.
    """
    from asd_monitor.cli.configuration import read_for_run
    from asd_monitor.config.loading import ConfigError
    from asd_monitor.wording import count

    def find_more(config: Config) -> Iterator[Notice]:
        from asd_monitor.cli.this_computer import find_missing

        return find_missing(config, models or models_of(file))

    try:
        read = read_for_run(file, find_more)
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
    from asd_monitor.audio.devices.device_strings import parse_device
    from asd_monitor.config.loading import as_yaml, load_config

    config = load_config(file, parse_device)
    text = json.dumps(config.as_written(), indent=2) if as_json else as_yaml(config).rstrip()
    typer.echo(text)


@app.command(short_help="Print the JSON Schema of the file, for editors.")
def schema() -> None:
    """Print the JSON Schema of the file, for editors that validate YAML."""
    from asd_monitor.config.settings import file_schema

    typer.echo(json.dumps(file_schema(), indent=2))


def models_of(file: Path) -> Path:
    """Return the models folder of the service that reads the file, else that of the user."""
    from asd_monitor.cli.service_folders import service_state

    state = service_state(file)
    return default_models_dir() if state is None else state / "models"
