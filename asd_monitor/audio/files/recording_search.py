"""Search for recordings below a path, in natural order."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from asd_monitor.errors import OperationError, UsageError

_SUFFIXES = "wav wave flac ogg oga opus mp3 aif aiff aifc au snd caf w64 rf64"
SUFFIXES = frozenset(f".{name}" for name in _SUFFIXES.split())
"""File name suffixes of recordings in a folder, in lower case; the search ignores case."""


class RecordingNotFoundError(UsageError):
    """The file or folder does not exist."""


def not_found(path: Path) -> RecordingNotFoundError:
    """Return the error for a path that does not exist."""
    return RecordingNotFoundError(f"{path}: no such file or folder: correct the path")


def no_permission(path: Path) -> OperationError:
    """Return the error for a file or folder that this user may not read."""
    return OperationError(
        f"{path}: no permission to read it: allow this user to (chmod -R o+rX on it, o+x on the "
        "folders above it)"
    )


def natural_order(path: Path) -> tuple[tuple[int, int, str], ...]:
    """Return a sort key that places ``2.wav`` before ``10.wav``, folder by folder."""
    pieces = re.split(r"(\d+)", str(path).casefold())
    return tuple(
        (0, int(piece), piece) if piece.isdigit() and piece.isascii() else (1, 0, piece)
        for piece in pieces
        if piece
    )


def find_recordings(path: Path) -> list[Path]:
    """Return a file itself, or the recordings below a folder in natural order.

    In a folder, hidden files and files without one of the `SUFFIXES` are ignored.

    Raises:
        RecordingNotFoundError: the path does not exist.
        UsageError: the folder contains no recording.
        OperationError: no permission.

    """
    try:
        if path.is_dir():
            found = list(_walk(path))
        elif path.exists():
            return [path]
        else:
            raise not_found(path)
    except PermissionError as error:
        raise no_permission(Path(error.filename or path)) from error
    if not found:
        raise UsageError(f"{path}: no recording in this folder: put WAV or FLAC files there")
    return sorted(found, key=lambda each: natural_order(each.relative_to(path)))


def _walk(folder: Path) -> Iterator[Path]:
    def fail(error: OSError) -> None:
        raise error

    for parent, folders, names in os.walk(folder, onerror=fail):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            if not name.startswith(".") and Path(name).suffix.lower() in SUFFIXES:
                yield Path(parent, name)
