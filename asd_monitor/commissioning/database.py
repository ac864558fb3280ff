"""The SQLite database of live blocks: opening, damage, transactions.

It is in the mode with a rollback journal: what is written is complete or absent after a kill or a
power failure.  A database that is damaged is deleted, and a new one begins: the blocks can be
sampled anew, and a copy that nothing reads would take their space again.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import structlog

from asd_monitor.commissioning.block_tables import FORMAT, TABLES
from asd_monitor.commissioning.row_checksums import check_tables, decoded
from asd_monitor.commissioning.store_errors import DamagedTablesError, translated
from asd_monitor.private_files import create_private_file, create_private_folder
from asd_monitor.sqlite_damage import is_damage

log = structlog.get_logger()

_PAGE_BYTES = 4096
_MAX_BYTES = 12_000_000  # of the database
_BUSY_TIMEOUT_S = 5.0
_VERSIONS = slice(18, 20)  # for writing and reading: The SQLite Database File Format, 1.3.3
_ROLLBACK_JOURNAL = b"\x01\x01"
_DROP = "".join(f"DROP TABLE IF EXISTS {name};" for name in ("facts", "blocks", "summaries"))


def create_database(path: Path) -> None:
    """Create the file and its folder where they are missing; raises CommissioningStoreError."""
    with translated(path):
        create_private_folder(path.parent)
        if not path.exists():
            create_private_file(path)


@contextmanager
def open_database(path: Path) -> Iterator[sqlite3.Connection]:
    """Open the database, in autocommit mode, and close it; its file exists.

    A damaged one is deleted, also where the damage is found later.  Raises
    CommissioningStoreError.
    """
    with translated(path):
        try:
            database = _connect(path)
        except sqlite3.DatabaseError as error:
            if not _is_damage(error):
                raise
            _delete(path, error)
            database = _connect(path)
        try:
            yield database
        except sqlite3.DatabaseError as error:
            if _is_damage(error):
                database.close()
                _delete(path, error)
            raise
        finally:
            database.close()


@contextmanager
def transaction(database: sqlite3.Connection) -> Iterator[None]:
    """Write all of it, or nothing where it raises."""
    database.execute("BEGIN IMMEDIATE")
    try:
        yield
        database.execute("COMMIT")
    except BaseException:
        if database.in_transaction:
            database.execute("ROLLBACK")
        raise


def _is_damage(error: sqlite3.Error) -> bool:
    """Return whether an error is that the file is damaged, or no database.

    The statements are always the same, so one that SQLite cannot execute means other tables or a
    header that it does not support.
    """
    return is_damage(error) or getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_ERROR


def _check_header(path: Path) -> None:
    """Check the versions in the header: SQLite takes a file of an unknown one to be read-only.

    Raises DamagedTablesError.
    """
    with path.open("rb") as file:
        header = file.read(_VERSIONS.stop)
    if header and header[_VERSIONS] != _ROLLBACK_JOURNAL:
        raise DamagedTablesError("its header is damaged")


def _connect(path: Path) -> sqlite3.Connection:
    _check_header(path)
    database = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=rw",
        uri=True,
        timeout=_BUSY_TIMEOUT_S,
        isolation_level=None,
        check_same_thread=False,
    )
    try:
        database.text_factory = decoded
        database.execute("PRAGMA cache_size = -256")
        database.execute("PRAGMA synchronous = EXTRA")
        (found,) = database.execute("PRAGMA user_version").fetchone()
        if found < FORMAT:  # of a new file, or of a version before the first release
            database.execute(f"PRAGMA page_size = {_PAGE_BYTES}")
            database.executescript(f"BEGIN IMMEDIATE; {_DROP} {TABLES} COMMIT;")
        database.execute("SELECT count(*) FROM sqlite_schema").fetchone()  # a damaged header raises
        check_tables(database, TABLES)
        database.execute(f"PRAGMA max_page_count = {_MAX_BYTES // _PAGE_BYTES}")
    except sqlite3.Error:
        database.close()
        raise
    except UnicodeDecodeError as error:  # of SQLite's message, which quotes the tables
        database.close()
        raise DamagedTablesError("the definition of its tables is damaged") from error
    return database


def _delete(path: Path, error: sqlite3.Error) -> None:
    """Delete a damaged database."""
    path.unlink()
    path.with_name(f"{path.name}-journal").unlink(missing_ok=True)
    create_private_file(path)
    log.error(
        "the stored blocks of commissioning are damaged: new ones are collected",
        file=str(path),
        reason=str(error),
    )
