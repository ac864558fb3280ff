"""The database of the journal while the daemon has it open: changes by others, checkpoints, room.

Transactions change the write-ahead log alone.  It is copied to the file by `checkpoint`, where the
file is as this process has left it: a change by another program is noticed and never adopted.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import structlog

from asd_monitor.journal.connections import Connect, transaction
from asd_monitor.journal.database import delete_oldest_events, open_database, page_limit
from asd_monitor.journal.file_image import PAGE_BYTES, new_database, open_image, read_files
from asd_monitor.journal.file_watch import FileWatch
from asd_monitor.journal.recovery import copy_rows
from asd_monitor.journal.sqlite_errors import DamagedJournalError, JournalError, translated

log = structlog.get_logger()

_CHECKPOINT_TRANSACTIONS = 3  # after so many the write-ahead log is copied to the file
_TRANSACTION_PAGES = 8  # the journal is full where it lacks these, which a transaction may need
_ROOM_SHARE = 10  # of the transitions, one part in so many is deleted where the journal is full


class DatabaseFile:
    """The file of a journal, and its connection, in the thread of the disk.

    Args:
        path: Of the file.
        max_events: Number of the newest transitions that are kept at the opening.
        connect: Opens the database.

    """

    def __init__(self, path: Path, *, max_events: int, connect: Connect) -> None:
        self.path = path
        self.database: sqlite3.Connection | None = None
        """None: the journal is in memory."""
        self.deleted_transitions = 0
        """Old transitions deleted since the journal was full."""
        self._max_events = max_events
        self._connect = connect
        self._history: sqlite3.Connection | None = None  # what an abandoned file contained
        self._image: sqlite3.Connection | None = None  # of a file that cannot be opened
        self._watch = FileWatch(path)
        self._transactions = 0  # since the write-ahead log was copied

    @property
    def limit_bytes(self) -> int:
        """How large the file may become.  Raises OSError."""
        return page_limit(self.path) * PAGE_BYTES

    def open(self, fill: Callable[[sqlite3.Connection], None]) -> None:
        """Open the file, and write to it, in one transaction, what is to be there.

        Args:
            fill: Writes what is in memory, after the content of an abandoned file.

        Raises:
            JournalError: it cannot be opened or written.

        """
        database = open_database(self.path, max_events=self._max_events, connect=self._connect)
        try:
            with translated(self.path):
                with transaction(database):
                    if self._history is not None:
                        copy_rows(self._history, database)
                    fill(database)
                database.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        except JournalError:
            database.close()
            raise
        self.database, self._history, self._image, self._transactions = database, None, None, 0
        self._watch.forget()
        self._watch.note()

    @property
    def readable(self) -> sqlite3.Connection | None:
        """What can be read: the file, or what it contained; None: nothing."""
        return self.database or self._history or self._image

    def read_without_opening(self) -> sqlite3.Connection | None:
        """Read a file that cannot be opened, into memory; None: there is nothing to be read."""
        try:
            image = open_image(read_files(self.path))
        except (OSError, ValueError, JournalError):
            return None
        self._image = None if image is None else image.database
        return self._image

    @property
    def problem(self) -> str | None:
        """How an open file was changed by others than SQLite; None: it was not."""
        return None if self.database is None else self._watch.problem()

    def check(self) -> None:
        """Raise `DamagedJournalError` where another program has changed the file."""
        if (problem := self.problem) is not None:
            raise DamagedJournalError(problem)

    def checkpoint(self, *, at_once: bool) -> None:
        """Copy the write-ahead log to the file after some transactions, or at once.

        Raises `DamagedJournalError`.
        """
        self._transactions += 1
        if self.database is None or not (at_once or self._transactions >= _CHECKPOINT_TRANSACTIONS):
            return
        self.check()
        try:
            with translated(self.path):
                row = self.database.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
                _, in_log, copied = row
                (pages,) = self.database.execute("PRAGMA page_count").fetchone()
        except DamagedJournalError:
            raise
        except JournalError as error:  # the log keeps everything, and the next call tries again
            log.debug("the write-ahead log of the journal stays", reason=str(error))
        else:
            self._transactions = 0
            if in_log == copied:  # else another program reads, and the file may be shorter
                self._check_size(pages * PAGE_BYTES)
        self._watch.note()

    def _check_size(self, expected: int) -> None:
        """Raise `DamagedJournalError` where the file cannot be what SQLite has written."""
        try:
            found = self.path.stat().st_size
        except OSError as error:
            raise DamagedJournalError(f"{self.path}: {error.strerror}") from error
        if found < expected:
            raise DamagedJournalError(f"the file has {found} bytes instead of {expected}")

    def abandon(self, problem: str) -> None:
        """Go on in memory after the file was removed, replaced or damaged; keep its content."""
        log.error(
            "the journal of alarms was changed by another program or is damaged: it is made anew",
            file=str(self.path),
            reason=problem,
            hint="leave the file to the daemon; the alarms that it knows are kept",
        )
        if self.database is None:
            return
        history = new_database()
        try:
            copy_rows(self.database, history)  # a removed file can still be read
            self._history = history
        except sqlite3.Error:
            history.close()
        self.database.close()
        self.database = None
        try:
            self._watch.set_log_aside()
        except OSError:
            log.exception("the write-ahead log of the journal cannot be renamed")

    def make_room(self, drop: Callable[[], int]) -> bool:
        """Shorten a full journal; return whether another attempt to write may succeed.

        Where other files fill the disk, the transitions stay.

        Args:
            drop: Drops a part of the events that wait; returns how many.

        """
        database = self.database
        if database is None or self.problem is not None:
            return False
        try:
            try:
                database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            finally:  # a part of it may be in the file when the disk is full
                self._watch.note()
            (pages,) = database.execute("PRAGMA page_count").fetchone()
            if pages < page_limit(self.path) - _TRANSACTION_PAGES:
                return True
            (events,) = database.execute("SELECT count(*) FROM events").fetchone()
            keep = events - max(1, events // _ROOM_SHARE)
            with transaction(database):
                deleted = delete_oldest_events(database, keep=keep) if events else 0
                dropped = drop()
        except (sqlite3.Error, OSError):
            return False
        self.deleted_transitions += deleted
        log.warning("the oldest transitions were deleted: the journal is full", events=deleted)
        return deleted + dropped > 0
