"""The alarms of a state folder and what happened to them: `alarms.db`, SQLite.

    daemon    MachineJournal(Journal(state_dir), "fan01").record(…)   every transition
    commands  Journal.existing(state_dir).acknowledge(…)              who saw an alarm, when
    daemon    Journal.changed() → MachineJournal.take_up(…)           applies that

The daemon alone moves an alarm; a command only signs it.  What a command signed while no
daemon runs is applied by the next one.  Each entry is on the disk before the next
statement runs (WAL, synchronous FULL), so that a process may be killed anywhere.

A disk that is full does not silence an alarm: the daemon's entries are kept in memory
until they can be written, and `fault` says why they are not.
"""

from __future__ import annotations

import difflib
import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from asd_monitor.errors import OperationError, UsageError
from asd_monitor.journal.alarm_records import (
    TABLES,
    AlarmRecord,
    Entry,
    Event,
    alarm_of,
    event_of,
    text_of,
)

FILE_NAME = "alarms.db"
FORMAT = 1
MOST_EVENTS = 100_000  # older ones are deleted when a daemon opens the journal
MOST_UNWRITTEN = 10_000


class JournalError(OperationError):
    """The journal cannot be read or written."""


class DamagedJournalError(JournalError):
    """What is in its file is no journal."""


def set_aside(state_dir: Path) -> Path:
    """Give a damaged journal another name, so that a new one can begin; return that name.

    Raises OSError.
    """
    path = state_dir / FILE_NAME
    taken = len(list(state_dir.glob(f"{FILE_NAME}.damaged*[0-9]")))
    kept = path.with_name(f"{FILE_NAME}.damaged-{taken + 1}")
    path.rename(kept)
    for leftover in ("-wal", "-shm"):  # of the damaged one: nothing for the new one to take up
        path.with_name(FILE_NAME + leftover).unlink(missing_ok=True)
    return kept


