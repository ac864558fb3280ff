"""The entries of the journal on their way to the disk: written together, counted when safe.

Entries, numbers of events and what was settled are written in one transaction, of which a backlog
has several.  It counts once the file was looked at after it: until then the entries stay in memory,
to be written to another file.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from asd_monitor.journal.alarm_entries import AlarmEntry, Entry, EventEntry
from asd_monitor.journal.alarm_records import AlarmRecord
from asd_monitor.journal.event_numbers import EventNumbers, Numbers
from asd_monitor.journal.event_outbox import EventOutbox
from asd_monitor.journal.machine_entries import OutOfService, ServiceEntry
from asd_monitor.journal.normal_spans import NormalSpanEntry, WithdrawnSpanEntry
from asd_monitor.journal.outbox_records import OutboxChange, OutboxFigures, Settled
from asd_monitor.journal.recent_changes import RecentChanges
from asd_monitor.journal.requests import OutcomeEntry
from asd_monitor.journal.sqlite_errors import is_full
from asd_monitor.journal.standing_alarms import StandingAlarms
from asd_monitor.journal.write_queue import PORTION, Change, WriteQueue, write_changes
from asd_monitor.records import NormalSpan


@dataclass(frozen=True, slots=True)
class Unwritten:
    """What is not in the journal."""

    alarms: tuple[str, ...]
    """Ids of the alarms that are new or have changed."""
    events: int
    """Number of transitions."""
    unpublished: int
    """Number of those that the broker has not acknowledged."""


@dataclass(frozen=True, slots=True)
class _Committed:
    refused: Sequence[Entry]
    change: OutboxChange
    numbers: Mapping[str, Numbers]


class EntryTransactions:
    """Writes entries with the outbox and the numbers of a journal.

    `write`, `count_written` and `give_up` are called in the thread of the disk, what else there is
    in any thread.

    Args:
        lock: Of what is in memory.
        outbox: The events that wait to be published.
        numbers: The numbers of events.
        standing: The alarms that are kept in memory.
        recent: The newest changes of alarms.
        max_unwritten: Entries kept in memory while they cannot be written.

    """

    def __init__(
        self,
        lock: threading.RLock,
        outbox: EventOutbox,
        numbers: EventNumbers,
        standing: StandingAlarms,
        recent: RecentChanges,
        *,
        max_unwritten: int,
    ) -> None:
        self.queue = WriteQueue(max_entries=max_unwritten)
        self.on_outcome: Callable[[OutcomeEntry], None] = _ignore
        """Called in the thread of the disk with each outcome that is written; must not wait."""
        self.settled_requests: set[str] = set()
        """Ids of the requests whose outcome is not on the disk: they are not applied again."""
        self._lock = lock
        self._outbox = outbox
        self._numbers = numbers
        self._standing = standing
        self._recent = recent
        self._committed: _Committed | None = None

    def append(self, change: Sequence[Entry]) -> None:
        """Add the entries of one change, to be written."""
        with self._lock:
            for entry in change:
                if isinstance(entry, AlarmEntry):
                    self._standing.note(entry.record)
                elif isinstance(entry, ServiceEntry):
                    self._standing.note_service(entry)
                elif isinstance(entry, OutcomeEntry):
                    self.settled_requests.add(entry.request_id)
                elif isinstance(entry, EventEntry):
                    self._outbox.reader.note_due(entry.event.machine)
                    self._recent.note(entry.event)
            self.queue.append(change)

    @property
    def is_idle(self) -> bool:
        """Whether there is nothing to be written."""
        return not self.queue and not self._outbox.unwritten_settlements

    @property
    def events(self) -> list[EventEntry]:
        """The unwritten events, the oldest first."""
        with self._lock:
            return _events_of(list(self.queue))

    def unwritten_alarm(self, alarm_id: str) -> AlarmRecord | None:
        """Return an alarm as it will be; None where all of its changes are written."""
        with self._lock:
            entries = list(self.queue)
        records = (each.record for each in reversed(entries) if isinstance(each, AlarmEntry))
        return next((record for record in records if record.id == alarm_id), None)

    def with_unwritten_spans(self, written: Sequence[NormalSpan], machine: str) -> list[NormalSpan]:
        """Return the marked spans of a machine as they will be, from those that are written."""
        spans = {span.id: span for span in written}
        with self._lock:
            entries = list(self.queue)
        for entry in entries:
            if isinstance(entry, NormalSpanEntry) and entry.span.machine == machine:
                spans[entry.span.id] = entry.span
            elif isinstance(entry, WithdrawnSpanEntry):
                spans.pop(entry.span_id, None)
        return list(spans.values())

    @property
    def missing(self) -> Unwritten:
        """The unwritten entries by kind."""
        with self._lock:
            entries = list(self.queue)
        alarms = dict.fromkeys(e.record.id for e in entries if isinstance(e, AlarmEntry))
        events = _events_of(entries)
        return Unwritten(tuple(alarms), len(events), len(self._outbox.unsettled(events)))

    @property
    def outbox_figures(self) -> OutboxFigures:
        """The events that wait, those that are not written included."""
        figures, unwritten = self._outbox.figures, len(self.events)
        settled = self._outbox.unwritten_settlements
        return replace(figures, waiting=max(0, figures.waiting + unwritten - settled))

    def write(
        self, database: sqlite3.Connection, make_room: Callable[[Callable[[], int]], bool]
    ) -> None:
        """Write the next entries in one transaction; `count_written` counts them.

        Args:
            database: The database.
            make_room: Shortens a full journal by what it is given; returns whether that succeeded.

        Raises:
            sqlite3.Error: the database cannot be written.

        """
        settled = self._outbox.unwritten_settled()  # before `begin`: then their events are in it
        with self._lock:
            changes, others = self.queue.begin()
        left = {entry.event.id for entry in _events_of(others)}
        settled = [each for each in settled if each.waiting.event.id not in left][:PORTION]
        try:
            self._committed = self._write_portion(database, changes, settled)
        except sqlite3.Error as error:
            if not is_full(error) or not make_room(partial(self._outbox.make_room, database)):
                raise
            self._committed = self._write_portion(database, changes, settled)

    def _write_portion(
        self, database: sqlite3.Connection, changes: Sequence[Change], settled: Sequence[Settled]
    ) -> _Committed:
        def finish() -> tuple[OutboxChange, Mapping[str, Numbers]]:
            change = self._outbox.update(database, settled)
            return change, self._numbers.reserve(database, change.sequences, self._out_of_service)

        refused, (change, numbers) = write_changes(database, changes, finish)
        return _Committed(refused, change, numbers)

    def _out_of_service(self, machine: str) -> OutOfService | None:
        with self._lock:
            return self._standing.out_of_service(machine)

    def count_written(self) -> bool:
        """Count what `write` has written; return whether it has to get into the file at once."""
        committed, self._committed = self._committed, None
        if committed is None:
            return False
        with self._lock:
            written = self.queue.clear()
            self.settled_requests -= _request_ids(written) - _request_ids(committed.refused)
            self._outbox.committed(committed.change)
            for machine, seq in committed.change.sequences.items():
                self._standing.machines[machine] = seq
            if committed.refused:
                self.queue.count_dropped(committed.refused)
                self._outbox.forget_unwritten(_events_of(committed.refused))
        for entry in written:
            if isinstance(entry, OutcomeEntry) and entry not in committed.refused:
                self.on_outcome(entry)
        return self._numbers.committed(committed.numbers)

    def give_up(self) -> None:
        """Keep in memory what could not be written, as much as allowed."""
        with self._lock:
            self.queue.give_up()
            self.trim()

    def trim(self) -> None:
        """Drop and count the least important changes where more are unwritten than allowed."""
        with self._lock:
            if dropped := self.queue.trim():
                self._outbox.forget_unwritten(_events_of(dropped))


def _ignore(_outcome: OutcomeEntry) -> None:
    pass


def _request_ids(entries: Sequence[Entry]) -> set[str]:
    return {entry.request_id for entry in entries if isinstance(entry, OutcomeEntry)}


def _events_of(entries: Sequence[Entry]) -> list[EventEntry]:
    return [entry for entry in entries if isinstance(entry, EventEntry)]
