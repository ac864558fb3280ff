"""The files of the journal in the state folder: finding, creating, setting aside."""

from __future__ import annotations

import errno
import os
import re
import stat
from pathlib import Path

from asd_monitor.journal.sqlite_errors import JournalError
from asd_monitor.private_files import (
    rename_without_overwriting,
    sync_folder,
    write_private_file,
)

FILE_NAME = "alarms.db"
_SIDE_FILES = ("-wal", "-shm")  # of SQLite in WAL mode
_PART_SUFFIX, _NEW_SUFFIX = ".part", ".new"  # while it is written; complete
_WHICH_FOLDER = (
    "name the daemon's state folder with --state (that of the service asd-monitor@NAME is"
    " /var/lib/asd-monitor/NAME, for root only: sudo)"
)


def find_journal(state_dir: Path) -> Path | None:
    """Return the file of an existing journal; None where the folder has none.

    Raises `JournalError` where the folder does not exist or cannot be read: that must not look like
    a folder without alarms.
    """
    path = state_dir / FILE_NAME
    try:
        with os.scandir(state_dir):
            pass
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            raise JournalError(
                f"{path}: this is not a file: restart the daemon, which sets it aside and begins a"
                " new journal"
            )
        with path.open("rb"):
            pass
    except FileNotFoundError as error:
        if path.is_symlink():
            raise JournalError(
                f"{path}: a link to a file that does not exist: correct the link"
            ) from error
        if state_dir.is_dir():
            return None
        raise JournalError(f"{state_dir}: no such folder: {_WHICH_FOLDER}") from error
    except PermissionError as error:
        raise JournalError(
            f"{error.filename}: no permission to read it: use sudo, or {_WHICH_FOLDER}"
        ) from error
    except OSError as error:
        raise JournalError(f"{error.filename}: {error.strerror}: {_WHICH_FOLDER}") from error
    return path


def create_journal(path: Path, content: bytes) -> None:
    """Write a new journal for its owner only, atomically.

    Raises OSError: FileExistsError where there is a file already.
    """
    _write_new(path, content)
    _take_new(path)


def replace_journal(path: Path, content: bytes, *, reason: str) -> Path:
    """Put a journal in the place of the present one, which is renamed; return its new path.

    The new one is complete on the disk before.  Raises OSError; then the present one stays.
    """
    _write_new(path, content)
    kept = set_aside(path, reason)
    _take_new(path)
    return kept


def finish_replacement(path: Path) -> None:
    """Complete, or undo, a replacement that the end of the process has interrupted.

    Raises OSError.
    """
    new = path.with_name(path.name + _NEW_SUFFIX)
    if not new.exists():
        return
    if _has_content(path):
        new.unlink()
        return
    if any(path.with_name(path.name + suffix).exists() for suffix in _SIDE_FILES):
        set_aside(path, "damaged")  # the log belongs to the journal that was renamed
    _take_new(path)


def set_aside(path: Path, reason: str) -> Path:
    """Rename a journal to ``alarms.db.REASON-N``, so that a new one can begin; return its new path.

    The files of SQLite beside it are renamed with it, for a later repair.  The number is higher
    than that of every earlier one, and no file is overwritten.  Raises OSError.
    """
    return _rename(path, reason, ("", *_SIDE_FILES))


def set_log_aside(path: Path, reason: str) -> None:
    """Rename the files of SQLite beside a journal that is another one now.  Raises OSError."""
    if any(os.path.lexists(path.with_name(path.name + suffix)) for suffix in _SIDE_FILES):
        _rename(path, reason, _SIDE_FILES)


def log_identity(path: Path) -> int | None:
    """Return the number of the write-ahead log in its file system; None where there is none."""
    try:
        return path.with_name(path.name + _SIDE_FILES[0]).stat().st_ino
    except OSError:
        return None


def _rename(path: Path, reason: str, suffixes: tuple[str, ...]) -> Path:
    earlier = re.compile(rf"{re.escape(f'{path.name}.{reason}')}-(\d+)")
    names = [file.name for file in path.parent.iterdir()]
    numbers = [int(found[1]) for name in names if (found := earlier.match(name))]
    kept = path.with_name(f"{path.name}.{reason}-{max(numbers, default=0) + 1}")
    for suffix in suffixes:  # a log without its database is recognised as damage
        file = path.with_name(path.name + suffix)
        if os.path.lexists(file):
            rename_without_overwriting(file, kept.with_name(kept.name + suffix))
    sync_folder(path.parent)
    return kept


def _write_new(path: Path, content: bytes) -> None:
    part = path.with_name(path.name + _PART_SUFFIX)
    try:
        write_private_file(part, content)
        part.replace(path.with_name(path.name + _NEW_SUFFIX))
    finally:
        part.unlink(missing_ok=True)


def _take_new(path: Path) -> None:
    if _has_content(path):
        raise FileExistsError(errno.EEXIST, "another program has created it", str(path))
    path.with_name(path.name + _NEW_SUFFIX).replace(path)
    sync_folder(path.parent)


def _has_content(path: Path) -> bool:
    """Return whether there is anything but an empty file."""
    return os.path.lexists(path) and not (path.is_file() and path.stat().st_size == 0)
