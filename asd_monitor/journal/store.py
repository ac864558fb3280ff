"""The alarms of a state folder and their transitions: `alarms.db`, SQLite.

    daemon    MachineJournal(Journal(state_dir), "fan01").record(…)   every transition
    commands  Journal.existing(state_dir).acknowledge(…)              who acknowledged, when
    daemon    Journal.changed() → MachineJournal.apply_acknowledgements(…)

Only the daemon changes the condition of an alarm; a command writes the acknowledgement, and the
daemon applies it, where none is running the next one.

A full disk does not silence an alarm: entries are kept in memory until they can be written, and
`fault` is the reason why they are not.
"""

from __future__ import annotations

import difflib
import sqlite3
import threading
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from asd_monitor.errors import UsageError
from asd_monitor.journal.alarm_records import AlarmRecord, Event
from asd_monitor.journal.alarm_tables import Entry, read_alarm, read_event
from asd_monitor.journal.database import Access, database_format, open_database, transaction
from asd_monitor.journal.journal_file import FILE_NAME, find_journal, needs_write_access
from asd_monitor.journal.sqlite_errors import DamagedJournalError, JournalError, translated
from asd_monitor.journal.write_queue import WriteQueue
from asd_monitor.wording import rfc3339

MAX_EVENTS = 100_000  # the oldest beyond are deleted when a daemon opens the journal
MAX_UNWRITTEN = 10_000


class Journal:
    """The journal of one state folder; safe for several threads and processes."""

    def __init__(
        self,
        state_dir: Path,
        access: Access = Access.CREATE,
        *,
        max_events: int = MAX_EVENTS,
        max_unwritten: int = MAX_UNWRITTEN,
        connect: Callable[..., sqlite3.Connection] = sqlite3.connect,
    ) -> None:
        """Open the journal.  Raises `JournalError`.

        Args:
            state_dir: created where it is missing, with `Access.CREATE`.
            access: how to open the file.
            max_events: number of the newest transitions that are kept.
            max_unwritten: statements kept in memory while they cannot be written.
            connect: opens the database.

        """
        self.path = state_dir / FILE_NAME
        self.fault: str | None = None
        """Why entries are not written; None: all are written."""
        if access is Access.CREATE:
            try:
                state_dir.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise JournalError(
                    f"{state_dir}: the state folder cannot be created ({error.strerror}):"
                    " choose another with --state"
                ) from error
        self._lock = threading.RLock()
        self._queue = WriteQueue(max_entries=max_unwritten)
        self._database = open_database(self.path, access, max_events=max_events, connect=connect)
        self._version = self._data_version()

    @classmethod
    def existing(cls, state_dir: Path) -> Journal | None:
        """Open the journal for a command; None where the folder has none yet.

        A user who may read the file but not write it can list alarms and not acknowledge them.

        Raises `JournalError`, also where the folder does not exist or cannot be read.
        """
        path = find_journal(state_dir)
        if path is None:
            return None
        try:
            journal = cls(state_dir, Access.WRITE)
        except DamagedJournalError:
            raise
        except JournalError:
            if needs_write_access(path):
                raise
            journal = cls(state_dir, Access.READ)
        if database_format(journal._database) == 0:
            journal.close()
            return None
        return journal

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
        """Try to write the unwritten entries, and close."""
        with self._lock:
            self.flush()
            self._database.close()

    def alarms(self, machine: str | None = None) -> list[AlarmRecord]:
        """Return the alarms, of one machine where it is given, the newest first."""
        rows = self._read(
            "SELECT * FROM alarms WHERE coalesce(machine = ?, true) ORDER BY rowid DESC",
            (machine,),
        )
        return [read_alarm(row) for row in rows]

    def alarm(self, alarm_id: str) -> AlarmRecord:
        """Return one alarm.  Raises `UsageError` for an unknown id."""
        rows = self._read("SELECT * FROM alarms WHERE id = ?", (alarm_id,))
        if rows:
            return read_alarm(rows[0])
        ids = [row["id"] for row in self._read("SELECT id FROM alarms")]
        close = difflib.get_close_matches(alarm_id, ids, n=1)
        remedy = f"did you mean {close[0]}?" if close else "see `asd-monitor alarms list --all`"
        raise UsageError(f"no alarm {alarm_id!r} in {self.path.parent}: {remedy}")

    def unapplied_acknowledgements(self, machine: str) -> list[AlarmRecord]:
        """Return the acknowledged alarms that no daemon has processed, the oldest first."""
        rows = self._read(
            "SELECT * FROM alarms WHERE machine = ? AND acknowledged_at IS NOT NULL"
            " AND NOT taken_up ORDER BY rowid",
            (machine,),
        )
        return [read_alarm(row) for row in rows]

    def events(self, alarm_id: str) -> list[Event]:
        """Return the transitions of an alarm, the oldest first."""
        rows = self._read("SELECT * FROM events WHERE alarm_id = ? ORDER BY number", (alarm_id,))
        return [read_event(row) for row in rows]

    def acknowledge(self, alarm_id: str, who: str, why: str | None, now: datetime) -> AlarmRecord:
        """Acknowledge an alarm; an earlier acknowledgement stays.

        A running daemon applies it by itself.  Raises `UsageError` for an unknown id and
        `JournalError` where the journal cannot be written.
        """
        with self._lock, translated(self.path), transaction(self._database):
            self._database.execute(
                "UPDATE alarms SET acknowledged_at = ?, who = ?, why = ?"
                " WHERE id = ? AND acknowledged_at IS NULL",
                (rfc3339(now), who, why, alarm_id),
            )
        return self.alarm(alarm_id)

    def changed(self) -> bool:
        """Return whether another process has written since the last call; without disk access.

        Raises `JournalError`.
        """
        version, self._version = self._version, self._data_version()
        return version != self._version

    @property
    def unwritten(self) -> int:
        """Number of entries that could not be written yet."""
        return len(self._queue)

    @property
    def dropped(self) -> int:
        """Number of entries given up: refused by SQLite, or too many while none can be written."""
        return self._queue.dropped

    def flush(self) -> bool:
        """Try to write the unwritten entries; return whether all are written."""
        with self._lock:
            if not self._queue:
                return True
            try:
                with translated(self.path):
                    self._queue.write(self._database)
            except JournalError as error:
                self.fault = str(error)
                self._queue.trim()
                return False
            self.fault = None
            return True

    def write(self, change: Sequence[Entry]) -> bool:
        """Add the statements of one change and try to write; return whether all are written."""
        with self._lock:
            self._queue.append(change)
            return self.flush()

    def _data_version(self) -> int:
        return int(self._read("PRAGMA data_version")[0][0])

    def _read(self, query: str, values: tuple[Any, ...] = ()) -> list[sqlite3.Row]:
        with self._lock, translated(self.path):
            return self._database.execute(query, values).fetchall()
