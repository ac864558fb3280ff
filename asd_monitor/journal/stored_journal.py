"""A journal's use of its file, all in the thread of the disk.

It may wait for the disk without a limit; `asd_monitor.journal.store` has the limits.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Mapping

from asd_monitor.journal.alarm_entries import EventEntry, as_alarm, as_event
from asd_monitor.journal.alarm_records import AlarmRecord, Event
from asd_monitor.journal.alarm_tables import database_format, find_row, rows_of
from asd_monitor.journal.connections import transaction
from asd_monitor.journal.database_file import DatabaseFile
from asd_monitor.journal.entry_transactions import EntryTransactions
from asd_monitor.journal.event_numbers import EventNumbers
from asd_monitor.journal.event_outbox import EventOutbox
from asd_monitor.journal.event_reading import ReadEvents
from asd_monitor.journal.normal_spans import normal_spans
from asd_monitor.journal.outbox_records import LeftEvents
from asd_monitor.journal.outbox_table import left_events, newest_waiting
from asd_monitor.journal.recent_changes import RecentChanges
from asd_monitor.journal.request_holds import RequestHolds
from asd_monitor.journal.requests import Request, add_requests, waiting_requests
from asd_monitor.journal.sqlite_errors import DamagedJournalError, JournalError, translated
from asd_monitor.journal.standing_alarms import StandingAlarms
from asd_monitor.journal.table_definitions import FORMAT
from asd_monitor.records import NormalSpan

_ATTEMPTS = 2  # at the end: the file may be abandoned at the first
_OUTBOX_SHARE = 4  # the outbox takes one part in so many of the journal


class StoredJournal:
    """The file of a journal with what is to be written to it.  What reads it raises `JournalError`.

    Args:
        file: The file.
        lock: Of what is in memory.
        outbox: The events that wait to be published.
        max_unwritten: Entries kept in memory while they cannot be written.

    """

    def __init__(
        self, file: DatabaseFile, lock: threading.RLock, outbox: EventOutbox, *, max_unwritten: int
    ) -> None:
        self.fault: str | None = None
        """Why entries are not written; None: all are written."""
        self.left_events: tuple[LeftEvents, ...] = ()
        """What waited to be published when the journal was closed, by machine."""
        self.rebuilt = 0
        """Times that the file was made anew."""
        self.outbox = outbox
        self.standing = StandingAlarms(lock)
        """The alarms that are kept in memory."""
        self.holds = RequestHolds(lock)
        """The requests of this process that are not known to be written."""
        self.recent = RecentChanges(lock)
        """The newest changes of alarms."""
        self.is_read = False
        """Whether the alarms that the file contains are known."""
        self._path = file.path
        self._file = file
        self._lock = lock
        self._numbers = EventNumbers(file.path)
        self.entries = EntryTransactions(
            lock,
            outbox,
            self._numbers,
            self.standing,
            self.recent,
            max_unwritten=max_unwritten,
        )
        """The entries that are to be written."""
        self._version: int | None = None  # None: requests are to be looked for
        self._closed = False

    @property
    def database(self) -> sqlite3.Connection | None:
        """The database; None: the journal is in memory."""
        return self._file.database

    @property
    def deleted_transitions(self) -> int:
        """Old transitions deleted since the journal was full."""
        return self._file.deleted_transitions

    def begin(self) -> None:
        """Open the file, or read what can be read of it."""
        if not self.open():
            self._read_without_opening()

    def open(self) -> bool:
        """Open the file, and write to it what is in memory; return whether that succeeded."""
        try:
            self._file.open(self._fill)
        except JournalError as error:
            self.fault = str(error)
            return False
        self._numbers.opened()
        self._version, self.fault, self.is_read = None, None, True
        return True

    def _fill(self, database: sqlite3.Connection) -> None:
        """Write, within a transaction, what is in memory, and take up what is in the file."""
        with self._lock:
            entries = self.standing.entries()
        for entry in entries:
            entry.write(database)
        self._numbers.open(database)
        self._open_outbox(database, self._numbers.newest)
        self.standing.read(database)
        self.recent.read(database)

    def _open_outbox(self, database: sqlite3.Connection, earlier: Mapping[str, int]) -> None:
        limit_bytes = self._file.limit_bytes // _OUTBOX_SHARE
        self.outbox.open(database, limit_bytes=limit_bytes, earlier=earlier)

    def _read_without_opening(self) -> None:
        """Note alarms and events of a file that cannot be opened, as far as it can be read."""
        image = self._file.read_without_opening()
        if image is None:
            return
        self.standing.read(image)
        self.is_read = True
        if database_format(image) == FORMAT:
            with contextlib.suppress(sqlite3.Error, OSError):  # a part of it is damaged
                self._open_outbox(image, newest_waiting(image))

    def is_open(self) -> bool:
        """Return whether the file is open, and as this process has left it."""
        self._look_at_file()
        return self.database is not None

    def _look_at_file(self) -> None:
        if not self._closed and (problem := self._file.problem) is not None:
            self._abandon_file(problem)

    def _abandon_file(self, problem: str) -> None:
        self.fault = problem
        self.rebuilt += 1
        self._file.abandon(problem)

    def write_new(self) -> bool:
        """Write what `write` has added, unless there is a fault; return whether there is more."""
        return self.fault is None and self.write_portion()

    def write_portion(self) -> bool:
        """Try to write the next unwritten entries; return whether there are more to be written."""
        if self.database is not None and self._is_all_written():
            return False
        self._look_at_file()
        if self.database is None:
            self.entries.give_up()
            return False
        try:
            with translated(self._path):
                self._write_queue(self.database)
            self._file.check()
            self._file.checkpoint(at_once=self.entries.count_written())
        except DamagedJournalError as error:
            self._abandon_file(str(error))
            self.entries.give_up()
            return False
        except JournalError as error:
            self.fault = str(error)
            self.entries.give_up()
            return False
        return not self._is_all_written()

    def _is_all_written(self) -> bool:
        """Return whether there is nothing to be written; then the fault has ended."""
        with self._lock:
            if self.entries.is_idle:
                self.fault = None
            return self.entries.is_idle

    def _write_queue(self, database: sqlite3.Connection) -> None:
        self.entries.write(database, self._file.make_room)

    def note_changes(self) -> bool:
        """Return whether another process has written, and let a set-aside event wait again."""
        if self.database is None:
            return False
        with translated(self._path):
            if self.fault is None:
                self.outbox.retry_set_aside(self.database)
            version: int
            (version,) = self.database.execute("PRAGMA data_version").fetchone()
        changed, self._version = version != self._version, version
        return changed

    def read_events(
        self, machine: str, limit: int
    ) -> tuple[ReadEvents, list[EventEntry], int | None]:
        """Read events of a machine, and return with them those that are unwritten at this time."""
        readable = self._file.readable
        if readable is None:
            raise JournalError(self.fault or f"{self._path}: the file is not open")
        unwritten, due = self.unwritten_events(machine)
        with translated(self._path):
            return self.outbox.read(readable, machine, limit), unwritten, due

    def unwritten_events(self, machine: str) -> tuple[list[EventEntry], int | None]:
        """Return the unwritten events that may be published; the value that says so of a machine.

        Without a fault they are being written, and are published then.  May be called in any
        thread.
        """
        with self._lock:
            unwritten, due = self.entries.events, self.outbox.reader.due.get(machine)
            if self.fault is not None or not unwritten:
                return unwritten, due
            is_being_written = any(entry.event.machine == machine for entry in unwritten)
            return [], None if is_being_written else due

    def alarms(self) -> list[AlarmRecord] | None:
        """Return the alarms, the newest first; None: the journal is in memory."""
        if self.database is None:
            return None
        with translated(self._path):
            rows = rows_of(self.database, "alarms", "ORDER BY number DESC")
            return [record for row in rows if (record := as_alarm(row)) is not None]

    def find(self, alarm_id: str) -> AlarmRecord | None:
        """Return an alarm; None where there is none, or the journal is in memory."""
        if self.database is None:
            return None
        with translated(self._path):
            row = find_row(self.database, "alarms", alarm_id)
            return None if row is None else as_alarm(row)

    def events(self, alarm_id: str) -> list[Event]:
        """Return the transitions of an alarm, the oldest first."""
        if self.database is None:
            return []
        with translated(self._path):
            clause = "WHERE alarm_id = ? ORDER BY number"
            rows = rows_of(self.database, "events", clause, (alarm_id,))
            return [event for row in rows if (event := as_event(row)) is not None]

    def requests(self, machine: str) -> list[Request]:
        """Return the requests of a machine that wait and have no outcome in memory either."""
        if self.database is None:
            return []
        version, self._version = self._version, None
        with translated(self._path):
            found = waiting_requests(self.database, machine)
        self._version = version
        with self._lock:
            settled, holds = self.entries.settled_requests, self.holds
            return [
                each for each in found if each.id not in settled and holds.may_be_applied(each.id)
            ]

    def normal_spans(self, machine: str) -> list[NormalSpan]:
        """Return what is marked as normal of a machine's sound, or will be.

        Where the journal is in memory, what is not written.
        """
        written: list[NormalSpan] = []
        if self.database is not None:
            with translated(self._path):
                written = normal_spans(self.database, machine)
        return self.entries.with_unwritten_spans(written, machine)

    def add_request(self, request: Request) -> None:
        """Add a request, unless it was withdrawn."""
        if self.holds.is_withdrawn(request.id):
            return
        if self.database is None:
            raise JournalError(self.fault or "the journal is closed")
        with translated(self._path), transaction(self.database):
            add_requests(self.database, [request], request.time)

    def close(self) -> None:
        """Try to write the unwritten entries, and close."""
        for _ in range(_ATTEMPTS):
            if self.is_open() or self.open():
                while self.write_portion():
                    pass
                if self.fault is None:
                    break
        self._closed = True
        if self.database is not None:
            with contextlib.suppress(sqlite3.Error):
                self.left_events = tuple(left_events(self.database))
            with contextlib.suppress(sqlite3.Error), transaction(self.database):
                self._numbers.release(self.database)  # else there will be a gap
            self.database.close()
