"""The events that wait to be published, in the journal's table `outbox`.

A row is written with its event and its alarm, in one transaction, and deleted once the broker has
acknowledged the message.  An event that the broker does not accept keeps its row, with the reason,
so that it blocks no later one.  Such events are tried again one at a time, the one that was set
aside first before the others: at the start of the daemon, and after pauses that double.  Each that
is accepted is followed by the next.

The order of a machine's events is that of their numbers, never that of their times; one that is
tried again is late.  What is settled is noted without waiting for the disk and written with the
next transaction: after a kill between the two an event is published once more, with the same id.
"""

from __future__ import annotations

import sqlite3
import threading
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

import structlog

from asd_monitor.alarm.state import TransitionKind
from asd_monitor.backoff import doubling
from asd_monitor.journal import outbox_table as table
from asd_monitor.journal.alarm_entries import EventEntry, outbox_row
from asd_monitor.journal.alarm_tables import next_number, replace_row, set_row_aside
from asd_monitor.journal.connections import transaction
from asd_monitor.journal.earlier_formats import Row
from asd_monitor.journal.event_reading import EventReader, ReadEvents
from asd_monitor.journal.outbox_records import (
    LATE_S,
    LOST,
    OutboxChange,
    OutboxFigures,
    Settled,
    WaitingEvent,
)
from asd_monitor.journal.running_clock import RunningClock

log = structlog.get_logger()

MAX_SET_ASIDE = 1000
RETRY_PAUSES_S = doubling(600.0, 6 * 3600.0)  # before an event that was set aside is tried again
_AGE_CHECK_S = 3600.0
_ROOM_SHARE = 10  # of a full outbox, one part in so many is dropped at once


