"""Connections to the SQLite database of the journal, and transactions."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from asd_monitor.journal.file_image import decoded
from asd_monitor.journal.sqlite_errors import REFUSALS

Connect = Callable[..., sqlite3.Connection]
"""Opens a database, as `sqlite3.connect` does."""

COMMAND_BUSY_S = 5.0
"""How long a command waits for another process that has locked the journal."""


def connect_to(
    path: Path, connect: Connect = sqlite3.connect, *, busy_s: float
) -> sqlite3.Connection:
    """Open an existing database in autocommit mode; text that is not UTF-8 gets surrogates.

    ``busy_s`` is how long a statement waits for another process that has locked the database.
    """
    database = connect(
        f"{path.absolute().as_uri()}?mode=rw",
        uri=True,
        timeout=busy_s,
        isolation_level=None,
        check_same_thread=False,
    )
    database.text_factory = decoded
    try:
        database.execute("PRAGMA wal_autocheckpoint = 0")  # see `DatabaseFile`
    except sqlite3.Error:
        database.close()
        raise
    return database


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
