"""Options that several commands share, and where things lie by default."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import platformdirs
import typer


def default_state_dir() -> Path:
    """Return systemd's state folder where there is one, else the user's XDG state folder."""
    under_systemd = os.environ.get("STATE_DIRECTORY")
    if under_systemd:
        return Path(under_systemd.split(":")[0])
    return Path(platformdirs.user_state_dir("asd-monitor"))


def default_models_dir() -> Path:
    """Return the models folder: inside systemd's state folder, else the user's XDG data folder."""
    under_systemd = os.environ.get("STATE_DIRECTORY")
    if under_systemd:
        return Path(under_systemd.split(":")[0]) / "models"
    return Path(platformdirs.user_data_dir("asd-monitor")) / "models"


ModelsDir = Annotated[
    Path,
    typer.Option(
        "--models",
        envvar="ASD_MONITOR_MODELS",
        help="Folder of the trained models.",
        default_factory=default_models_dir,
        show_default=False,
        readable=False,  # our own message says it in one line
    ),
]
StateDir = Annotated[
    Path,
    typer.Option(
        "--state",
        envvar="ASD_MONITOR_STATE",
        help="Folder of alarms and what was learned.",
        default_factory=default_state_dir,
        show_default=False,
        readable=False,
    ),
]
Machine = Annotated[
    str,
    typer.Option("--machine", "-m", help="The machine's id, such as fan01.", show_default=False),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
EncoderFiles = Annotated[
    list[Path] | None,
    typer.Option(
        "--encoder",
        metavar="FILE.onnx",
        help="Listen with this network too; its card FILE.yaml lies beside it.",
        show_default=False,
        readable=False,
    ),
]
NoShippedEncoder = Annotated[
    bool,
    typer.Option("--no-shipped-encoder", help="Leave out the network that comes along."),
]
