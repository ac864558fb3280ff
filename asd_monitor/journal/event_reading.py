"""Which waiting events are given to the session with the broker, in which order, each once.

Those of the file come first, in the order of their numbers, then those that are not written yet.
While earlier ones cannot be read, those that are not written are held back, but not for long.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import structlog

from asd_monitor.journal import outbox_table as table
from asd_monitor.journal.alarm_entries import EventEntry, as_waiting
from asd_monitor.journal.alarm_records import Event
from asd_monitor.journal.earlier_formats import Row
from asd_monitor.journal.outbox_records import WaitingEvent
from asd_monitor.journal.running_clock import RunningClock

log = structlog.get_logger()

HELD_BACK_S = 5.0
"""An unwritten event waits so long, from when it was recorded, for earlier ones to be read."""


@dataclass(slots=True)
class ReadEvents:
    """What was read of one machine, before any of it is taken."""

    events: list[WaitingEvent] = field(default_factory=list)
    newest_seq: int = 0
    """The highest number that was read."""
    known: set[str] = field(default_factory=set)
    """Ids of the events that were taken before they were written."""
    damaged: list[Row] = field(default_factory=list)
    exhausted: bool = False
    """Whether no more is in the file."""

    @property
    def ids(self) -> set[str]:
        """Ids of the events."""
        return {waiting.event.id for waiting in self.events}


class EventReader:
    """Reads the events of a journal and remembers what was taken.

    `read` uses the disk, and what it returns is to be taken before it is called again.  What else
    there is may be called in any thread.

    Args:
        lock: Of what is in memory.
        clock: The running time.

    """

    def __init__(self, lock: threading.RLock, clock: RunningClock) -> None:
        self._lock = lock
        self._clock = clock
        self._due: dict[str, int] = {}  # machine → a number that is new with each `note_due`
        self._newest_due = 0
        self._newest_seq: dict[str, int] = {}  # of the events that wait in the file, by machine
        self._taken_seq: dict[str, int] = {}  # of the newest event taken from the file, by machine
        self._with_session: dict[tuple[str, int], WaitingEvent] = {}  # by machine and number
        self._taken_unwritten: set[str] = set()  # ids
        self._is_overtaking = False

    @property
    def due(self) -> Mapping[str, int]:
        """Machines of which there may be events to be taken; the value changes with each event."""
        with self._lock:
            return dict(self._due)

    @property
    def taken_seq(self) -> Mapping[str, int]:
        """The number of the newest event taken from the file, by machine."""
        with self._lock:
            return dict(self._taken_seq)

    @property
    def with_session(self) -> dict[tuple[str, int], WaitingEvent]:
        """The events of the file that were taken and are not settled, by machine and number."""
        with self._lock:
            return dict(self._with_session)

    @property
    def taken_unwritten(self) -> frozenset[str]:
        """Ids of the events that were taken before they were written."""
        with self._lock:
            return frozenset(self._taken_unwritten)

    def note_due(self, machine: str) -> None:
        """Note that a machine may have an event to be taken."""
        with self._lock:
            self._newest_due += 1
            self._due[machine] = self._newest_due

    def note_waiting(self, newest: Mapping[str, int]) -> None:
        """Note what waits in a file that was opened or counted: by machine, the highest number."""
        with self._lock:
            self._newest_seq = dict(newest)
            for machine in newest:
                self.note_due(machine)

    def note_written(self, newest: Mapping[str, int]) -> None:
        """Note the highest number that was written, by machine."""
        with self._lock:
            self._newest_seq |= newest
            if self._taken_unwritten:  # they have a number now, and are to be read to know it
                for machine in newest:
                    self.note_due(machine)

    def note_settled(self, events: Iterable[Event]) -> None:
        """Note that events need not be kept any more."""
        with self._lock:
            for event in events:
                self._taken_unwritten.discard(event.id)
                self._with_session.pop((event.machine, event.seq or 0), None)

    def forget_unwritten(self, ids: Iterable[str]) -> None:
        """Note that events were given up before they were written."""
        with self._lock:
            self._taken_unwritten.difference_update(ids)

    def has_unread(self, machine: str) -> bool:
        """Return whether events of a machine are known to be in the file and were not taken."""
        with self._lock:
            return self._newest_seq.get(machine, 0) > self._taken_seq.get(machine, 0)

    def read(
        self, database: sqlite3.Connection, machine: str, limit: int, retried: Event | None
    ) -> ReadEvents:
        """Read the next events of a machine from a file.  Raises sqlite3.Error.

        ``retried`` is an event that had been set aside and is tried again.
        """
        above = self._taken_seq.get(machine, 0)
        found = ReadEvents(newest_seq=above)
        while not found.exhausted and len(found.events) < limit:
            wanted = limit - len(found.events)
            rows = table.waiting_rows(database, machine, above=above, limit=wanted)
            self._read_rows(rows, found)
            found.exhausted = len(rows) < wanted or found.newest_seq == above
            above = found.newest_seq
        if found.exhausted and retried is not None and retried.machine == machine:
            seq = retried.seq or 0
            row = table.row_of(database, machine, seq)
            is_taken = (machine, seq) in self._with_session
            if row is not None and not is_taken and retried.id not in found.ids:
                self._read_rows([row], found)
        return found

    def _read_rows(self, rows: Sequence[Row], found: ReadEvents) -> None:
        for row in rows:
            seq, waiting = row[3], as_waiting(row)
            found.newest_seq = max(found.newest_seq, seq if isinstance(seq, int) else 0)
            if waiting is None:
                found.damaged.append(row)
            elif waiting.event.id in self._taken_unwritten:
                found.known.add(waiting.event.id)
            else:
                recorded_s = self._clock.monotonic_at(waiting.clock_s)
                found.events.append(WaitingEvent(waiting.event, recorded_s))

    def take(
        self,
        read: ReadEvents,
        unwritten: Iterable[EventEntry],
        machine: str,
        limit: int,
        due: int | None,
    ) -> list[WaitingEvent]:
        """Take what was read of a machine, then its unwritten events, and return that.

        Args:
            read: As by `read`.
            unwritten: The unwritten events as they were when it was read, the oldest first.
            machine: The machine.
            limit: Of the number of events.
            due: The value of `due` at that time; None: the machine stays due.

        """
        with self._lock:
            self._is_overtaking = False
            for waiting in read.events:
                self._with_session[machine, waiting.event.seq or 0] = waiting
            self._taken_seq[machine] = max(read.newest_seq, self._taken_seq.get(machine, 0))
            self._taken_unwritten -= read.known
            taken = list(read.events)
            if read.exhausted:
                self._take_unwritten(unwritten, machine, limit, taken)
            if len(taken) < limit and self._due.get(machine) == due:
                self._due.pop(machine, None)
                self._newest_seq.pop(machine, None)
            return taken

    def take_without_file(
        self, unwritten: Sequence[EventEntry], machine: str, limit: int, due: int | None
    ) -> list[WaitingEvent]:
        """Take unwritten events of a machine while the file cannot be read, and return them."""
        taken: list[WaitingEvent] = []
        with self._lock:
            if not self.has_unread(machine):
                self._take_unwritten(unwritten, machine, limit, taken)
                if len(taken) < limit and self._due.get(machine) == due:
                    self._due.pop(machine, None)
                return taken
            before_s = self._clock.now_s() - HELD_BACK_S
            old = [entry for entry in unwritten if entry.recorded_s <= before_s]
            self._take_unwritten(old, machine, limit, taken)
            begins = bool(taken) and not self._is_overtaking
            self._is_overtaking |= begins
        if begins:
            log.warning(
                "earlier events cannot be read: new ones are published before them",
                machine=machine,
                hint="order the events of a machine by seq; those without one came last",
            )
        return taken

    def _take_unwritten(
        self,
        unwritten: Iterable[EventEntry],
        machine: str,
        limit: int,
        taken: list[WaitingEvent],
    ) -> None:
        for entry in unwritten:
            if len(taken) == limit:
                return
            event = entry.event
            if event.machine == machine and event.id not in self._taken_unwritten:
                self._taken_unwritten.add(event.id)
                taken.append(WaitingEvent(event, entry.recorded_s))
