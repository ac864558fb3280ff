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
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

import structlog

from asd_monitor.journal.alarm_entries import (
    AlarmEntry,
    Entry,
    EventEntry,
    MachineEntry,
    acknowledge,
    as_alarm,
    as_event,
)
from asd_monitor.journal.alarm_records import AlarmRecord, Event
from asd_monitor.journal.alarm_tables import rows_of
from asd_monitor.journal.database import (
    Connect,
    delete_oldest_events,
    open_database,
    page_limit,
    transaction,
)
from asd_monitor.journal.event_outbox import (
    MAX_AGE_S,
    MAX_BYTES,
    EventOutbox,
    LeftEvents,
    OutboxChange,
    OutboxFigures,
    WaitingEvent,
    left_events,
)
from asd_monitor.journal.file_image import PAGE_BYTES, new_database, open_image, read_files
from asd_monitor.journal.journal_file import FILE_NAME, log_identity, set_log_aside
from asd_monitor.journal.recovery import copy_rows
from asd_monitor.journal.running_clock import RunningClock
from asd_monitor.journal.sqlite_errors import DamagedJournalError, JournalError, is_full, translated
from asd_monitor.journal.standing_alarms import StandingAlarms
from asd_monitor.journal.write_queue import WriteQueue

log = structlog.get_logger()

MAX_EVENTS = 100_000  # the oldest beyond are deleted when a daemon opens the journal
MAX_UNWRITTEN = 10_000
_ROOM_SHARE = 10  # of the transitions, one part in so many is deleted where the journal is full
_OUTBOX_SHARE = 4  # the outbox takes one part in so many of the journal


