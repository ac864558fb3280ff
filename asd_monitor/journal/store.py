"""The alarms of a state folder and their transitions: `alarms.db`, SQLite.

    daemon    MachineJournal(Journal(state_dir), "fan01").record(…)   every transition
    commands  `asd_monitor.journal.commands`                          lists, acknowledges
    daemon    Journal.maintain() → MachineJournal.apply_acknowledgements(…)

Only the daemon changes the condition of an alarm; a command writes the acknowledgement, and the
daemon applies it, where none is running the next one.

No fault of the disk silences an alarm, or ends the daemon: entries are kept in memory until they
can be written, `fault` is the reason why they are not, and every alarm that is not closed stays in
memory.  A file that was removed, replaced or damaged while the daemon runs is made anew from that.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from asd_monitor.journal.alarm_entries import (
    Entry,
    MachineEntry,
    acknowledge,
    as_alarm,
    as_event,
)
from asd_monitor.journal.alarm_records import AlarmRecord, Event
from asd_monitor.journal.alarm_tables import rows_of
from asd_monitor.journal.database import Connect, transaction
from asd_monitor.journal.database_file import DatabaseFile
from asd_monitor.journal.entry_transactions import EntryTransactions, Unwritten
from asd_monitor.journal.event_numbers import EventNumbers
from asd_monitor.journal.event_outbox import EventOutbox
from asd_monitor.journal.file_image import open_image, read_files
from asd_monitor.journal.journal_counters import JournalCounters
from asd_monitor.journal.journal_file import FILE_NAME
from asd_monitor.journal.outbox_records import (
    MAX_AGE_S,
    MAX_BYTES,
    LeftEvents,
    OutboxFigures,
    WaitingEvent,
)
from asd_monitor.journal.outbox_table import left_events
from asd_monitor.journal.running_clock import RunningClock
from asd_monitor.journal.sqlite_errors import DamagedJournalError, JournalError, translated
from asd_monitor.journal.standing_alarms import StandingAlarms

MAX_EVENTS = 100_000  # the oldest beyond are deleted when a daemon opens the journal
MAX_UNWRITTEN = 10_000
_ATTEMPTS = 2  # at the end: the file may be abandoned at the first
_OUTBOX_SHARE = 4  # the outbox takes one part in so many of the journal


class Journal:
    """The journal of one state folder, for the daemon; safe for several threads.

    Args:
        state_dir: Created where it is missing.
        max_events: Number of the newest transitions that are kept.
        max_unwritten: Entries kept in memory while they cannot be written.
        max_waiting_bytes, max_waiting_s: Bounds of the events that wait to be published, see
            `asd_monitor.journal.event_outbox`.
        connect: Opens the database.
        monotonic_s: Reads the monotonic clock, in s.

    """

    def __init__(
        self,
        state_dir: Path,
        *,
        max_events: int = MAX_EVENTS,
        max_unwritten: int = MAX_UNWRITTEN,
        max_waiting_bytes: int = MAX_BYTES,
        max_waiting_s: float = MAX_AGE_S,
        connect: Connect = sqlite3.connect,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """Open the journal, or begin in memory: then `fault` is set."""
        self.path = state_dir / FILE_NAME
        self.fault: str | None = None
        """Why entries are not written; None: all are written."""
        self._file = DatabaseFile(self.path, max_events=max_events, connect=connect)
        self._lock = threading.RLock()
        self.clock = RunningClock(monotonic_s)
        """The running time, by which events have an age."""
        self.left_events: tuple[LeftEvents, ...] = ()
        """What waited to be published when the journal was closed, by machine."""
        self._outbox = EventOutbox(self.clock, max_bytes=max_waiting_bytes, max_age_s=max_waiting_s)
        self._standing = StandingAlarms()
        self._numbers = EventNumbers(self.path)
        self._entries = EntryTransactions(
            self._outbox, self._numbers, self._standing, max_unwritten=max_unwritten
        )
        self._version: int | None = None  # None: acknowledgements are to be looked for
        self._rebuilt = 0
        self._closed = False
        if not self._open():
            self._read_without_opening()

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
            for _ in range(_ATTEMPTS):
                if self._database is None and not self._closed:
                    self._open()
                if self.flush():
                    break
            self._closed = True
            if self._database is not None:
                with contextlib.suppress(sqlite3.Error):
                    self.left_events = tuple(left_events(self._database))
                with contextlib.suppress(sqlite3.Error), transaction(self._database):
                    self._numbers.release(self._database)  # else there will be a gap
                self._database.close()

    def newest(self, machine: str) -> AlarmRecord | None:
        """Return the newest alarm of a machine; None where it had none.  From memory."""
        with self._lock:
            return self._standing.newest(machine)

    @property
    def machines(self) -> list[str]:
        """Ids of the machines that were monitored by any run, sorted.  From memory."""
        with self._lock:
            return sorted(self._standing.machines.keys() | self._standing.highest_ids.keys())

    def highest_id(self, machine: str) -> str | None:
        """Return the last id of the machine's alarms in alphabetical order.  From memory."""
        with self._lock:
            return self._standing.highest_ids.get(machine)

    def alarms(self, machine: str | None = None) -> list[AlarmRecord]:
        """Return the alarms, of one machine where it is given, the newest first.

        While the journal is in memory, closed alarms are missing.  Raises `JournalError`.
        """
        with self._lock, translated(self.path):
            if self._database is None:
                records = self._standing.records()
            else:
                rows = rows_of(self._database, "alarms", "ORDER BY number DESC")
                records = [entry.record for row in rows if (entry := as_alarm(row)) is not None]
        return [record for record in records if machine in (None, record.machine)]

    def events(self, alarm_id: str) -> list[Event]:
        """Return the written transitions of an alarm, the oldest first.  Raises `JournalError`."""
        with self._lock, translated(self.path):
            if self._database is None:
                return []
            clause = "WHERE alarm_id = ? ORDER BY number"
            rows = rows_of(self._database, "events", clause, (alarm_id,))
            return [event for row in rows if (event := as_event(row)) is not None]

    def unapplied_acknowledgements(self, machine: str) -> list[AlarmRecord]:
        """Return the acknowledged alarms that no daemon has processed, the oldest first.

        Raises `JournalError`; the next `maintain` then reports a change once more.
        """
        clause = "WHERE machine = ? AND acknowledged_at IS NOT NULL AND NOT applied ORDER BY number"
        with self._lock:
            if self._database is None:
                return []
            version, self._version = self._version, None
            with translated(self.path):
                rows = list(rows_of(self._database, "alarms", clause, (machine,)))
            self._version = version
        return [entry.record for row in rows if (entry := as_alarm(row)) is not None]

    def acknowledge(self, alarm_id: str, who: str, why: str | None, now: datetime) -> None:
        """Acknowledge an alarm, as a command does in a process of its own.

        Raises `JournalError` where the journal cannot be written.
        """
        with self._lock, translated(self.path):
            if self._database is None:
                raise JournalError(self.fault or "the journal is closed")
            with transaction(self._database):
                acknowledge(self._database, alarm_id, who, why, now)

    @property
    def unwritten(self) -> int:
        """Number of entries that could not be written yet."""
        return len(self._entries.queue)

    @property
    def missing(self) -> Unwritten:
        """The unwritten entries by kind."""
        with self._lock:
            return self._entries.missing

    @property
    def dropped(self) -> int:
        """Number of entries given up: refused by SQLite, or too many while none can be written."""
        return self._entries.queue.dropped

    @property
    def counters(self) -> JournalCounters:
        """What was lost, rebuilt or given up so far.  Does not wait."""
        return JournalCounters(
            self.dropped, self._rebuilt, self._file.deleted_transitions, self._outbox.damaged
        )

    @property
    def machines_due(self) -> frozenset[str]:
        """Machines of which `take_events` may return events.  Does not wait."""
        return frozenset(self._outbox.due)

    def take_events(self, machine: str, limit: int) -> list[WaitingEvent]:
        """Return the next events of a machine to be published, in order; each is returned once.

        Raises `JournalError`.
        """
        with self._lock, translated(self.path):
            return self._outbox.take(self._database, self._entries.events, machine, limit)

    def settle(self, waiting: WaitingEvent, refusal: str | None) -> None:
        """Note that an event was acknowledged, or why the broker does not accept it.

        Does not wait: it is written with the next entry or by `maintain`.
        """
        self._outbox.settle(waiting, refusal)

    def is_historical(self, waiting: WaitingEvent) -> bool:
        """Return whether an event would be published late now.  Does not wait."""
        return self._outbox.is_historical(waiting)

    @property
    def outbox_figures(self) -> OutboxFigures:
        """The events that wait, those that are not written included.  Does not wait."""
        return self._entries.outbox_figures

    @property
    def _database(self) -> sqlite3.Connection | None:
        return self._file.database

    def maintain(self) -> bool:
        """Write what could not be written, and open the file again where that is necessary.

        Returns whether there may be new acknowledgements: another process has written since the
        last call, or the last attempt to read them has failed.  Raises `JournalError`.
        """
        with self._lock:
            self._look_at_file()
            if self._database is None:
                self._open()
            self.flush()
            if self._database is None:
                return False
            with translated(self.path):
                if self.fault is None:
                    self._outbox.retry_set_aside(self._database)
                version: int
                (version,) = self._database.execute("PRAGMA data_version").fetchone()
            changed, self._version = version != self._version, version
            return changed

    def flush(self) -> bool:
        """Try to write the unwritten entries; return whether all are written."""
        with self._lock:
            if self._entries.is_idle:
                if self._database is not None:
                    self.fault = None
                return self._database is not None
            self._look_at_file()
            if self._database is None:
                self._entries.trim()
                return False
            try:
                with translated(self.path):
                    self._write_queue(self._database)
                self._file.check()
                self._file.checkpoint(at_once=self._entries.count_written())
            except DamagedJournalError as error:
                self._abandon_file(str(error))
                self._entries.trim()
                return False
            except JournalError as error:
                self.fault = str(error)
                self._entries.trim()
                return False
            self.fault = None
            return True

    def _look_at_file(self) -> None:
        if not self._closed and (problem := self._file.problem) is not None:
            self._abandon_file(problem)

    def _abandon_file(self, problem: str) -> None:
        self.fault = problem
        self._rebuilt += 1
        self._file.abandon(problem)

    def write(self, change: Sequence[Entry]) -> bool:
        """Add the entries of one change and try to write; return whether all are written."""
        with self._lock:
            self._entries.append(change)
            return self.flush()

    def register(self, machine: str) -> None:
        """Note that a machine is monitored."""
        with self._lock:
            if machine not in self._standing.machines:
                self._standing.machines[machine] = 0
                self.write([MachineEntry(machine)])

    def _open(self) -> bool:
        """Open the file, and write to it what is in memory; return whether that succeeded."""
        try:
            self._file.open(self._fill)
        except JournalError as error:
            self.fault = str(error)
            return False
        self._numbers.opened()
        self._version, self.fault = None, None
        return True

    def _fill(self, database: sqlite3.Connection) -> None:
        """Write, within a transaction, what is in memory, and take up what is in the file."""
        for entry in self._standing.entries():
            entry.write(database)
        self._numbers.open(database)
        self._outbox.open(
            database,
            limit_bytes=self._file.limit_bytes // _OUTBOX_SHARE,
            earlier=self._numbers.newest,
        )
        self._standing.read(database)

    def _read_without_opening(self) -> None:
        """Note the alarms of a file that cannot be opened, as far as it can be read."""
        try:
            image = open_image(read_files(self.path))
        except (OSError, ValueError, JournalError):
            return
        if image is not None:
            self._standing.read(image.database)

    def _write_queue(self, database: sqlite3.Connection) -> None:
        self._entries.write(database, self._file.make_room)
