"""The SQLite database of the journal: opening, format, transactions.

Every transaction is on the disk when it ends (WAL, synchronous FULL), so that a process may be
killed at any time.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path

from asd_monitor.journal.alarm_tables import TABLES
from asd_monitor.journal.sqlite_errors import (
    DAMAGED,
    REFUSALS,
    DamagedJournalError,
    JournalError,
    translated,
)

FORMAT = 1
_TABLES = {"alarms", "events"}
_BUSY_TIMEOUT_S = 5.0


class Access(Enum):
    """How the file is opened: the value is the mode of SQLite's URI."""

    CREATE = "rwc"
    WRITE = "rw"
    READ = "ro&immutable=1"


def open_database(
    path: Path, access: Access, *, max_events: int, connect: Callable[..., sqlite3.Connection]
) -> sqlite3.Connection:
    """Open the file; with `Access.CREATE` create what is missing and delete the oldest events.

    The connection is in autocommit mode.  Raises `JournalError`.
    """
    with translated(path):
        database = connect(
            f"{path.absolute().as_uri()}?mode={access.value}",
            uri=True,
            timeout=_BUSY_TIMEOUT_S,
            isolation_level=None,
            check_same_thread=False,
        )
        try:
            _prepare(database, path, access, max_events)
        except BaseException:
            database.close()
            raise
    return database


def database_format(database: sqlite3.Connection) -> int:
    """Return the version of the format; 0: the tables were never created."""
    return int(database.execute("PRAGMA user_version").fetchone()[0])


@contextmanager
def transaction(database: sqlite3.Connection) -> Iterator[None]:
    """Commit at the end, or roll back at an exception."""
    database.execute("BEGIN IMMEDIATE")
    try:
        yield
        database.execute("COMMIT")
    except BaseException:
        if database.in_transaction:  # SQLite ends it by itself at some errors
            database.execute("ROLLBACK")
        raise


@contextmanager
def savepoint(database: sqlite3.Connection) -> Iterator[None]:
    """Undo the statements of this part of a transaction where SQLite refuses one of them."""
    database.execute("SAVEPOINT part")
    try:
        yield
    except REFUSALS:
        database.execute("ROLLBACK TO part")
        database.execute("RELEASE part")
        raise
    database.execute("RELEASE part")


def _prepare(database: sqlite3.Connection, path: Path, access: Access, max_events: int) -> None:
    database.row_factory = sqlite3.Row
    found = database_format(database)
    if found not in {0, FORMAT}:
        raise JournalError(
            f"{path}: format {found} is not known to this version: use the"
            " asd-monitor that wrote it"
        )
    if access is Access.CREATE:
        database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = FULL")
    if access is Access.CREATE:
        with transaction(database):
            _check_tables(database, path)
            if database_format(database) == 0:
                for statement in TABLES.split(";"):
                    database.execute(statement)
                database.execute(f"PRAGMA user_version = {FORMAT}")
            database.execute(
                "DELETE FROM events WHERE number <= (SELECT max(number) FROM events) - ?",
                (max_events,),
            )
        (result,) = database.execute("PRAGMA quick_check(1)").fetchone()
        if result != "ok":
            raise DamagedJournalError(f"{path}: {result}: {DAMAGED}")
    else:
        _check_tables(database, path)


def _check_tables(database: sqlite3.Connection, path: Path) -> None:
    """Raise `DamagedJournalError` for an SQLite database that is not a journal."""
    rows = database.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")
    tables = {name for (name,) in rows if not name.startswith("sqlite_")}
    created = database_format(database) == FORMAT
    if not (tables >= _TABLES if created else not tables):
        raise DamagedJournalError(f"{path}: not a journal of alarms: {DAMAGED}")
