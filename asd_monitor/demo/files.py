"""The files of a demonstration: their names in its folder, and the folder itself."""

from __future__ import annotations

from pathlib import Path

from asd_monitor.errors import OperationError, UsageError

NAME = "asd-monitor-demo"
MACHINE = "demo01"
TRAINING = "normal"  # folder of the training recordings
MONITORED = "growing-fault.flac"
MODELS = "models"
STATE = "state"
CONFIG = "asd-monitor.yaml"
DISPLAY = "display.svg"
MQTT_LOG = "mqtt.jsonl"
TRAIN_LOG = "train.log"
RUN_LOG = "run.log"


def new_folder(chosen: Path | None, parent: Path) -> Path:
    """Create and return the chosen folder, or a new ``asd-monitor-demo`` in `parent`.

    Raises:
        UsageError: the chosen folder is not empty.
        OperationError: it cannot be created.

    """
    folder = chosen if chosen is not None else _unused(parent)
    try:
        if folder.exists() and any(folder.iterdir()):
            raise UsageError(f"{folder}: not empty: name a new folder with --output")
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OperationError(
            f"{folder}: cannot be created ({error.strerror}): name another folder with --output"
        ) from error
    return folder.resolve()


def _unused(parent: Path) -> Path:
    number, folder = 1, parent / NAME
    while folder.exists():
        number += 1
        folder = parent / f"{NAME}-{number}"
    return folder
