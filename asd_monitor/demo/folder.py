"""Where the demonstration puts what it makes."""

from __future__ import annotations

from pathlib import Path

from asd_monitor.errors import OperationError, UsageError

NAME = "asd-monitor-demo"


def fresh_folder(wanted: Path | None, here: Path) -> Path:
    """Make and return the folder: `wanted`, or a new ``asd-monitor-demo`` in `here`.

    Raises UsageError where `wanted` holds something, OperationError where it cannot be made.
    """
    folder = wanted if wanted is not None else _unused(here)
    try:
        if folder.exists() and any(folder.iterdir()):
            raise UsageError(f"{folder} is not empty: name a new folder with --output")
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OperationError(
            f"{folder} cannot be made ({error.strerror}): name another folder with --output"
        ) from error
    return folder.resolve()


def _unused(here: Path) -> Path:
    number, folder = 1, here / NAME
    while folder.exists():
        number += 1
        folder = here / f"{NAME}-{number}"
    return folder
