"""The file of the journal in the state folder."""

from __future__ import annotations

import os
import re
from pathlib import Path

from asd_monitor.journal.sqlite_errors import JournalError

FILE_NAME = "alarms.db"
_SIDE_FILES = ("-wal", "-shm")  # of SQLite in WAL mode
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
        path.stat()
    except FileNotFoundError as error:
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


def needs_write_access(path: Path) -> bool:
    """Return whether SQLite must be able to write to read this journal.

    It shares a journal with other processes by files beside it.  Where there are none and the
    folder is not writable, the journal does not change and can be read alone.
    """
    writable = os.access(path.parent, os.W_OK, effective_ids=True)
    return writable or path.with_name(f"{FILE_NAME}-wal").exists()


def set_aside(state_dir: Path) -> Path:
    """Rename a damaged journal, so that a new one can begin; return its new path.

    The files of SQLite beside it are renamed with it, for a later repair.  The number of the new
    name is higher than that of every earlier one: none is overwritten.  Raises OSError.
    """
    path = state_dir / FILE_NAME
    earlier = re.compile(rf"{re.escape(FILE_NAME)}\.damaged-(\d+)")
    numbers = [int(found[1]) for file in state_dir.iterdir() if (found := earlier.match(file.name))]
    kept = path.with_name(f"{FILE_NAME}.damaged-{max(numbers, default=0) + 1}")
    path.rename(kept)
    for suffix in _SIDE_FILES:
        side_file = path.with_name(FILE_NAME + suffix)
        if side_file.exists():
            side_file.rename(kept.with_name(kept.name + suffix))
    return kept
