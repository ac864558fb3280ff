"""Errors of SQLite as errors of the journal.

They are classified by SQLite's result codes (https://www.sqlite.org/rescode.html), not by their
texts.  An unknown error is not taken for damage: a damaged journal is set aside.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from asd_monitor.errors import OperationError, UsageError

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
_DAMAGE = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_UNKNOWN = "try again; restart the daemon if it lasts, and report it"


class JournalError(OperationError):
    """The journal cannot be read or written."""


class DamagedJournalError(JournalError):
    """The file is not an intact journal."""


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Raise `JournalError` in place of an error of SQLite, with the remedy.

    Raises `UsageError` for text that cannot be stored.
    """
    try:
        yield
    except sqlite3.Error as error:
        raise _journal_error(error, path) from error
    except UnicodeEncodeError as error:
        raise UsageError(f"{error.object!r}: this is not valid text: write it in UTF-8") from error


def _journal_error(error: sqlite3.Error, path: Path) -> JournalError:
    code = getattr(error, "sqlite_errorcode", None)  # absent where the error is Python's
    primary = None if code is None else code & 0xFF  # the low byte of an extended code
    if primary in _DAMAGE:
        return DamagedJournalError(f"{path}: {error}: {DAMAGED}")
    remedy = _UNKNOWN if primary is None else _REMEDIES.get(primary, _UNKNOWN)
    return JournalError(f"{path}: {error}: {remedy.format(folder=path.parent)}")
