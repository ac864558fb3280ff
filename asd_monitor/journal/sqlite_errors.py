"""Errors of SQLite as errors of the journal.

They are classified by SQLite's result codes (https://www.sqlite.org/rescode.html), not by their
texts.  An unknown error is not taken for damage: a damaged journal is set aside.
"""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from asd_monitor.errors import OperationError, UsageError
from asd_monitor.sqlite_damage import is_damage

DAMAGED = "restart the daemon, which sets it aside and begins a new one"

REFUSALS = (
    sqlite3.IntegrityError,
    sqlite3.DataError,
    sqlite3.InterfaceError,
    sqlite3.ProgrammingError,
    OverflowError,
    UnicodeEncodeError,
)
"""Raised by a statement whose values SQLite does not accept; repeating it does not help."""

_WRITABLE = "make {folder} writable for this user, or use sudo"
_READ_ONLY = "mount the disk of {folder} for writing, or choose another folder with --state"
_BUSY = "another process holds it, try again"
_REMEDIES = {
    sqlite3.SQLITE_CANTOPEN: _WRITABLE,
    sqlite3.SQLITE_READONLY: _WRITABLE,
    sqlite3.SQLITE_PERM: _WRITABLE,
    sqlite3.SQLITE_AUTH: _WRITABLE,
    sqlite3.SQLITE_BUSY: _BUSY,
    sqlite3.SQLITE_LOCKED: _BUSY,
    sqlite3.SQLITE_PROTOCOL: _BUSY,
    sqlite3.SQLITE_FULL: "free space on the disk of {folder}",
    sqlite3.SQLITE_IOERR: "check the disk of {folder} and its free space",
}
_OS_REMEDIES = {
    errno.ENOSPC: _REMEDIES[sqlite3.SQLITE_FULL],
    errno.EDQUOT: _REMEDIES[sqlite3.SQLITE_FULL],
    errno.EACCES: _WRITABLE,
    errno.EPERM: _WRITABLE,
    errno.EROFS: _READ_ONLY,
    errno.EIO: _REMEDIES[sqlite3.SQLITE_IOERR],
}
_OS_REMEDY = "correct this, or choose another folder with --state"
_UNKNOWN = "try again; restart the daemon if it lasts, and report it"


class JournalError(OperationError):
    """The journal cannot be read or written."""


class StalledJournalError(JournalError):
    """The disk of the journal does not answer."""


class LockedJournalError(JournalError):
    """Another process holds the journal."""


class DamagedJournalError(JournalError):
    """The file is not an intact journal."""


class LaterFormatError(JournalError):
    """The journal was written by a later version."""


def is_full(error: sqlite3.Error) -> bool:
    """Return whether the error says that there is no space."""
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and code & 0xFF == sqlite3.SQLITE_FULL


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Raise `JournalError` in place of an error of SQLite or the system, with the remedy.

    Raises `UsageError` for text that cannot be stored.
    """
    try:
        yield
    except sqlite3.Error as error:
        raise _journal_error(error, path) from error
    except LaterFormatError as error:
        raise LaterFormatError(f"{path}: {error}") from error
    except OSError as error:
        where = Path(error.filename or path)
        remedy = _OS_REMEDIES.get(error.errno or 0, _OS_REMEDY).format(folder=path.parent)
        raise JournalError(f"{where}: {error.strerror or error}: {remedy}") from error
    except ValueError as error:
        if isinstance(error, UnicodeEncodeError):
            text = f"{error.object!r}: this is not valid text: write it in UTF-8"
            raise UsageError(text) from error
        raise DamagedJournalError(f"{path}: {error}: {DAMAGED}") from error


def _journal_error(error: sqlite3.Error, path: Path) -> JournalError:
    code = getattr(error, "sqlite_errorcode", None)
    primary = None if code is None else code & 0xFF  # the low byte of an extended code
    if is_damage(error):
        return DamagedJournalError(f"{path}: {error}: {DAMAGED}")
    remedy = _UNKNOWN if primary is None else _REMEDIES.get(primary, _UNKNOWN)
    if remedy is _WRITABLE and _is_read_only(path.parent):
        remedy = _READ_ONLY
    kind = LockedJournalError if remedy is _BUSY else JournalError
    return kind(f"{path}: {error}: {remedy.format(folder=path.parent)}")


def _is_read_only(folder: Path) -> bool:
    try:
        return bool(os.statvfs(folder).f_flag & os.ST_RDONLY)
    except OSError:
        return False
