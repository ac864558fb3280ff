"""Errors of the disk and of SQLite as errors of the stored live blocks."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from asd_monitor.errors import OperationError


class CommissioningStoreError(OperationError):
    """The stored blocks, or the sound beside them, cannot be read or written."""


class DamagedTablesError(sqlite3.DatabaseError):
    """The database is not as it was written, although SQLite reads it."""

    sqlite_errorcode = sqlite3.SQLITE_CORRUPT


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Raise errors of the database at a path as CommissioningStoreError."""
    try:
        yield
    except OSError as error:
        raise CommissioningStoreError(
            f"{error.filename or path}: blocks of commissioning cannot be stored "
            f"({error.strerror or error}): correct this, or choose another folder with --state"
        ) from error
    except (sqlite3.Error, ValueError, KeyError, TypeError) as error:
        raise CommissioningStoreError(
            f"{path}: the blocks of commissioning cannot be read or written ({error}): free space "
            f"on the disk of {path.parent}; where that does not help, delete {path.name}"
        ) from error
