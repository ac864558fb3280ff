"""The alarms of a state folder and their transitions: `alarms.db`, SQLite.

    daemon    MachineJournal(Journal(state_dir), "fan01").record(…)   every transition
    commands  `asd_monitor.journal.commands`                          lists, acknowledges
    daemon    Journal.maintain() → MachineJournal.apply_acknowledgements(…)

Only the daemon changes the condition of an alarm; a command writes the acknowledgement, and the
daemon applies it, where none is running the next one.

No fault of the disk silences an alarm, or ends the daemon: entries are kept in memory until they
can be written, `fault` is the reason why they are not, and every alarm that is not closed stays in
memory.  A file that was removed, replaced or damaged while the daemon runs is made anew from that.

One thread uses the disk, and no call waits longer for it than `DiskLimits` says.  What is in memory
has a lock, which is never held while the disk is used.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from asd_monitor.journal.alarm_entries import (
    Entry,
    EventEntry,
    MachineEntry,
    acknowledge,
    as_alarm,
    as_event,
)
from asd_monitor.journal.alarm_records import AlarmRecord, Event
from asd_monitor.journal.alarm_tables import FORMAT, database_format, rows_of
from asd_monitor.journal.database import Connect, transaction
from asd_monitor.journal.database_file import DatabaseFile
from asd_monitor.journal.disk_thread import DiskThread, StalledError, StoppedError
from asd_monitor.journal.entry_transactions import EntryTransactions, Unwritten
from asd_monitor.journal.event_numbers import EventNumbers
from asd_monitor.journal.event_outbox import EventOutbox
from asd_monitor.journal.event_reading import ReadEvents
from asd_monitor.journal.journal_file import FILE_NAME
from asd_monitor.journal.outbox_records import (
    MAX_AGE_S,
    MAX_BYTES,
    LeftEvents,
    OutboxFigures,
    WaitingEvent,
)
from asd_monitor.journal.outbox_table import left_events, newest_waiting
from asd_monitor.journal.running_clock import RunningClock
from asd_monitor.journal.sqlite_errors import (
    DamagedJournalError,
    JournalError,
    StalledJournalError,
    translated,
)
from asd_monitor.journal.standing_alarms import StandingAlarms

MAX_EVENTS = 100_000  # the oldest beyond are deleted when a daemon opens the journal
MAX_UNWRITTEN = 10_000
R = TypeVar("R")
_ATTEMPTS = 2  # at the end: the file may be abandoned at the first
_OUTBOX_SHARE = 4  # the outbox takes one part in so many of the journal


@dataclass(frozen=True, slots=True)
class DiskLimits:
    """How long a call waits for the disk, in s."""

    answer_s: float = 2.0
    """To write or read entries; then the alarm is published from memory."""
    opening_s: float = 30.0
    """To open the file, which may have to be migrated or repaired."""
    closing_s: float = 9.0
    """To write the last entries."""


class Journal:
    """The journal of one state folder, for the daemon; safe for several threads.

    Args:
        state_dir: Created where it is missing.
        max_events: Number of the newest transitions that are kept.
        max_unwritten: Entries kept in memory while they cannot be written.
        max_waiting_bytes, max_waiting_s: Bounds of the events that wait to be published, see
            `asd_monitor.journal.event_outbox`.
        limits: How long a call waits for the disk.
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
        limits: DiskLimits | None = None,
        connect: Connect = sqlite3.connect,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """Open the journal, or begin in memory: then `fault` is set."""
        self.path = state_dir / FILE_NAME
        self.fault: str | None = None
        """Why entries are not written; None: all are written."""
        self._limits = limits or DiskLimits()
        self._disk = DiskThread("journal disk")
        self._file = DatabaseFile(self.path, max_events=max_events, connect=connect)
        self._lock = threading.RLock()  # of what is in memory; never held while the disk is used
        self._taking = threading.Lock()  # for one machine after the other
        self.clock = RunningClock(monotonic_s)
        """The running time, by which events have an age."""
        self.left_events: tuple[LeftEvents, ...] = ()
        """What waited to be published when the journal was closed, by machine."""
        self._outbox = EventOutbox(
            self._lock, self.clock, max_bytes=max_waiting_bytes, max_age_s=max_waiting_s
        )
        self._standing = StandingAlarms(self._lock)
        self._numbers = EventNumbers(self.path)
        self._entries = EntryTransactions(
            self._lock, self._outbox, self._numbers, self._standing, max_unwritten=max_unwritten
        )
        self._version: int | None = None  # None: acknowledgements are to be looked for
        self._closed = False
        with contextlib.suppress(StalledJournalError):  # `fault` is set
            self._use_disk(self._begin, limit_s=self._limits.opening_s)

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
        """Try to write the unwritten entries, and close; give up where the disk does not answer.

        May be called in any state and more than once.
        """
        with contextlib.suppress(JournalError):  # `fault` is set, or it is closed
            self._use_disk(self._close, limit_s=self._limits.closing_s)
        self._disk.close()

    def newest(self, machine: str) -> AlarmRecord | None:
        """Return the newest alarm of a machine; None where it had none.  From memory."""
        with self._lock:
            return self._standing.newest(machine)

    def highest_id(self, machine: str) -> str | None:
        """Return the last id of the machine's alarms in alphabetical order.  From memory."""
        with self._lock:
            return self._standing.highest_ids.get(machine)

    def alarms(self, machine: str | None = None) -> list[AlarmRecord]:
        """Return the alarms, of one machine where it is given, the newest first.

        While the journal is in memory, or its disk does not answer, closed alarms are missing.
        Raises `JournalError`.
        """
        records = None
        with contextlib.suppress(StalledJournalError):
            records = self._use_disk(self._written_alarms)
        if records is None:
            with self._lock:
                records = self._standing.records()
        return [record for record in records if machine in (None, record.machine)]

    def events(self, alarm_id: str) -> list[Event]:
        """Return the written transitions of an alarm, the oldest first.  Raises `JournalError`.

        While the journal is in memory, or its disk does not answer, there are none.
        """
        with contextlib.suppress(StalledJournalError):
            return self._use_disk(partial(self._written_events, alarm_id))
        return []

    def unapplied_acknowledgements(self, machine: str) -> list[AlarmRecord]:
        """Return the acknowledged alarms that no daemon has processed, the oldest first.

        Raises `JournalError`; the next `maintain` then reports a change once more.
        """
        return self._use_disk(partial(self._written_acknowledgements, machine))

    def acknowledge(self, alarm_id: str, who: str, why: str | None, now: datetime) -> None:
        """Acknowledge an alarm, as a command does in a process of its own.

        Raises `JournalError` where the journal cannot be written.
        """
        self._use_disk(partial(self._write_acknowledgement, alarm_id, who, why, now))

    @property
    def unwritten(self) -> int:
        """Number of entries that could not be written yet."""
        with self._lock:
            return len(self._entries.queue)

    @property
    def missing(self) -> Unwritten:
        """The unwritten entries by kind."""
        return self._entries.missing

    @property
    def dropped(self) -> int:
        """Number of entries given up: refused by SQLite, or too many while none can be written."""
        return self._entries.queue.dropped.total()

    @property
    def dropped_kinds(self) -> dict[str, int]:
        """The entries given up, by kind."""
        with self._lock:
            return dict(self._entries.queue.dropped)

    @property
    def machines_due(self) -> frozenset[str]:
        """Machines of which `take_events` may return events.  Does not wait."""
        return frozenset(self._outbox.reader.due)

    def take_events(self, machine: str, limit: int) -> list[WaitingEvent]:
        """Return the next events of a machine to be published, in order; each is returned once.

        While the file cannot be read, those that are in memory are returned: at once where no
        earlier one is in the file, else after `event_reading.HELD_BACK_S`.  Raises `JournalError`
        where there is none to be returned and earlier ones cannot be read.
        """
        reader = self._outbox.reader
        with self._taking:
            try:
                read, unwritten, due = self._use_disk(partial(self._read_events, machine, limit))
            except JournalError:
                unwritten, due = self._unwritten_events(machine)
                taken = reader.take_without_file(unwritten, machine, limit, due)
                if not taken and reader.has_unread(machine):
                    raise
                return taken
            return reader.take(read, unwritten, machine, limit, due)

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

    def maintain(self) -> bool:
        """Write what could not be written, and open the file again where that is necessary.

        Returns whether there may be new acknowledgements: another process has written since the
        last call, or the last attempt to read them has failed.  Raises `JournalError`.
        """
        if not self._use_disk(self._is_open) and not self._use_disk(
            self._open, limit_s=self._limits.opening_s
        ):
            self._entries.trim()
            return False
        self.flush()
        return self._use_disk(self._note_changes)

    def flush(self) -> bool:
        """Try to write the unwritten entries; return whether all are written."""
        return self._write_all(self._write_portion)

    def write(self, change: Sequence[Entry]) -> bool:
        """Add the entries of one change and try to write; return whether all are written.

        While there is a fault they are only added: `maintain` writes them.
        """
        with self._lock:
            self._entries.append(change)
            if self.fault is not None:
                self._entries.trim()
                return False
        return self._write_all(self._write_new)

    def register(self, machine: str) -> None:
        """Note that a machine is monitored."""
        with self._lock:
            is_new = machine not in self._standing.machines
            self._standing.machines.setdefault(machine, 0)
        if is_new:
            self.write([MachineEntry(machine)])

    def _use_disk(self, work: Callable[[], R], *, limit_s: float | None = None) -> R:
        """Return what ``work`` returns in the thread of the disk, and raise what it raises.

        Raises `StalledJournalError`, and sets `fault`, where it has not ended within the limit.
        """
        limit_s = self._limits.answer_s if limit_s is None else limit_s
        try:
            return self._disk.run(work, limit_s=limit_s)
        except StoppedError as error:
            raise JournalError(self.fault or "the journal is closed") from error
        except StalledError as error:
            folder = self.path.parent
            text = f"{self.path}: the disk does not answer: check the disk of {folder}"
            self.fault = text
            raise StalledJournalError(text) from error

    def _write_all(self, write: Callable[[], bool]) -> bool:
        """Call ``write`` in the thread of the disk until it returns False."""
        try:
            while self._use_disk(write):
                pass
        except JournalError as error:
            self.fault = self.fault or str(error)
            self._entries.trim()
            return False
        return self.fault is None

    # What follows is called in the thread of the disk.

    @property
    def _database(self) -> sqlite3.Connection | None:
        return self._file.database

    def _begin(self) -> None:
        if not self._open():
            self._read_without_opening()

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
        with self._lock:
            entries = self._standing.entries()
        for entry in entries:
            entry.write(database)
        self._numbers.open(database)
        self._open_outbox(database, self._numbers.newest)
        self._standing.read(database)

    def _open_outbox(self, database: sqlite3.Connection, earlier: Mapping[str, int]) -> None:
        limit_bytes = self._file.limit_bytes // _OUTBOX_SHARE
        self._outbox.open(database, limit_bytes=limit_bytes, earlier=earlier)

    def _read_without_opening(self) -> None:
        """Note alarms and events of a file that cannot be opened, as far as it can be read."""
        image = self._file.read_without_opening()
        if image is None:
            return
        self._standing.read(image)
        if database_format(image) == FORMAT:
            with contextlib.suppress(sqlite3.Error, OSError):  # a part of it is damaged
                self._open_outbox(image, newest_waiting(image))

    def _is_open(self) -> bool:
        """Return whether the file is open, and as this process has left it."""
        self._look_at_file()
        return self._database is not None

    def _look_at_file(self) -> None:
        if not self._closed and (problem := self._file.problem) is not None:
            self._abandon_file(problem)

    def _abandon_file(self, problem: str) -> None:
        self.fault = problem
        self._file.abandon(problem)

    def _write_new(self) -> bool:
        """Write what `write` has added, unless there is a fault; return whether there is more."""
        return self.fault is None and self._write_portion()

    def _write_portion(self) -> bool:
        """Try to write the next unwritten entries; return whether there are more to be written."""
        if self._database is not None and self._is_all_written():
            return False
        self._look_at_file()
        if self._database is None:
            self._entries.give_up()
            return False
        try:
            with translated(self.path):
                self._write_queue(self._database)
            self._file.check()
            self._file.checkpoint(at_once=self._entries.count_written())
        except DamagedJournalError as error:
            self._abandon_file(str(error))
            self._entries.give_up()
            return False
        except JournalError as error:
            self.fault = str(error)
            self._entries.give_up()
            return False
        return not self._is_all_written()

    def _is_all_written(self) -> bool:
        """Return whether there is nothing to be written; then the fault has ended."""
        with self._lock:
            if self._entries.is_idle:
                self.fault = None
            return self._entries.is_idle

    def _write_queue(self, database: sqlite3.Connection) -> None:
        self._entries.write(database, self._file.make_room)

    def _note_changes(self) -> bool:
        """Return whether another process has written, and let a set-aside event wait again."""
        if self._database is None:
            return False
        with translated(self.path):
            if self.fault is None:
                self._outbox.retry_set_aside(self._database)
            version: int
            (version,) = self._database.execute("PRAGMA data_version").fetchone()
        changed, self._version = version != self._version, version
        return changed

    def _read_events(
        self, machine: str, limit: int
    ) -> tuple[ReadEvents, list[EventEntry], int | None]:
        """Read events of a machine, and return with them those that are unwritten at this time."""
        readable = self._file.readable
        if readable is None:
            raise JournalError(self.fault or f"{self.path}: the file is not open")
        unwritten, due = self._unwritten_events(machine)
        with translated(self.path):
            return self._outbox.read(readable, machine, limit), unwritten, due

    def _unwritten_events(self, machine: str) -> tuple[list[EventEntry], int | None]:
        """Return the unwritten events that may be published; the value that says so of a machine.

        Without a fault they are being written, and are published then.  May be called in any
        thread.
        """
        with self._lock:
            unwritten, due = self._entries.events, self._outbox.reader.due.get(machine)
            if self.fault is not None or not unwritten:
                return unwritten, due
            is_being_written = any(entry.event.machine == machine for entry in unwritten)
            return [], None if is_being_written else due

    def _written_alarms(self) -> list[AlarmRecord] | None:
        if self._database is None:
            return None
        with translated(self.path):
            rows = rows_of(self._database, "alarms", "ORDER BY number DESC")
            return [entry.record for row in rows if (entry := as_alarm(row)) is not None]

    def _written_events(self, alarm_id: str) -> list[Event]:
        if self._database is None:
            return []
        with translated(self.path):
            clause = "WHERE alarm_id = ? ORDER BY number"
            rows = rows_of(self._database, "events", clause, (alarm_id,))
            return [event for row in rows if (event := as_event(row)) is not None]

    def _written_acknowledgements(self, machine: str) -> list[AlarmRecord]:
        if self._database is None:
            return []
        clause = "WHERE machine = ? AND acknowledged_at IS NOT NULL AND NOT applied ORDER BY number"
        version, self._version = self._version, None
        with translated(self.path):
            rows = list(rows_of(self._database, "alarms", clause, (machine,)))
        self._version = version
        return [entry.record for row in rows if (entry := as_alarm(row)) is not None]

    def _write_acknowledgement(
        self, alarm_id: str, who: str, why: str | None, now: datetime
    ) -> None:
        if self._database is None:
            raise JournalError(self.fault or "the journal is closed")
        with translated(self.path), transaction(self._database):
            acknowledge(self._database, alarm_id, who, why, now)

    def _close(self) -> None:
        for _ in range(_ATTEMPTS):
            if self._is_open() or self._open():
                while self._write_portion():
                    pass
                if self.fault is None:
                    break
        self._closed = True
        if self._database is not None:
            with contextlib.suppress(sqlite3.Error):
                self.left_events = tuple(left_events(self._database))
            with contextlib.suppress(sqlite3.Error), transaction(self._database):
                self._numbers.release(self._database)  # else there will be a gap
            self._database.close()
