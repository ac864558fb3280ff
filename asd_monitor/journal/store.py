"""The alarms of a state folder and their transitions: `alarms.db`, SQLite.

    daemon    MachineJournal(Journal(state_dir), "fan01").record(…)   every transition
    commands  `asd_monitor.journal.commands`                          lists, adds requests
    daemon    Journal.maintain() → MachineJournal.apply_requests(…)

Only the daemon changes an alarm; a command adds a request, and the daemon applies it, where none is
running the next one.

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
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from asd_monitor.alarm.figures import AlarmFigures
from asd_monitor.alarm.state import OUT_OF_SERVICE, SHELVED
from asd_monitor.errors import OperationError, UsageError
from asd_monitor.journal.alarm_entries import Entry
from asd_monitor.journal.alarm_records import AlarmRecord, Event
from asd_monitor.journal.connections import Connect
from asd_monitor.journal.database_file import DatabaseFile
from asd_monitor.journal.disk_thread import DiskThread, StalledError, StoppedError
from asd_monitor.journal.entry_transactions import Unwritten
from asd_monitor.journal.event_outbox import EventOutbox
from asd_monitor.journal.journal_counters import JournalCounters
from asd_monitor.journal.journal_file import FILE_NAME
from asd_monitor.journal.machine_entries import MachineEntry, OutOfService, SinceEntry
from asd_monitor.journal.outbox_records import (
    MAX_AGE_S,
    MAX_BYTES,
    LeftEvents,
    OutboxFigures,
    WaitingEvent,
)
from asd_monitor.journal.requests import OutcomeEntry, Request
from asd_monitor.journal.running_clock import RunningClock
from asd_monitor.journal.sqlite_errors import JournalError, LockedJournalError, StalledJournalError
from asd_monitor.journal.stored_journal import StoredJournal
from asd_monitor.records import NormalSpan

MAX_EVENTS = 100_000  # the oldest beyond are deleted when a daemon opens the journal
MAX_UNWRITTEN = 10_000
CLOCK_STEP = timedelta(minutes=1)
"""A larger change of the clock at once corrects since when a new machine is monitored."""
R = TypeVar("R")


def _present() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class DiskLimits:
    """How long a call waits for the disk, in s."""

    answer_s: float = 2.0
    """To write or read entries; then the alarm is published from memory."""
    opening_s: float = 30.0
    """To open the file, which may have to be migrated or repaired."""
    closing_s: float = 9.0
    """To write the last entries, the wait for earlier work included."""


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
        now: Reads the wall clock.

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
        now: Callable[[], datetime] = _present,
    ) -> None:
        """Open the journal, or begin in memory: then `fault` is set."""
        self.path = state_dir / FILE_NAME
        self._now = now
        self._limits = limits or DiskLimits()
        self._disk = DiskThread("journal disk")
        self._lock = threading.RLock()  # of what is in memory; never held while the disk is used
        self._taking = threading.Lock()  # for one machine after the other
        self.flushed_portions = 0
        """How many portions of a backlog `flush` has written and was not finished after."""
        self._malformed_requests = 0
        self._registered: dict[str, tuple[datetime, float]] = {}  # in this run, by both clocks
        self.clock = RunningClock(monotonic_s)
        """The running time, by which events have an age."""
        self._outbox = EventOutbox(
            self._lock, self.clock, max_bytes=max_waiting_bytes, max_age_s=max_waiting_s
        )
        file = DatabaseFile(self.path, max_events=max_events, connect=connect)
        self._stored = StoredJournal(file, self._lock, self._outbox, max_unwritten=max_unwritten)
        self._entries, self._standing = self._stored.entries, self._stored.standing
        with contextlib.suppress(StalledJournalError):  # `fault` is set
            self._use_disk(self._stored.begin, limit_s=self._limits.opening_s)

    @property
    def fault(self) -> str | None:
        """Why entries are not written; None: all are written."""
        return self._stored.fault

    @property
    def is_read(self) -> bool:
        """Whether the alarms of earlier runs are known.  Does not wait.

        They are not while the file cannot be opened, or read without being opened.
        """
        return self._stored.is_read

    @property
    def left_events(self) -> tuple[LeftEvents, ...]:
        """What waited to be published when the journal was closed, by machine."""
        return self._stored.left_events

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

        It waits for a disk that has not answered before, within the same limit.  May be called in
        any state and more than once.
        """
        begun_s = time.monotonic()
        self._disk.await_overdue(self._limits.closing_s)
        left_s = max(0.0, self._limits.closing_s - (time.monotonic() - begun_s))
        with contextlib.suppress(JournalError):  # `fault` is set, or it is closed
            self._use_disk(self._stored.close, limit_s=left_s)
        self._disk.close()

    def newest(self, machine: str) -> AlarmRecord | None:
        """Return the newest alarm of a machine; None where it had none.  From memory."""
        with self._lock:
            return self._standing.newest(machine)

    def open_alarms(self, machine: str) -> list[AlarmRecord]:
        """Return a machine's alarms that are active or hidden, the newest first.  From memory."""
        with self._lock:
            records = self._standing.records()
        hidden = SHELVED | OUT_OF_SERVICE
        return [
            each
            for each in records
            if each.machine == machine and (each.active or each.condition in hidden)
        ]

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

        While the journal is in memory, or its disk does not answer, closed alarms are missing.
        Raises `JournalError`.
        """
        records = None
        with contextlib.suppress(StalledJournalError):
            records = self._use_disk(self._stored.alarms)
        if records is None:
            with self._lock:
                records = self._standing.records()
        return [record for record in records if machine in (None, record.machine)]

    def events(self, alarm_id: str) -> list[Event]:
        """Return the written transitions of an alarm, the oldest first.  Raises `JournalError`.

        While the journal is in memory, or its disk does not answer, there are none.
        """
        with contextlib.suppress(StalledJournalError):
            return self._use_disk(partial(self._stored.events, alarm_id))
        return []

    def find(self, alarm_id: str) -> AlarmRecord | None:
        """Return an alarm; None where there is none.  Raises `JournalError`."""
        with self._lock:
            record = self._standing.find(alarm_id) or self._entries.unwritten_alarm(alarm_id)
        return record or self._use_disk(partial(self._stored.find, alarm_id))

    def waiting_requests(self, machine: str) -> list[Request]:
        """Return the requests of a machine that no daemon has applied, the oldest first.

        Raises `JournalError`; the next `maintain` then reports a change once more.
        """
        return self._use_disk(partial(self._stored.requests, machine))

    def normal_spans(self, machine: str) -> list[NormalSpan]:
        """Return what is marked as normal of a machine's sound.  Raises `JournalError`."""
        return self._use_disk(partial(self._stored.normal_spans, machine))

    def add_request(self, request: Request) -> None:
        """Add a request, as a command does in a process of its own; one of the same id stays.

        Where the disk does not answer, the request is not applied until another call with it has
        returned, and can be withdrawn until then, also where another process holds the journal.
        Raises `JournalError` where the journal cannot be written, and `TooManyRequestsError`: then
        it is not applied, also where an earlier call is found to have written it.
        """
        self.hold_request(request.id)
        holds = self._stored.holds
        try:
            self._use_disk(partial(self._stored.add_request, request))
        except StalledJournalError:
            holds.note_stalled(request.id)
            raise
        except LockedJournalError:
            raise
        except (OperationError, UsageError) as error:
            if holds.may_be_written(request.id):
                self.withdraw_request(request.id, f"it is not applied: {error}")
            holds.release(request.id)
            raise
        holds.release(request.id)

    def hold_request(self, request_id: str) -> None:
        """Let a request that is to be added be one that can be withdrawn.  Does not wait."""
        if not self._stored.holds.is_withdrawn(request_id):
            self._stored.holds.hold(request_id)

    def withdraw_request(self, request_id: str, why: str) -> bool:
        """Withdraw a request that is not known to be written: it is not applied.  Does not wait.

        It gets the outcome ``why`` where the disk has written it.  Returns False where it is
        written: it may have been applied.
        """
        with self._lock:
            if not self._stored.holds.withdraw(request_id):
                return False
            self._entries.append([OutcomeEntry(request_id, why, accepted=False)])
            return True

    def listen(self, receive: Callable[[OutcomeEntry], None]) -> None:
        """Call ``receive`` with the outcome of each request, once it is written.

        It is called in the thread of the disk, and must not wait.
        """
        self._entries.on_outcome = receive

    def out_of_service(self, machine: str) -> OutOfService | None:
        """Return since when a machine is out of service; None: it is in service.  From memory."""
        with self._lock:
            return self._standing.out_of_service(machine)

    def figures(self, now: datetime) -> AlarmFigures:
        """Return the figures of the alarms of the last 30 days.  From memory."""
        with self._lock:
            records = self._standing.records()
            out_of_service = self._standing.machines_out_of_service
            begun = [*self._standing.monitored_since.values(), self._standing.oldest or now]
        return self._stored.recent.figures(
            records, out_of_service=out_of_service, begun=min(begun), now=now
        )

    def is_chattering(self, machine: str, now: datetime) -> bool:
        """Return whether the alarms of a machine chatter now.  From memory."""
        return self._stored.recent.is_chattering(machine, now)

    def unacknowledged_again(self, alarm_id: str) -> datetime | None:
        """Return when an alarm became unacknowledged again; None: it did not.  From memory."""
        return self._stored.recent.unacknowledged_again(alarm_id)

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
    def counters(self) -> JournalCounters:
        """What was lost, rebuilt or given up so far.  Does not wait."""
        return JournalCounters(
            self.dropped,
            self._stored.rebuilt,
            self._stored.deleted_transitions,
            self._outbox.damaged,
            self._malformed_requests,
        )

    def count_malformed_request(self) -> None:
        """Count a request that could not be applied.  Does not wait."""
        with self._lock:
            self._malformed_requests += 1

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
                read, unwritten, due = self._use_disk(
                    partial(self._stored.read_events, machine, limit)
                )
            except JournalError:
                unwritten, due = self._stored.unwritten_events(machine)
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

        Returns whether there may be new requests: another process has written since the
        last call, or the last attempt to read them has failed.  Raises `JournalError`.
        """
        if not self._use_disk(self._stored.is_open) and not self._use_disk(
            self._stored.open, limit_s=self._limits.opening_s
        ):
            self._entries.trim()
            return False
        self._correct_registered()
        self.flush()
        return self._use_disk(self._stored.note_changes)

    def _correct_registered(self) -> None:
        """Note when machines were registered, where the clock was set after that."""
        now, now_s = self._now(), self.clock.now_s()
        with self._lock:
            for machine, (since, since_s) in self._registered.items():
                corrected = now - timedelta(seconds=now_s - since_s)
                is_of_run = self._standing.monitored_since.get(machine) == since
                if is_of_run and abs(corrected - since) > CLOCK_STEP:
                    self._registered[machine] = corrected, since_s
                    self._standing.monitored_since[machine] = corrected
                    self._entries.append([SinceEntry(machine, corrected)])

    def flush(self) -> bool:
        """Try to write the unwritten entries; return whether all are written."""
        while self._write(self._stored.write_portion):
            self.flushed_portions += 1
        return self.fault is None

    def write(self, change: Sequence[Entry]) -> bool:
        """Add the entries of one change and try to write; return whether all are written.

        One portion is written: `maintain` writes the others of a backlog, and all of them while
        there is a fault.
        """
        with self._lock:
            self._entries.append(change)
            if self.fault is not None:
                self._entries.trim()
                return False
        has_more = self._write(self._stored.write_new)
        return not has_more and self.fault is None

    def register(self, machine: str) -> None:
        """Note that a machine is monitored."""
        since = self._now()
        with self._lock:
            is_new = self._standing.note_machine(machine, since)
            if is_new:
                self._registered[machine] = since, self.clock.now_s()
        if is_new:
            self.write([MachineEntry(machine, monitored_since=since)])

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
            self._stored.fault = text
            raise StalledJournalError(text) from error

    def _write(self, write: Callable[[], bool]) -> bool:
        """Write a portion in the thread of the disk; return whether there are more."""
        try:
            return self._use_disk(write)
        except JournalError as error:
            self._stored.fault = self.fault or str(error)
            self._entries.trim()
            return False
