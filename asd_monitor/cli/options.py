"""Options that several commands share, and the default folders."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import platformdirs
import typer

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
    if version is not None and not (version.startswith("v") and version[1:].isdecimal()):
        raise UsageError(f"{version!r} is not a version: write v1, v2, …")
    return version


ModelsDir = Annotated[
    Path,
    typer.Option(
        "--models",
        metavar="DIR",
        envvar="ASD_MONITOR_MODELS",
        help="Folder of the models.",
        default_factory=default_models_dir,
        show_default=False,
        readable=False,  # the command reports an unreadable folder in one line
    ),
]
StateDir = Annotated[
    Path,
    typer.Option(
        "--state",
        metavar="DIR",
        envvar="ASD_MONITOR_STATE",
        help="State folder of the daemon.",
        default_factory=default_state_dir,
        show_default=False,
        readable=False,
    ),
]
Machine = Annotated[
    str,
    typer.Option(
        "--machine",
        "-m",
        metavar="ID",
        callback=check_machine_id,
        help="Id of the machine, such as fan01.",
        show_default=False,
    ),
]
OptionalDevice = Annotated[
    str | None,
    typer.Option(
        "--device",
        "-d",
        metavar="DEVICE",
        help="Input device; `asd-monitor devices` lists them.",
        show_default=False,
    ),
]
OptionalMachine = Annotated[
    str | None,
    typer.Option(
        "--machine",
        "-m",
        metavar="ID",
        callback=check_machine_id,
        help="Id of the machine, such as fan01.",
        show_default=False,
    ),
]
OnlyMachine = Annotated[
    str | None,
    typer.Option(
        "--machine",
        "-m",
        metavar="ID",
        callback=check_machine_id,
        help="Only this machine.",
        show_default="all",
    ),
]
ModelVersion = Annotated[
    str | None,
    typer.Option(
        "--version",
        metavar="VERSION",
        callback=check_version,
        help="Version of the model, such as v2.",
        show_default="the version in use",
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
MachineConfig = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        help="Configuration file with budgets and commissioning of this machine.",
        readable=False,
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