class Journal:
    """The journal of one state folder; safe for several threads and processes."""

    def __init__(self, state_dir: Path) -> None:
        """Open the journal, creating what is missing.  Raises `JournalError`."""
        try:
            state_dir.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise JournalError(
                f"{state_dir}: the state folder cannot be made ({error.strerror}):"
                " choose another with --state"
            ) from error
        self._open(state_dir / FILE_NAME, "rwc")

    @classmethod
    def existing(cls, state_dir: Path) -> Journal | None:
        """Open the journal for a command; None where no daemon has kept one in that folder yet.

        What this user may read but not write can be read and not acknowledged.

        Raises `JournalError`, also where there is no such folder: whoever asks for alarms in
        the wrong place must not hear that there are none.
        """
        path = state_dir / FILE_NAME
        try:
            with os.scandir(state_dir):
                pass
            path.stat()
        except FileNotFoundError as error:
            if state_dir.is_dir():
                return None
            raise JournalError(f"{state_dir}: no such folder: {_WHICH}") from error
        except PermissionError as error:
            raise JournalError(
                f"{error.filename}: no permission to read it: use sudo, or {_WHICH}"
            ) from error
        except OSError as error:
            raise JournalError(f"{error.filename}: {error.strerror}: {_WHICH}") from error
        journal = cls.__new__(cls)
        try:
            journal._open(path, "rw")
        except DamagedJournalError:
            raise
        except JournalError:
            # without write access SQLite cannot make the files beside it that sharing needs
            writable = os.access(state_dir, os.W_OK, effective_ids=True)
            if writable or path.with_name(f"{FILE_NAME}-wal").exists():
                raise
            journal._open(path, "ro&immutable=1")
        if journal._format() == 0:
            journal.close()
            return None
        return journal

    def _open(self, path: Path, mode: str) -> None:
        self.path = path
        self.fault: str | None = None  # why entries are not written; None: all are
        self._lock = threading.RLock()
        self._unwritten: list[Entry] = []
        self.dropped = 0  # entries given up, because too many could not be written
        with self._told():
            self._db = sqlite3.connect(
                f"{path.absolute().as_uri()}?mode={mode}",
                uri=True,
                timeout=5.0,
                isolation_level=None,
                check_same_thread=False,
            )
        try:
            with self._told():
                self._prepare(create=mode == "rwc")
        except BaseException:
            self._db.close()
            raise
        self._version = self._data_version()

    def _prepare(self, *, create: bool) -> None:
        self._db.row_factory = sqlite3.Row
        if self._format() not in {0, FORMAT}:
            raise JournalError(
                f"{self.path}: format {self._format()} is not known to this version: use the"
                " asd-monitor that wrote it"
            )
        if create:
            self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        if not create:
            return
        with self._transaction():
            if self._format() == 0:
                for statement in TABLES.split(";"):
                    self._db.execute(statement)
                self._db.execute(f"PRAGMA user_version = {FORMAT}")
            self._db.execute(
                "DELETE FROM events WHERE number <= (SELECT max(number) FROM events) - ?",
                (MOST_EVENTS,),
            )
        (verdict,) = self._db.execute("PRAGMA quick_check(1)").fetchone()
        if verdict != "ok":
            raise sqlite3.DatabaseError(verdict)

    def _format(self) -> int:
        return int(self._db.execute("PRAGMA user_version").fetchone()[0])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Write what is not written yet, if that can be done, and close."""
        with self._lock:
            self.flush()
            self._db.close()

    def alarms(self, machine: str | None = None, *, every: bool = True) -> list[AlarmRecord]:
        """Return the alarms, the newest first.

        With ``every`` false only those that need somebody: active or not acknowledged.
        """
        rows = self._read(
            "SELECT * FROM alarms WHERE coalesce(machine = ?, true) ORDER BY rowid DESC",
            (machine,),
        )
        records = [alarm_of(row) for row in rows]
        return [a for a in records if every or a.active or not a.acknowledged]

    def alarm(self, alarm_id: str) -> AlarmRecord:
        """Return one alarm.  Raises `UsageError` where there is none of that id."""
        rows = self._read("SELECT * FROM alarms WHERE id = ?", (alarm_id,))
        if rows:
            return alarm_of(rows[0])
        ids = [row["id"] for row in self._read("SELECT id FROM alarms")]
        close = difflib.get_close_matches(alarm_id, ids, n=1)
        remedy = f"did you mean {close[0]}?" if close else "see `asd-monitor alarms list --all`"
        raise UsageError(f"no alarm {alarm_id!r} in {self.path.parent}: {remedy}")

    def signed(self, machine: str) -> list[AlarmRecord]:
        """Return the alarms that were acknowledged and not taken up, the oldest first."""
        rows = self._read(
            "SELECT * FROM alarms WHERE machine = ? AND acknowledged_at IS NOT NULL"
            " AND NOT taken_up ORDER BY rowid",
            (machine,),
        )
        return [alarm_of(row) for row in rows]

    def events(self, alarm_id: str) -> list[Event]:
        """Return what happened to an alarm, the oldest first."""
        rows = self._read("SELECT * FROM events WHERE alarm_id = ? ORDER BY number", (alarm_id,))
        return [event_of(row) for row in rows]

    def acknowledge(self, alarm_id: str, who: str, why: str | None, now: datetime) -> AlarmRecord:
        """Sign an alarm; the first signature stays.  A running daemon takes it up by itself.

        Raises `UsageError` where there is no such alarm, `JournalError` where it cannot be
        written.
        """
        with self._lock, self._told(), self._transaction():
            self._db.execute(
                "UPDATE alarms SET acknowledged_at = ?, who = ?, why = ?"
                " WHERE id = ? AND acknowledged_at IS NULL",
                (text_of(now), who, why, alarm_id),
            )
        return self.alarm(alarm_id)

    def changed(self) -> bool:
        """Tell whether another process wrote since the last call; costs no disk access.

        Raises `JournalError`.
        """
        version, self._version = self._version, self._data_version()
        return version != self._version

    @property
    def unwritten(self) -> int:
        """How many entries wait in memory for a disk that takes them."""
        return len(self._unwritten)

    def flush(self) -> bool:
        """Try to write what is not written yet; tell whether all is."""
        with self._lock:
            if not self._unwritten:
                return True
            try:
                with self._told(), self._transaction():
                    for statement, values in self._unwritten:
                        self._db.execute(statement, values)
            except JournalError as error:
                self.fault = str(error)
                surplus = len(self._unwritten) - MOST_UNWRITTEN
                if surplus > 0:
                    self.dropped += surplus
                    del self._unwritten[:surplus]
                return False
            self._unwritten.clear()
            self.fault = None
            return True

    def write(self, entries: Sequence[Entry]) -> bool:
        """Queue the statements of one change and try to write; tell whether all is written."""
        with self._lock:
            self._unwritten += entries
            return self.flush()

    def _data_version(self) -> int:
        return int(self._read("PRAGMA data_version")[0][0])

    def _read(self, query: str, values: tuple[Any, ...] = ()) -> list[sqlite3.Row]:
        with self._lock, self._told():
            return self._db.execute(query, values).fetchall()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Turn what SQLite raises into one message with its mend."""
        try:
            yield
        except sqlite3.Error as error:
            reason = str(error)
            remedy = next((remedy for sign, remedy in _REMEDIES.items() if sign in reason), None)
            told = (remedy or _DAMAGED).format(path=self.path, folder=self.path.parent)
            kind = JournalError if remedy else DamagedJournalError
            raise kind(f"{self.path}: {reason}: {told}") from error


_WHICH = (
    "name the daemon's state folder with --state (that of the service asd-monitor@NAME is"
    " /var/lib/asd-monitor/NAME, for root only: sudo)"
)
_DAMAGED = "restart the daemon, which sets it aside and begins a new one"
_REMEDIES = {
    "unable to open": "make {folder} writable for this user, or use sudo",
    "readonly": "make {folder} writable for this user, or use sudo",
    "locked": "another process holds it, try again",
    "full": "free space on the disk of {folder}",
    "disk I/O": "check the disk of {folder} and its free space",
}
