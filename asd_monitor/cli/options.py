"""Options that several commands share, and the default folders."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import platformdirs
import typer
from typer.models import OptionInfo

from asd_monitor.errors import UsageError
from asd_monitor.names import check_id


def default_state_dir() -> Path:
    """Return systemd's state folder under systemd, else the user's XDG state folder."""
    under_systemd = os.environ.get("STATE_DIRECTORY")
    if under_systemd:
        return Path(under_systemd.split(":")[0])
    return Path(platformdirs.user_state_dir("asd-monitor"))


def default_models_dir() -> Path:
    """Return ``models`` in systemd's state folder, else the user's XDG data folder."""
    under_systemd = os.environ.get("STATE_DIRECTORY")
    if under_systemd:
        return Path(under_systemd.split(":")[0]) / "models"
    return Path(platformdirs.user_data_dir("asd-monitor")) / "models"


def check_machine_id(machine: str | None) -> str | None:
    """Return the id of a machine, or None, as it is.  Raises `UsageError` where it is none."""
    return None if machine is None else check_id(machine)


def check_version(version: str | None) -> str | None:
    """Return the name of a version, or None, as it is.  Raises `UsageError` where it is none."""
    if version is not None and not is_version(version):
        raise UsageError(f"{version!r} is not a version: write v1, v2, …")
    return version


def is_version(text: str) -> bool:
    """Return whether a text has the form of the name of a version."""
    return text.startswith("v") and text[1:].isdecimal()


def models_option(
    shown_default: str | None = None, *, default: Callable[[], Path] | None = None
) -> OptionInfo:
    """Return the option of the folder of models, with the default that help shows or is used."""
    return _folder_option("--models", "Folder of the models.", shown_default, default)


def state_option(
    shown_default: str | None = None, *, default: Callable[[], Path] | None = None
) -> OptionInfo:
    """Return the option of the state folder, with the default that help shows or is used."""
    return _folder_option("--state", "State folder of the daemon.", shown_default, default)


def _folder_option(
    name: str, help_text: str, shown_default: str | None, default: Callable[[], Path] | None
) -> OptionInfo:
    option: OptionInfo = typer.Option(
        name,
        metavar="DIR",
        envvar=f"ASD_MONITOR_{name.removeprefix('--').upper()}",
        help=help_text,
        default_factory=default,
        show_default=shown_default or False,
        readable=False,  # the command reports an unreadable folder in one line
    )
    return option


def config_option(help_text: str, shown_default: str | None = None) -> OptionInfo:
    """Return the option of the configuration file; the command reports an unreadable one."""
    option: OptionInfo = typer.Option(
        "--config",
        "-c",
        metavar="FILE",
        help=help_text,
        show_default=shown_default or False,
        readable=False,
    )
    return option


def machine_option(help_text: str, shown_default: str | None = None) -> OptionInfo:
    """Return the option of the machine, whose id is checked."""
    option: OptionInfo = typer.Option(
        "--machine",
        "-m",
        metavar="ID",
        callback=check_machine_id,
        help=help_text,
        show_default=shown_default or False,
    )
    return option


def version_option(help_text: str, shown_default: str | None = None) -> OptionInfo:
    """Return the option of the version of a model, whose form is checked."""
    option: OptionInfo = typer.Option(
        "--version",
        metavar="VERSION",
        callback=check_version,
        help=help_text,
        show_default=shown_default or False,
    )
    return option


def device_option(help_text: str, shown_default: str | None = None) -> OptionInfo:
    """Return the option of the input device."""
    option: OptionInfo = typer.Option(
        "--device",
        "-d",
        metavar="DEVICE",
        help=f"{help_text}; `asd-monitor devices` lists them.",
        show_default=shown_default or False,
    )
    return option


MACHINE_HELP = "Id of the machine, such as fan01."
VERSION_HELP = "Version of the model, such as v2."
_OF_THE_SERVICE = "that of the service for a file in /etc/asd-monitor, else the user's"

ModelsDir = Annotated[Path, models_option(default=default_models_dir)]
StateDir = Annotated[Path, state_option(default=default_state_dir)]
OptionalModelsDir = Annotated[Path | None, models_option(_OF_THE_SERVICE)]
OptionalStateDir = Annotated[Path | None, state_option(_OF_THE_SERVICE)]
Machine = Annotated[str, machine_option(MACHINE_HELP)]
OptionalMachine = Annotated[str | None, machine_option(MACHINE_HELP)]
OnlyMachine = Annotated[str | None, machine_option("Only this machine.", "all")]
ModelVersion = Annotated[str | None, version_option(VERSION_HELP, "the version in use")]
OptionalDevice = Annotated[str | None, device_option("Input device")]
MachineConfig = Annotated[
    Path | None,
    config_option("Configuration file with budgets and commissioning of this machine."),
]
Broker = Annotated[
    str | None,
    typer.Option(
        "--broker", metavar="HOST[:PORT]", help="MQTT broker.", show_default="localhost:1883"
    ),
]
Channel = Annotated[
    int | None,
    typer.Option(
        "--channel",
        metavar="N",
        min=0,
        help="Channel of the recordings, from 0.",
        show_default="0",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
EncoderFiles = Annotated[
    list[Path] | None,
    typer.Option(
        "--encoder",
        metavar="FILE.onnx",
        help="Also use this network, described by the card FILE.yaml beside it.",
        show_default=False,
        readable=False,
    ),
]
NoShippedEncoder = Annotated[
    bool,
    typer.Option("--no-shipped-encoder", help="Do not use the encoder of the package."),
]
