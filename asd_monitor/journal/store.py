"""The alarms of a state folder and their transitions: `alarms.db`, SQLite.

    daemon    MachineJournal(Journal(state_dir), "fan01").record(…)   every transition
    commands  `asd_monitor.journal.commands`                          lists, adds requests
    daemon    Journal.maintain() → MachineRequests.apply(…)           what is in `Journal.requests`
    daemon    Journal.outbox.take(…) → broker → Journal.outbox.settle(…)

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
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

from asd_monitor.alarm.figures import AlarmFigures
from asd_monitor.alarm.state import OUT_OF_SERVICE, SHELVED
from asd_monitor.journal.alarm_entries import Entry
from asd_monitor.journal.alarm_records import AlarmRecord, Event
from asd_monitor.journal.connections import Connect
from asd_monitor.journal.database_file import DatabaseFile
from asd_monitor.journal.entry_transactions import Unwritten
from asd_monitor.journal.event_outbox import EventOutbox
from asd_monitor.journal.journal_counters import JournalCounters
from asd_monitor.journal.journal_file import FILE_NAME
from asd_monitor.journal.journal_outbox import JournalOutbox
from asd_monitor.journal.journal_requests import JournalRequests
from asd_monitor.journal.limited_disk import DiskLimits, LimitedDisk
from asd_monitor.journal.machine_entries import OutOfService
from asd_monitor.journal.outbox_records import MAX_AGE_S, MAX_BYTES, LeftEvents
from asd_monitor.journal.registrations import Registrations
from asd_monitor.journal.running_clock import RunningClock
from asd_monitor.journal.sqlite_errors import StalledJournalError
from asd_monitor.journal.stored_journal import StoredJournal
from asd_monitor.records import NormalSpan

MAX_EVENTS = 100_000  # the oldest beyond are deleted when a daemon opens the journal
MAX_UNWRITTEN = 10_000


def _present() -> datetime:
    return datetime.now(UTC)


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
        self.flushed_portions = 0
        """How many portions of a backlog `flush` has written and was not finished after."""
        self.clock = RunningClock(monotonic_s)
        """The running time, by which events have an age."""
        self._lock = threading.RLock()  # of what is in memory; never held while the disk is used
        outbox = EventOutbox(
            self._lock, self.clock, max_bytes=max_waiting_bytes, max_age_s=max_waiting_s
        )
        file = DatabaseFile(self.path, max_events=max_events, connect=connect)
        self._stored = StoredJournal(file, self._lock, outbox, max_unwritten=max_unwritten)
        self._entries, self._standing = self._stored.entries, self._stored.standing
        self._registrations = Registrations(self._lock, self._standing, self.clock, now)
        self._disk = LimitedDisk(self.path, limits or DiskLimits(), self._stored)
        self.requests = JournalRequests(self._stored, self._disk, self._lock)
        """What people ask."""
        self.outbox = JournalOutbox(self._stored, self._disk)
        """The events that wait to be published."""
        with contextlib.suppress(StalledJournalError):  # `fault` is set
            self._disk.open(self._stored.begin)

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
            records = self._disk.use(self._stored.alarms)
        if records is None:
            with self._lock:
                records = self._standing.records()
        return [record for record in records if machine in (None, record.machine)]

    def events(self, alarm_id: str) -> list[Event]:
        """Return the written transitions of an alarm, the oldest first.  Raises `JournalError`.

        While the journal is in memory, or its disk does not answer, there are none.
        """
        with contextlib.suppress(StalledJournalError):
            return self._disk.use(partial(self._stored.events, alarm_id))
        return []

    def find(self, alarm_id: str) -> AlarmRecord | None:
        """Return an alarm; None where there is none.  Raises `JournalError`."""
        with self._lock:
            record = self._standing.find(alarm_id) or self._entries.unwritten_alarm(alarm_id)
        return record or self._disk.use(partial(self._stored.find, alarm_id))

    def normal_spans(self, machine: str) -> list[NormalSpan]:
        """Return what is marked as normal of a machine's sound.  Raises `JournalError`."""
        return self._disk.use(partial(self._stored.normal_spans, machine))

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
            self.outbox.damaged,
            self.requests.malformed,
        )

    def maintain(self) -> bool:
        """Write what could not be written, and open the file again where that is necessary.

        Returns whether there may be new requests: another process has written since the
        last call, or the last attempt to read them has failed.  Raises `JournalError`.
        """
        if not self._disk.use(self._stored.is_open) and not self._disk.open(self._stored.open):
            self._entries.trim()
            return False
        if corrected := self._registrations.correct():
            self._entries.append(corrected)
        self.flush()
        return self._disk.use(self._stored.note_changes)

    def flush(self) -> bool:
        """Try to write the unwritten entries; return whether all are written."""
        while self._disk.write(self._stored.write_portion):
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
        has_more = self._disk.write(self._stored.write_new)
        return not has_more and self.fault is None

    def register(self, machine: str) -> None:
        """Note that a machine is monitored."""
        if entries := self._registrations.note(machine):
            self.write(entries)
