"""A consistent copy of a SQLite database while another process writes to it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from asd_monitor.backup.sources import open_regular
from asd_monitor.errors import OperationError

_SUFFIX = ".db"
_MAGIC = b"SQLite format 3\0"
_WAL = 2  # file format of a database with a write-ahead log, at byte 19
_BUSY_TIMEOUT_S = 10.0
_DAMAGE = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})


class DamagedDatabaseError(Exception):
    """SQLite cannot read a database; the message says why."""


def is_database(path: Path) -> bool:
    """Return whether a file is a database that may be written meanwhile.  Raises OSError."""
    if path.suffix != _SUFFIX:
        return False
    with open(path, "rb", opener=open_regular) as file:
        return file.read(len(_MAGIC)) == _MAGIC


def copy_database(path: Path, copy: Path) -> str | None:
    """Copy a database by SQLite's online backup: as it was at one moment, with its log.

    Returns:
        What is wrong with the content; None: nothing.

    Raises:
        DamagedDatabaseError: it cannot be copied that way.
        OperationError: it is locked, or may not be read.

    """
    try:
        with (
            closing(_connect(path)) as source,
            closing(sqlite3.connect(copy, isolation_level=None)) as target,
        ):
            source.backup(target)
            (found,) = target.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGE:
            raise DamagedDatabaseError(str(error)) from error
        raise OperationError(
            f"{path}: the database cannot be copied ({error}): call this as the user of the daemon "
            "or as root, and free space where the disk is full"
        ) from error
    return None if found == "ok" else str(found).splitlines()[-1]


def _connect(path: Path) -> sqlite3.Connection:
    """Open a database.

    One with a write-ahead log is opened for reading, since the last connection that may write would
    copy the log to the file at its end: that is the daemon's.  Without such a log a change that was
    interrupted has to be undone first, which needs write access.
    """
    with open(path, "rb", opener=open_regular) as file:
        mode = "ro" if file.read(20)[19:] == bytes([_WAL]) else "rw"
    return sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}",
        uri=True,
        timeout=_BUSY_TIMEOUT_S,
        isolation_level=None,
    )