class EventOutbox:
    """The events that wait, of one journal.

    What uses a database is called in the thread of the disk; the lock of what is in memory is held
    for `committed` and `forget_unwritten`.

    Args:
        lock: Of what is in memory.
        clock: The running time.
        max_bytes, max_age_s: Bounds of what waits.  Beyond, the least important is dropped first:
            what is no transition of an alarm, and of that the oldest.

    """

    def __init__(
        self, lock: threading.RLock, clock: RunningClock, *, max_bytes: int, max_age_s: float
    ) -> None:
        self._lock = lock
        self._figures = OutboxFigures()  # of the file, after the last transaction
        self._dropped: Counter[str] = Counter()  # changes while a transaction is being written
        self.damaged = 0
        """Rows that were found damaged when they were read to be taken."""
        self.reader = EventReader(lock, clock)
        """Has what was taken, and what may be."""
        self._clock = clock
        self._max_bytes = max_bytes
        self._max_age_s = max_age_s
        self._settling = threading.Lock()  # of what follows; never held while the disk is used
        self._settled: list[Settled] = []  # not written yet
        self._newest_number = 0  # of the rows that are counted in the figures
        self._earlier_seq: Mapping[str, int] | None = None  # of the newest event of earlier runs
        self._age_checked_s = clock.now_s()
        self._retried: WaitingEvent | None = None  # that had been set aside
        self._retry_s = clock.now_s()  # when the next of them is tried
        self._retries_refused = 0  # in a row

    def is_historical(self, waiting: WaitingEvent) -> bool:
        """Return whether an event would be published late now: of an earlier run, or old.

        May be called in any thread.
        """
        earlier = self._earlier_seq or {}
        seq = waiting.event.seq
        if seq is not None and seq <= earlier.get(waiting.event.machine, 0):
            return True
        return self._clock.now_s() - waiting.recorded_s > LATE_S

    def settle(self, waiting: WaitingEvent, refusal: str | None) -> None:
        """Note that an event was acknowledged, or why it is not accepted.

        May be called in any thread, and does not wait.
        """
        with self._settling:
            self._settled.append(Settled(waiting, refusal))

    @property
    def figures(self) -> OutboxFigures:
        """Those of the file after the last transaction, and what was dropped until now."""
        return replace(self._figures, dropped=dict(self._dropped))

    @property
    def unwritten_settlements(self) -> int:
        """How many events are settled and not deleted yet.  May be called in any thread."""
        return len(self._settled)

    def open(
        self, database: sqlite3.Connection, *, limit_bytes: int, earlier: Mapping[str, int]
    ) -> None:
        """Take up, within a transaction, the outbox of a file before new entries are written.

        Args:
            database: The file.
            limit_bytes: Bound of what waits in this file.
            earlier: Number of the newest event of each machine.

        Raises:
            sqlite3.Error: it cannot be read or written.

        """
        self._max_bytes = min(self._max_bytes, limit_bytes)
        if self._earlier_seq is None:
            self._earlier_seq = earlier
            (highest_s,) = database.execute("SELECT max(clock_s) FROM outbox").fetchone()
            if highest_s is not None:
                self._clock.go_on_after(highest_s)
            self.count(database)
            return
        for (machine, seq), waiting in self.reader.with_session.items():
            if table.row_of(database, machine, seq) is None:
                number, clock_s = (
                    next_number(database, "outbox"),
                    self._clock.at(waiting.recorded_s),
                )
                row = outbox_row(number, waiting.event, seq, clock_s=clock_s)
                replace_row(database, "outbox", row)
        expected = self._figures.waiting
        self.count(database)
        self._note_lost(expected - self._figures.waiting)

    def _note_lost(self, events: int) -> None:
        """Count and log events that were lost with the file."""
        if events <= 0:
            return
        self._count_dropped({LOST: events})
        log.error(
            "events that wait for the broker were lost with the file of the journal",
            events=events,
            hint="compare the retained alarms and states of the machines with what was received",
        )

    def count(self, database: sqlite3.Connection) -> None:
        """Count what waits in a file.  Raises sqlite3.Error."""
        waiting, size = table.totals(database, table.WAITING)
        set_aside, _ = table.totals(database, f"NOT {table.WAITING}")
        self._newest_number = table.newest_number(database)
        self._figures = replace(
            self._figures,
            waiting=waiting,
            bytes=size,
            oldest_s=self._oldest_s(database),
            set_aside=set_aside,
        )
        self.reader.note_waiting(table.newest_waiting(database))

    def retry_set_aside(self, database: sqlite3.Connection) -> None:
        """Let an event that was set aside wait again, where one is due.  Raises sqlite3.Error."""
        now_s = self._clock.now_s()
        if self._retried is not None or not self._figures.set_aside or now_s < self._retry_s:
            return
        self._retry_s = now_s + RETRY_PAUSES_S[0]
        with transaction(database):
            found = table.release_set_aside(database)
        if found is not None:
            self._retried = WaitingEvent(found.event, self._clock.monotonic_at(found.clock_s))
        self.count(database)

    def _note_outcomes(self, settled: Iterable[Settled]) -> None:
        """Determine when the next event that was set aside is tried."""
        for each in settled:
            retried = self._retried is not None and each.waiting.event.id == self._retried.event.id
            if retried:
                self._retried = None
                self._retries_refused = 0 if each.refusal is None else self._retries_refused + 1
            if each.refusal is not None:
                pause_s = RETRY_PAUSES_S[
                    min(max(1, self._retries_refused), len(RETRY_PAUSES_S)) - 1
                ]
                self._retry_s = self._clock.now_s() + pause_s
            elif retried:
                self._retry_s = self._clock.now_s()

    def read(self, database: sqlite3.Connection, machine: str, limit: int) -> ReadEvents:
        """Read the next events of a machine, to be taken.  Raises sqlite3.Error.

        Damaged rows are set aside where that is possible, and left out.
        """
        retried = None if self._retried is None else self._retried.event
        found = self.reader.read(database, machine, limit, retried)
        for row in found.damaged:
            self._set_row_aside(database, machine, row)
        return found

    def _set_row_aside(self, database: sqlite3.Connection, machine: str, row: Row) -> None:
        self.damaged += 1
        log.error(
            "an event that waits to be published is damaged and is not published",
            machine=machine,
            seq=row[3],
            hint="see the transition by `asd-monitor alarms show`",
        )
        try:
            with transaction(database):
                set_row_aside(database, "outbox", row)
            self.count(database)
        except sqlite3.Error as error:  # it is set aside when the file is opened again
            log.warning("the damaged row stays in the outbox", reason=str(error), seq=row[3])

    def update(self, database: sqlite3.Connection, settled: Sequence[Settled]) -> OutboxChange:
        """Write, within a transaction, what was settled, and keep the bounds.

        Call `committed` with the result once the transaction is on the disk.  Raises sqlite3.Error.
        """
        before, since = self._figures, self._newest_number
        added, added_bytes = table.totals(database, f"number > ? AND {table.WAITING}", (since,))
        waiting, size = before.waiting + added, before.bytes + added_bytes
        sequences = table.newest_sequences(database, since)
        set_aside = 0
        for each in settled:
            removed_bytes = table.write_settled(database, each)
            if removed_bytes is not None:
                waiting, size = waiting - 1, size - removed_bytes
                set_aside += each.refusal is not None
        dropped: Counter[str] = Counter()
        for row, removed_bytes in self._surplus(database, size):
            database.execute("DELETE FROM outbox WHERE number = ?", (row[0],))
            waiting, size = waiting - 1, size - removed_bytes
            dropped[str(row[5])] += 1
        kept = before.set_aside + set_aside
        if kept > MAX_SET_ASIDE:
            table.delete_oldest_set_aside(database, keep=MAX_SET_ASIDE)
            kept = MAX_SET_ASIDE
        figures = replace(
            before,
            waiting=waiting,
            bytes=size,
            oldest_s=self._oldest_s(database) if waiting else None,
            set_aside=kept,
        )
        newest = table.newest_number(database)
        return OutboxChange(tuple(settled), figures, newest, sequences, dropped, set_aside)

    def committed(self, change: OutboxChange) -> None:
        """Count what a transaction has changed."""
        self._figures = change.figures
        self._newest_number = change.newest_number
        written = set(map(id, change.settled))
        with self._settling:
            self._settled = [each for each in self._settled if id(each) not in written]
        self.reader.note_written(change.sequences)
        self.reader.note_settled(each.waiting.event for each in change.settled)
        self._note_outcomes(change.settled)
        self._note_dropped(change.dropped, "the outbox is full, or they are too old")

    def _note_dropped(self, dropped: Mapping[str, int], reason: str) -> None:
        """Count and log events that will not be published."""
        if not dropped:
            return
        self._count_dropped(dropped)
        alarms = dropped.get(TransitionKind.ALARM, 0)
        (log.error if alarms else log.warning)(
            "events that wait for the broker were dropped, the least important first",
            reason=reason,
            alarm_transitions=alarms,
            others=sum(dropped.values()) - alarms,
            hint="restore the connection to the broker; the journal has the transitions",
        )

    def _count_dropped(self, dropped: Mapping[str, int]) -> None:
        with self._lock:
            self._dropped = self._dropped + Counter(dropped)  # others read it without the lock

    def forget_unwritten(self, dropped: Collection[EventEntry]) -> None:
        """Count the events that were given up before they were written.

        Those that were taken are published nevertheless.
        """
        settled = {each.waiting.event.id for each in self.unwritten_settled()}
        published = settled | self.reader.taken_unwritten
        self._count_dropped(
            Counter(str(each.event.kind) for each in dropped if each.event.id not in published)
        )
        ids = {entry.event.id for entry in dropped}
        self.reader.forget_unwritten(ids)
        with self._settling:
            self._settled = [each for each in self._settled if each.waiting.event.id not in ids]

    def unsettled(self, unwritten: Iterable[EventEntry]) -> list[EventEntry]:
        """Return those of the unwritten events that no broker has acknowledged."""
        settled = {
            each.waiting.event.id for each in self.unwritten_settled() if each.refusal is None
        }
        return [entry for entry in unwritten if entry.event.id not in settled]

    def unwritten_settled(self) -> Sequence[Settled]:
        """Return what is settled and not written yet.  May be called in any thread.

        They are no more than the events in the outbox and those that are not written.
        """
        with self._settling:
            return tuple(self._settled)

    def _surplus(self, database: sqlite3.Connection, size: int) -> list[tuple[Row, int]]:
        """Return the rows to be dropped, with their bytes.

        What was taken is with the session with the broker, and stays.
        """
        excess = size - self._max_bytes
        if excess > 0:
            excess += self._max_bytes // _ROOM_SHARE
        surplus = table.least_important(database, self.reader.taken_seq, excess)
        now_s = self._clock.now_s()
        if now_s - self._age_checked_s >= _AGE_CHECK_S:
            self._age_checked_s = now_s
            before_s = self._clock.at(now_s) - self._max_age_s
            dropped = {row[0] for row, _ in surplus}
            old = table.older_than(database, self.reader.taken_seq, before_s)
            surplus += [(row, size) for row, size in old if row[0] not in dropped]
        return surplus

    def make_room(self, database: sqlite3.Connection) -> int:
        """Drop, within a transaction, a part of what waits; return how many events.

        Raises sqlite3.Error.
        """
        excess = self._figures.bytes // _ROOM_SHARE
        surplus = table.least_important(database, self.reader.taken_seq, excess)
        for row, _ in surplus:
            database.execute("DELETE FROM outbox WHERE number = ?", (row[0],))
        self._note_dropped(Counter(str(row[5]) for row, _ in surplus), "the journal is full")
        self.count(database)
        return len(surplus)

    def _oldest_s(self, database: sqlite3.Connection) -> float | None:
        clock_s = table.oldest_clock_s(database)
        if clock_s is None:
            return None
        oldest_s = self._clock.monotonic_at(clock_s)
        return oldest_s if self._retried is None else min(oldest_s, self._retried.recorded_s)