@dataclass(frozen=True, slots=True)
class Unwritten:
    """What is not in the journal."""

    alarms: tuple[str, ...]
    """Ids of the alarms that are new or have changed."""
    events: int
    """Number of transitions."""
    unpublished: int
    """Number of those that the broker has not acknowledged."""


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
        self._max_events = max_events
        self._connect = connect
        self._lock = threading.RLock()
        self.clock = RunningClock(monotonic_s)
        """The running time, by which events have an age."""
        self.left_events: tuple[LeftEvents, ...] = ()
        """What waited to be published when the journal was closed, by machine."""
        self._queue = WriteQueue(max_entries=max_unwritten)
        self._outbox = EventOutbox(self.clock, max_bytes=max_waiting_bytes, max_age_s=max_waiting_s)
        self._standing = StandingAlarms()
        self._database: sqlite3.Connection | None = None  # None: in memory
        self._history: sqlite3.Connection | None = None  # what an abandoned file contained
        self._file: os.stat_result | None = None  # of the database after the last change
        self._log: int | None = None  # the write-ahead log, as `log_identity`
        self._version: int | None = None  # None: acknowledgements are to be looked for
        self._unwritten_waiting = 0  # events in the queue
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
            if self._database is None and not self._closed:
                self._open()
            self.flush()
            self._closed = True
            if self._database is not None:
                with contextlib.suppress(sqlite3.Error):
                    self.left_events = tuple(left_events(self._database))
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
            self._note_file()

    @property
    def unwritten(self) -> int:
        """Number of entries that could not be written yet."""
        return len(self._queue)

    @property
    def missing(self) -> Unwritten:
        """The unwritten entries by kind."""
        with self._lock:
            entries = list(self._queue)
            unpublished = len(self._outbox.unsettled(self._unwritten_events))
        alarms = dict.fromkeys(e.record.id for e in entries if isinstance(e, AlarmEntry))
        events = sum(isinstance(e, EventEntry) for e in entries)
        return Unwritten(tuple(alarms), events, unpublished)

    @property
    def dropped(self) -> int:
        """Number of entries given up: refused by SQLite, or too many while none can be written."""
        return self._queue.dropped

    @property
    def machines_due(self) -> frozenset[str]:
        """Machines of which `take_events` may return events.  Does not wait."""
        return frozenset(self._outbox.due)

    def take_events(self, machine: str, limit: int) -> list[WaitingEvent]:
        """Return the next events of a machine to be published, in order; each is returned once.

        Raises `JournalError`.
        """
        with self._lock, translated(self.path):
            damaged = self._outbox.damaged
            taken = self._outbox.take(self._database, self._unwritten_events, machine, limit)
            if self._outbox.damaged > damaged:  # their rows were moved
                self._note_file()
            return taken

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
        figures, unwritten = self._outbox.figures, self._unwritten_waiting
        settled = self._outbox.unwritten_settlements
        return replace(figures, waiting=max(0, figures.waiting + unwritten - settled))

    @property
    def _unwritten_events(self) -> list[EventEntry]:
        return [entry for entry in self._queue if isinstance(entry, EventEntry)]

    def maintain(self) -> bool:
        """Write what could not be written, and open the file again where that is necessary.

        Returns whether there may be new acknowledgements: another process has written since the
        last call, or the last attempt to read them has failed.  Raises `JournalError`.
        """
        with self._lock:
            if self._database is not None and (problem := self._problem_of_file()) is not None:
                self._abandon_file(problem)
            if self._database is None:
                self._open()
            self.flush()
            if self._database is None:
                return False
            with translated(self.path):
                version: int
                (version,) = self._database.execute("PRAGMA data_version").fetchone()
            changed, self._version = version != self._version, version
            return changed

    def flush(self) -> bool:
        """Try to write the unwritten entries; return whether all are written."""
        with self._lock:
            if not self._queue and not self._outbox.unwritten_settlements:
                if self._database is not None:
                    self.fault = None
                return self._database is not None
            if self._database is not None and (problem := self._problem_of_file()) is not None:
                self._abandon_file(problem)
            if self._database is None:
                self._trim_queue()
                return False
            try:
                with translated(self.path):
                    self._write_queue(self._database)
            except DamagedJournalError as error:
                self._abandon_file(str(error))
                self._trim_queue()
                return False
            except JournalError as error:
                self.fault = str(error)
                self._trim_queue()
                return False
            finally:
                self._note_file()
            self.fault = None
            return True

    def _trim_queue(self) -> None:
        dropped = self._queue.trim()
        unwritten = self._unwritten_events
        self._unwritten_waiting = len(unwritten)
        if dropped:
            self._outbox.forget_unwritten(_events_of(dropped), unwritten)

    def write(self, change: Sequence[Entry]) -> bool:
        """Add the entries of one change and try to write; return whether all are written."""
        with self._lock:
            for entry in change:
                if isinstance(entry, AlarmEntry):
                    self._standing.note(entry)
                elif isinstance(entry, EventEntry):
                    self._outbox.due.add(entry.event.machine)
            self._queue.append(change)
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
            database = open_database(self.path, max_events=self._max_events, connect=self._connect)
        except JournalError as error:
            self.fault = str(error)
            return False
        try:
            with translated(self.path):
                pages = page_limit(self.path)
                self._outbox.open(database, pages * PAGE_BYTES // _OUTBOX_SHARE)
                with transaction(database):
                    if self._history is not None:
                        copy_rows(self._history, database)
                    for entry in self._standing.entries():
                        entry.write(database)
                self._outbox.count(database)
                self._standing.read(database)
        except JournalError as error:
            database.close()
            self.fault = str(error)
            return False
        self._database, self._history, self._version, self.fault = database, None, None, None
        self._file = None
        self._note_file()
        return True

    def _read_without_opening(self) -> None:
        """Note the alarms of a file that cannot be opened, as far as it can be read."""
        try:
            image = open_image(read_files(self.path))
        except (OSError, ValueError, JournalError):
            return
        if image is not None:
            self._standing.read(image.database)

    def _problem_of_file(self) -> str | None:
        """Return how the file was changed by others than SQLite; None: it was not."""
        if self._closed:
            return None
        try:
            found = self.path.stat()
        except FileNotFoundError:
            return "the file was removed"
        except OSError as error:
            return str(error)
        known = self._file
        if known is None or (found.st_dev, found.st_ino) != (known.st_dev, known.st_ino):
            return "the file was replaced by another"
        if (found.st_size, found.st_mtime_ns) != (known.st_size, known.st_mtime_ns):
            return "the file was overwritten"
        return None

    def _abandon_file(self, problem: str) -> None:
        """Go on in memory after the file was removed, replaced or damaged; keep its content."""
        self.fault = problem
        log.error(
            "the journal of alarms was changed by another program or is damaged: it is made anew",
            file=str(self.path),
            reason=problem,
            hint="leave the file to the daemon; the alarms that it knows are kept",
        )
        if self._database is None:
            return
        history = new_database()
        try:
            copy_rows(self._database, history)  # a removed file can still be read
            self._history = history
        except sqlite3.Error:
            history.close()
        self._database.close()
        self._database = None
        if self._log is not None and self._log == log_identity(self.path):
            try:
                set_log_aside(self.path, "abandoned")  # it must not be applied to another file
            except OSError:
                log.exception("the write-ahead log of the journal cannot be renamed")

    def _note_file(self) -> None:
        """Note the file as it is after a change by this process."""
        try:
            found = self.path.stat()
        except OSError:
            return
        if self._file is None or found.st_ino == self._file.st_ino:
            self._file, self._log = found, log_identity(self.path)

    def _write_queue(self, database: sqlite3.Connection) -> None:
        finish = partial(self._outbox.update, database)
        try:
            refused, change = self._queue.write(database, finish)
        except sqlite3.Error as error:
            if not is_full(error) or not self._make_room(database):
                raise
            refused, change = self._queue.write(database, finish)
        self._note_written(change, refused)

    def _note_written(self, change: OutboxChange, refused: Sequence[Entry]) -> None:
        self._unwritten_waiting = 0
        self._outbox.committed(change)
        for machine, seq in change.sequences.items():
            self._standing.machines[machine] = seq
        if refused:
            self._outbox.forget_unwritten(_events_of(refused), ())

    def _make_room(self, database: sqlite3.Connection) -> bool:
        """Shorten a full journal; return whether another attempt to write may succeed.

        Where other files fill the disk, the transitions stay.
        """
        try:
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            (pages,) = database.execute("PRAGMA page_count").fetchone()
            if pages < page_limit(self.path):
                return True
            (events,) = database.execute("SELECT count(*) FROM events").fetchone()
            keep = events - max(1, events // _ROOM_SHARE)
            with transaction(database):
                deleted = delete_oldest_events(database, keep=keep) if events else 0
                dropped = self._outbox.make_room(database)
        except (sqlite3.Error, OSError):
            return False
        log.warning("the oldest transitions were deleted: the journal is full", events=deleted)
        return deleted + dropped > 0


def _events_of(entries: Sequence[Entry]) -> list[EventEntry]:
    return [entry for entry in entries if isinstance(entry, EventEntry)]
