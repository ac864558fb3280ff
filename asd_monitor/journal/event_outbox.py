"""The events that wait to be published, in the journal's table `outbox`.

A row is written with its event and its alarm, in one transaction, and deleted once the broker has
acknowledged the message.  An event that the broker does not accept keeps its row, with the reason,
so that it blocks no later one.

The order of a machine's events is that of their numbers, never that of their times.  What is
settled is noted without waiting for the disk and written with the next transaction: after a kill
between the two an event is published once more, with the same id.
"""

from __future__ import annotations

import sqlite3
import threading
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace

import structlog

from asd_monitor.alarm.state import TransitionKind
from asd_monitor.journal.alarm_entries import EventEntry, OutboxRow, as_waiting, outbox_row
from asd_monitor.journal.alarm_records import Event
from asd_monitor.journal.alarm_tables import Row, replace_row, rows_of, set_row_aside
from asd_monitor.journal.running_clock import RunningClock

log = structlog.get_logger()

MAX_BYTES = 20 << 20  # some 50,000 events
MAX_AGE_S = 30 * 86_400.0  # of running time
MAX_SET_ASIDE = 1000
LATE_S = 10.0
"""An event that is published later than this after it was recorded is historical."""
_AGE_CHECK_S = 3600.0
_ROOM_SHARE = 10  # of a full outbox, one part in so many is dropped at once
_ROW_BYTES = 300  # of a row with its index, but for the texts of any length
_SIZE = f"{_ROW_BYTES} + length(CAST(why AS BLOB)) + coalesce(length(CAST(who AS BLOB)), 0)"
_WAITING = "refusal IS NULL"


@dataclass(frozen=True, slots=True)
class WaitingEvent:
    """An event that is to be published; its number is None while it is not in the file."""

    event: Event
    recorded_s: float  # by the clock of `RunningClock`


@dataclass(frozen=True, slots=True)
class OutboxFigures:
    """What is in the outbox, and what has happened to events since the start of the daemon."""

    waiting: int = 0
    bytes: int = 0
    oldest_s: float | None = None  # reading of the monotonic clock; None: none waits
    set_aside: int = 0  # not accepted by the broker
    dropped: Mapping[str, int] = field(default_factory=dict)  # by kind


@dataclass(frozen=True, slots=True)
class LeftEvents:
    """The events of one machine that are kept for the next run."""

    machine: str
    events: int
    first_seq: int
    last_seq: int


@dataclass(frozen=True, slots=True)
class _Settled:
    waiting: WaitingEvent
    refusal: str | None  # None: acknowledged


@dataclass(frozen=True, slots=True)
class OutboxChange:
    """What a transaction changes; it counts once the transaction is on the disk."""

    settled: tuple[_Settled, ...]
    figures: OutboxFigures
    newest_number: int
    sequences: Mapping[str, int]
    """Numbers of the newest events that were written, by machine."""
    dropped: Mapping[str, int]
    """Events given up, by kind."""
    set_aside: int


