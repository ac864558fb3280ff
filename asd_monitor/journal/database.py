"""The SQLite database of the journal: opening, migration, repair.

Every transaction is on the disk when it ends (WAL, synchronous FULL), so that a process may be
killed at any time.
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import structlog

from asd_monitor.alarm.state import ACTIVE, OUT_OF_SERVICE, SHELVED
from asd_monitor.journal.alarm_tables import database_format
from asd_monitor.journal.connections import Connect, connect_to, transaction
from asd_monitor.journal.file_image import (
    PAGE_BYTES,
    new_database,
    open_image,
    read_files,
    structural_problem,
    wal_problem,
)
from asd_monitor.journal.journal_file import create_journal, finish_replacement, replace_journal
from asd_monitor.journal.recovery import Recovery, copy_rows, set_damaged_rows_aside
from asd_monitor.journal.sqlite_errors import JournalError, translated
from asd_monitor.journal.table_definitions import FORMAT
from asd_monitor.private_files import create_private_folder

log = structlog.get_logger()

MAX_ALARMS = 100_000
"""The oldest beyond are deleted at the opening, where they are not open."""
DAEMON_BUSY_S = 0.1
"""How long the daemon does, which keeps in memory what it cannot write."""
_WAL_BYTES = 256 << 10  # what it keeps on the disk after an exceptional transaction
_MAX_BYTES = 1 << 30
_SHARE_OF_DISK = 2  # the database takes one part in so many of its file system


def open_database(path: Path, *, max_events: int, connect: Connect) -> sqlite3.Connection:
    """Open the journal for the daemon, as a sound one.

    A missing one is created.  One of an earlier format is migrated and kept as
    ``alarms.db.format-F-N``.  Of a damaged one the intact rows go on in a new one, and it is kept
    as ``alarms.db.damaged-N``.  Single damaged rows are moved to the table `damaged_rows`.  The
    oldest transitions beyond ``max_events`` are deleted.

    The connection is in autocommit mode.  Raises `JournalError`.
    """
    with translated(path):
        create_private_folder(path.parent)
        finish_replacement(path)
        if not os.path.lexists(path) and wal_problem(path) is None:
            create_journal(path, new_database().serialize())
        problem = _problem_of_files(path)
        if problem is None:
            problem = _migrate_or_examine(path, connect)
        if problem is not None:
            _repair(path, problem)
        database = connect_to(path, connect, busy_s=DAEMON_BUSY_S)
        try:
            _prepare(database, path, max_events)
        except BaseException:
            database.close()
            raise
    return database


def page_limit(path: Path) -> int:
    """Return how many pages the database may have: a share of its file system."""
    disk = os.statvfs(path.parent)
    share = disk.f_blocks * disk.f_frsize // _SHARE_OF_DISK
    return max(1, min(_MAX_BYTES, share) // PAGE_BYTES)


def delete_oldest_events(database: sqlite3.Connection, *, keep: int) -> int:
    """Delete the oldest transitions but for so many; return how many were deleted."""
    deleted = database.execute(
        "DELETE FROM events WHERE number <= (SELECT max(number) FROM events) - ?", (keep,)
    )
    return deleted.rowcount


def _delete_oldest_alarms(database: sqlite3.Connection) -> None:
    """Delete the oldest alarms beyond `MAX_ALARMS` that are not open and have no transition."""
    active = ", ".join(f"'{condition}'" for condition in sorted(ACTIVE | SHELVED | OUT_OF_SERVICE))
    database.execute(
        "DELETE FROM alarms WHERE number <= (SELECT max(number) FROM alarms) - ?"  # noqa: S608
        f" AND condition NOT IN ({active})"
        " AND NOT EXISTS (SELECT 1 FROM events WHERE events.alarm_id = alarms.id)",
        (MAX_ALARMS,),
    )


def _problem_of_files(path: Path) -> str | None:
    """Return what is wrong with the files before SQLite opens them; None: nothing.

    SQLite would ignore a damaged end of the write-ahead log, and delete the log of an empty file.
    """
    if path.is_symlink() and not path.exists():
        raise JournalError(f"{path}: a link to a file that does not exist: correct the link")
    if not path.exists():
        return "the write-ahead log is there without its database"
    if not path.is_file():
        return "this is not a file"
    if path.stat().st_size == 0:
        return "the file has 0 bytes"
    return wal_problem(path)


def _migrate_or_examine(path: Path, connect: Connect) -> str | None:
    """Migrate a journal of an earlier format; return what is wrong with it, None: nothing."""
    database = connect_to(path, connect, busy_s=DAEMON_BUSY_S)
    try:
        problem = structural_problem(database)
        if problem is None and (found := database_format(database)) != FORMAT:
            with transaction(database):  # no request is written meanwhile
                migrated = new_database()
                recovery = copy_rows(database, migrated)
                kept = replace_journal(path, migrated.serialize(), reason=f"format-{found}")
            log.info(
                "the journal of alarms has been migrated to the present format",
                file=str(path),
                format=FORMAT,
                kept_as=str(kept),
            )
            _report_damaged_rows(path, recovery)
    finally:
        database.close()
    return problem


def _repair(path: Path, problem: str) -> None:
    """Set a damaged journal aside and begin a new one with its intact rows."""
    try:
        image = open_image(read_files(path))
    except (ValueError, IsADirectoryError):
        image = None
    repaired, recovery = new_database(), Recovery()
    if image is not None:
        recovery = copy_rows(image.database, repaired)
    kept = replace_journal(path, repaired.serialize(), reason="damaged")
    (alarms,) = repaired.execute("SELECT count(*) FROM alarms").fetchone()
    (events,) = repaired.execute("SELECT count(*) FROM events").fetchone()
    log.error(
        "the journal of alarms is damaged: a new one begins with the rows that are intact",
        file=str(path),
        reason=problem,
        alarms=alarms,
        events=events,
        damaged_rows=recovery.damaged,
        rebuilt_alarms=list(recovery.rebuilt),
        restored_machines=list(recovery.machines),
        kept_as=str(kept),
        hint="compare with the messages of the broker and the log: alarms may be missing",
    )


def _prepare(database: sqlite3.Connection, path: Path, max_events: int) -> None:
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = FULL")
    database.execute(f"PRAGMA journal_size_limit = {_WAL_BYTES}")
    database.execute(f"PRAGMA max_page_count = {page_limit(path)}")
    database.execute("PRAGMA temp_store = MEMORY")
    database.execute("CREATE TEMP TABLE newest_numbers (machine TEXT PRIMARY KEY, seq INTEGER)")
    with transaction(database):
        recovery = set_damaged_rows_aside(database)
        delete_oldest_events(database, keep=max_events)
        _delete_oldest_alarms(database)
    _report_damaged_rows(path, recovery)


def _report_damaged_rows(path: Path, recovery: Recovery) -> None:
    if recovery.damaged:
        log.error(
            "rows of the journal of alarms are damaged and were moved to the table damaged_rows",
            file=str(path),
            damaged_rows=recovery.damaged,
            rebuilt_alarms=list(recovery.rebuilt),
            restored_machines=list(recovery.machines),
            hint="compare with the messages of the broker and the log: alarms may be missing",
        )