class EventOutbox:
    """The events that wait, of one journal; the journal's lock is held but where it is said.

    Args:
        clock: The running time.
        max_bytes, max_age_s: Bounds of what waits.  Beyond, the least important is dropped first:
            what is no transition of an alarm, and of that the oldest.

    """

    def __init__(self, clock: RunningClock, *, max_bytes: int, max_age_s: float) -> None:
        self.figures = OutboxFigures()
        """Of the file, after the last transaction."""
        self.damaged = 0
        """Rows that were found damaged when they were taken."""
        self.due: set[str] = set()
        """Machines of which there may be events that were not taken."""
        self._clock = clock
        self._max_bytes = max_bytes
        self._max_age_s = max_age_s
        self._settling = threading.Lock()  # of what follows; never held while the disk is used
        self._settled: list[_Settled] = []  # not written yet
        self._newest_number = 0  # of the rows that are counted in the figures
        self._taken_seq: dict[str, int] = {}  # of the newest event taken from the file, by machine
        self._taken_unwritten: set[str] = set()  # ids
        self._earlier_seq: dict[str, int] | None = None  # of the newest event of earlier runs
        self._age_checked_s = clock.now_s()

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
            self._settled.append(_Settled(waiting, refusal))

    @property
    def unwritten_settlements(self) -> int:
        """How many events are settled and not deleted yet.  May be called in any thread."""
        return len(self._settled)

    def open(self, database: sqlite3.Connection, limit_bytes: int) -> None:
        """Take up the outbox of a file, before anything is written to it.

        Raises sqlite3.Error.
        """
        self._max_bytes = min(self._max_bytes, limit_bytes)
        if self._earlier_seq is None:
            self._earlier_seq = dict(database.execute("SELECT id, seq FROM machines"))
            (highest_s,) = database.execute("SELECT max(clock_s) FROM outbox").fetchone()
            if highest_s is not None:
                self._clock.go_on_after(highest_s)
        self.count(database)

    def count(self, database: sqlite3.Connection) -> None:
        """Count what waits in a file.  Raises sqlite3.Error."""
        waiting, size = _totals(database, _WAITING)
        set_aside, _ = _totals(database, f"NOT {_WAITING}")
        self._newest_number = _newest_number(database)
        self.figures = replace(
            self.figures,
            waiting=waiting,
            bytes=size,
            oldest_s=self._oldest_s(database),
            set_aside=set_aside,
        )
        statement = f"SELECT DISTINCT machine FROM outbox WHERE {_WAITING}"  # noqa: S608
        self.due |= {machine for (machine,) in database.execute(statement)}

    def take(
        self,
        database: sqlite3.Connection | None,
        unwritten: Iterable[EventEntry],
        machine: str,
        limit: int,
    ) -> list[WaitingEvent]:
        """Return the next events of a machine, in order; each is returned once.

        First those of the file, then the unwritten ones.  Raises sqlite3.Error.
        """
        taken: list[WaitingEvent] = []
        clause = f"WHERE machine = ? AND seq > ? AND {_WAITING} ORDER BY seq LIMIT ?"
        while database is not None and len(taken) < limit:
            wanted = limit - len(taken)
            values = (machine, self._taken_seq.get(machine, 0), wanted)
            rows = list(rows_of(database, "outbox", clause, values))
            for row in rows:
                self._take_row(database, row, taken)
            if len(rows) < wanted:
                break
        for entry in unwritten:
            if len(taken) == limit:
                return taken
            event = entry.event
            if event.machine == machine and event.id not in self._taken_unwritten:
                self._taken_unwritten.add(event.id)
                taken.append(WaitingEvent(event, entry.recorded_s))
        if len(taken) < limit:
            self.due.discard(machine)
        return taken

    def _take_row(self, database: sqlite3.Connection, row: Row, taken: list[WaitingEvent]) -> None:
        machine, seq = str(row[2]), row[3]
        self._taken_seq[machine] = seq if isinstance(seq, int) else 0
        found = as_waiting(row)
        if found is None:
            self.damaged += 1
            set_row_aside(database, "outbox", row)
            self.count(database)
            log.error(
                "an event that waits to be published is damaged and was moved to the table"
                " damaged_rows",
                machine=machine,
                seq=seq,
                hint="see the transition by `asd-monitor alarms show`",
            )
        elif found.event.id in self._taken_unwritten:
            self._taken_unwritten.discard(found.event.id)  # it was taken before it was written
        else:
            recorded_s = self._clock.monotonic_at(found.clock_s)
            taken.append(WaitingEvent(found.event, recorded_s))

    def update(self, database: sqlite3.Connection) -> OutboxChange:
        """Write, within a transaction, what was settled, and keep the bounds.

        Call `committed` with the result once the transaction is on the disk.  Raises sqlite3.Error.
        """
        before, since = self.figures, self._newest_number
        added, added_bytes = _totals(database, f"number > ? AND {_WAITING}", (since,))
        waiting, size = before.waiting + added, before.bytes + added_bytes
        sequences = dict(
            database.execute(
                "SELECT machine, max(seq) FROM outbox WHERE number > ? GROUP BY machine", (since,)
            )
        )
        settled, set_aside = self._unwritten_settled(), 0
        for each in settled:
            removed_bytes = self._write_settled(database, each)
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
            _delete_oldest_set_aside(database)
            kept = MAX_SET_ASIDE
        figures = replace(
            before,
            waiting=waiting,
            bytes=size,
            oldest_s=self._oldest_s(database) if waiting else None,
            set_aside=kept,
        )
        newest = _newest_number(database)
        return OutboxChange(settled, figures, newest, sequences, dropped, set_aside)

    def committed(self, change: OutboxChange) -> None:
        """Count what a transaction has changed."""
        self.figures = change.figures
        self._newest_number = change.newest_number
        with self._settling:
            del self._settled[: len(change.settled)]
        self._taken_unwritten -= {each.waiting.event.id for each in change.settled}
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
        total = Counter(self.figures.dropped)
        total.update(dropped)
        self.figures = replace(self.figures, dropped=dict(total))

    def forget_unwritten(self, dropped: Collection[EventEntry], kept: Iterable[EventEntry]) -> None:
        """Count the events that were given up before they were written; ``kept`` are the others.

        Those that were taken are published nevertheless.
        """
        settled = {each.waiting.event.id for each in self._unwritten_settled()}
        published = settled | self._taken_unwritten
        self._count_dropped(
            Counter(str(each.event.kind) for each in dropped if each.event.id not in published)
        )
        unwritten = {entry.event.id for entry in kept}
        self._taken_unwritten &= unwritten
        with self._settling:
            self._settled = [
                each
                for each in self._settled
                if each.waiting.event.seq is not None or each.waiting.event.id in unwritten
            ]

    def unsettled(self, unwritten: Iterable[EventEntry]) -> list[EventEntry]:
        """Return those of the unwritten events that no broker has acknowledged."""
        settled = {
            each.waiting.event.id for each in self._unwritten_settled() if each.refusal is None
        }
        return [entry for entry in unwritten if entry.event.id not in settled]

    def _unwritten_settled(self) -> tuple[_Settled, ...]:
        with self._settling:
            return tuple(self._settled)

    def _write_settled(self, database: sqlite3.Connection, settled: _Settled) -> int | None:
        """Delete the row of an event or note the refusal; return its bytes, None: it has none."""
        event = settled.waiting.event
        where, key = ("seq = ?", event.seq) if event.seq is not None else ("id = ?", event.id)
        clause = f"WHERE machine = ? AND {where} AND {_WAITING}"
        found = database.execute(
            f"SELECT number, {_SIZE} FROM outbox {clause}",  # noqa: S608
            (event.machine, key),
        ).fetchone()
        if found is None:
            return None
        number, size = found
        if settled.refusal is None:
            database.execute("DELETE FROM outbox WHERE number = ?", (number,))
            return int(size)
        row = next(rows_of(database, "outbox", "WHERE number = ?", (number,)))
        waiting = as_waiting(row)
        if waiting is None:
            set_row_aside(database, "outbox", row)
        else:
            replace_row(database, "outbox", _refused_row(waiting, settled.refusal))
        return int(size)

    def _surplus(self, database: sqlite3.Connection, size: int) -> list[tuple[Row, int]]:
        """Return the rows to be dropped, with their bytes.

        What was taken is with the session with the broker, and stays.
        """
        excess = size - self._max_bytes
        if excess > 0:
            excess += self._max_bytes // _ROOM_SHARE
        surplus = self._least_important(database, excess)
        now_s = self._clock.now_s()
        if now_s - self._age_checked_s >= _AGE_CHECK_S:
            self._age_checked_s = now_s
            before_s = self._clock.at(now_s) - self._max_age_s
            dropped = {row[0] for row, _ in surplus}
            old = self._not_taken(database, f"{_WAITING} AND clock_s < ?", (before_s,))
            surplus += [(row, size) for row, size in old if row[0] not in dropped]
        return surplus

    def _least_important(self, database: sqlite3.Connection, excess: int) -> list[tuple[Row, int]]:
        """Return rows of so many bytes together."""
        surplus: list[tuple[Row, int]] = []
        if excess <= 0:
            return surplus
        order = f"{_WAITING} ORDER BY kind = '{TransitionKind.ALARM}', number"
        for row, row_bytes in self._not_taken(database, order):
            surplus.append((row, row_bytes))
            excess -= row_bytes
            if excess <= 0:
                break
        return surplus

    def _not_taken(
        self, database: sqlite3.Connection, condition: str, values: Row = ()
    ) -> Iterable[tuple[Row, int]]:
        statement = f"SELECT {_SIZE}, * FROM outbox WHERE {condition}"  # noqa: S608
        for size, *row in database.execute(statement, values):
            if row[3] > self._taken_seq.get(row[2], 0):
                yield tuple(row), size

    def make_room(self, database: sqlite3.Connection) -> int:
        """Drop, within a transaction, a part of what waits; return how many events.

        Raises sqlite3.Error.
        """
        surplus = self._least_important(database, self.figures.bytes // _ROOM_SHARE)
        for row, _ in surplus:
            database.execute("DELETE FROM outbox WHERE number = ?", (row[0],))
        self._note_dropped(Counter(str(row[5]) for row, _ in surplus), "the journal is full")
        self.count(database)
        return len(surplus)

    def _oldest_s(self, database: sqlite3.Connection) -> float | None:
        statement = f"SELECT clock_s FROM outbox WHERE {_WAITING} ORDER BY number LIMIT 1"  # noqa: S608
        found = database.execute(statement).fetchone()
        return None if found is None else self._clock.monotonic_at(found[0])


def left_events(database: sqlite3.Connection) -> list[LeftEvents]:
    """Return what waits in a file, by machine.  Raises sqlite3.Error."""
    statement = (
        "SELECT machine, count(*), min(seq), max(seq) FROM outbox"  # noqa: S608
        f" WHERE {_WAITING} GROUP BY machine ORDER BY machine"
    )
    return [LeftEvents(*row) for row in database.execute(statement)]


def _totals(database: sqlite3.Connection, condition: str, values: Row = ()) -> tuple[int, int]:
    statement = f"SELECT count(*), coalesce(sum({_SIZE}), 0) FROM outbox WHERE {condition}"  # noqa: S608
    count, size = database.execute(statement, values).fetchone()
    return count, size


def _newest_number(database: sqlite3.Connection) -> int:
    (newest,) = database.execute("SELECT max(number) FROM outbox").fetchone()
    return newest or 0


def _delete_oldest_set_aside(database: sqlite3.Connection) -> None:
    database.execute(
        f"DELETE FROM outbox WHERE NOT {_WAITING} AND number NOT IN (SELECT number FROM outbox"  # noqa: S608
        f" WHERE NOT {_WAITING} ORDER BY number DESC LIMIT {MAX_SET_ASIDE})"
    )


def _refused_row(waiting: OutboxRow, refusal: str) -> Row:
    event = waiting.event
    seq = event.seq or 0
    return outbox_row(waiting.number, event, seq, clock_s=waiting.clock_s, refusal=refusal)
