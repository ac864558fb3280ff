"""Alarms, transitions and machines as rows of the journal's tables, written and read."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from asd_monitor.alarm.state import AlarmCondition, TransitionKind
from asd_monitor.journal.alarm_records import AlarmRecord, Event
from asd_monitor.journal.alarm_tables import (
    Row,
    database_format,
    find_row,
    next_number,
    replace_row,
    rows_of,
    set_row_aside,
)
from asd_monitor.journal.checksums import Value, is_intact
from asd_monitor.journal.running_clock import RunningClock
from asd_monitor.wording import rfc3339


@dataclass(frozen=True, slots=True)
class OutboxRow:
    """An event in the outbox."""

    number: int
    event: Event
    clock_s: float  # by `RunningClock`, when it was recorded
    refusal: str | None  # why the broker does not accept it; None: it waits


@dataclass(frozen=True, slots=True)
class AlarmEntry:
    """An alarm to be written; the acknowledgement of an alarm that is in the table stays."""

    record: AlarmRecord
    applied: bool
    """Whether the daemon has applied the acknowledgement of this record."""

    def write(self, database: sqlite3.Connection) -> None:
        """Insert or update the row; raises sqlite3.Error, and what `REFUSALS` lists."""
        entry = self
        found = find_row(database, "alarms", self.record.id)
        earlier = None if found is None else as_alarm(found)
        if found is not None and earlier is None:
            set_row_aside(database, "alarms", found)
        if found is None or earlier is None:
            number = next_number(database, "alarms")
        else:
            number = int(found[0] or 0)
            entry = self._with_acknowledgement(earlier)
        replace_row(database, "alarms", alarm_row(number, entry))

    def _with_acknowledgement(self, earlier: AlarmEntry) -> AlarmEntry:
        applied = self.applied or earlier.applied
        if not earlier.record.acknowledged:
            return AlarmEntry(self.record, applied)
        acknowledged = replace(
            self.record,
            acknowledged_at=earlier.record.acknowledged_at,
            who=earlier.record.who,
            why=earlier.record.why,
        )
        return AlarmEntry(acknowledged, applied)


@dataclass(frozen=True, slots=True)
class EventEntry:
    """A transition to be written and to be published; one that is in the table stays.

    It gets the next number of its machine's events.
    """

    event: Event
    recorded_s: float  # by the clock of `RunningClock`
    clock: RunningClock

    def write(self, database: sqlite3.Connection) -> None:
        """Insert the rows; raises sqlite3.Error, and what `REFUSALS` lists."""
        event = self.event
        if find_row(database, "events", event.id) is not None:
            return
        seq = _count_event(database, event.machine)
        values: Row = (
            next_number(database, "events"),
            event.id,
            event.machine,
            rfc3339(event.time),
            str(event.kind),
            event.before,
            event.after,
            event.who,
            event.why,
            event.alarm_id,
            seq,
        )
        replace_row(database, "events", values)
        waiting = outbox_row(
            next_number(database, "outbox"), event, seq, clock_s=self.clock.at(self.recorded_s)
        )
        replace_row(database, "outbox", waiting)


@dataclass(frozen=True, slots=True)
class MachineEntry:
    """The id of a machine that is monitored, and a number that none of its events exceeds.

    See `asd_monitor.journal.event_numbers`.
    """

    machine: str
    seq: int = 0

    def write(self, database: sqlite3.Connection) -> None:
        """Insert or update the row, whose number only rises here.

        Raises sqlite3.Error, and what `REFUSALS` lists.
        """
        found = find_row(database, "machines", self.machine)
        earlier = None if found is None else as_machine(found)
        if found is not None and earlier is None:
            set_row_aside(database, "machines", found)
        if found is None or earlier is None:
            seq = max(self.seq, _highest_seq(database, self.machine))
            number = next_number(database, "machines")
            replace_row(database, "machines", (number, self.machine, seq))
        elif self.seq > earlier.seq:
            replace_row(database, "machines", (found[0], self.machine, self.seq))


def _count_event(database: sqlite3.Connection, machine: str) -> int:
    """Return the number of the machine's next event; the rollback of a transaction undoes it."""
    found = database.execute(
        "SELECT seq FROM temp.newest_numbers WHERE machine = ?", (machine,)
    ).fetchone()
    seq: int = 1 + (_highest_seq(database, machine) if found is None else found[0])
    database.execute("INSERT OR REPLACE INTO temp.newest_numbers VALUES (?, ?)", (machine, seq))
    return seq


def _highest_seq(database: sqlite3.Connection, machine: str) -> int:
    """Return the number of a machine's newest event, where its own row does not have it."""
    newest = 0
    for table in ("events", "outbox"):
        statement = f"SELECT max(seq) FROM {table} WHERE machine = ?"  # noqa: S608
        (found,) = database.execute(statement, (machine,)).fetchone()
        newest = max(newest, found if isinstance(found, int) else 0)
    return newest


Entry = AlarmEntry | EventEntry | MachineEntry


def alarm_row(number: int, entry: AlarmEntry) -> Row:
    """Return the row of an alarm, without its checksum."""
    record, peak = entry.record, entry.record.peak_score
    return (
        number,
        record.id,
        record.machine,
        record.severity,
        str(record.condition),
        rfc3339(record.raised),
        _time_text(record.cleared),
        _time_text(record.acknowledged_at),
        record.who,
        record.why,
        _finite(peak),
        record.model,
        record.evidence,
        int(entry.applied),
        record.time_scale_s,
    )


def as_alarm(row: Row) -> AlarmEntry | None:
    """Return the alarm of a row; None where the row is not intact."""
    if not is_intact("alarms", row):
        return None
    try:
        _, id_, machine, severity, condition, raised, cleared, acknowledged_at, *rest = row
        who, why, peak, model, evidence, applied, time_scale_s, _ = rest
        record = AlarmRecord(
            id=_text(id_),
            machine=_text(machine),
            severity=_text(severity),
            condition=AlarmCondition(_text(condition)),
            raised=_time(raised),
            cleared=None if cleared is None else _time(cleared),
            acknowledged_at=None if acknowledged_at is None else _time(acknowledged_at),
            who=_optional_text(who),
            why=_optional_text(why),
            peak_score=_score(peak),
            model=_optional_text(model),
            evidence=_optional_text(evidence),
            time_scale_s=_score(time_scale_s),
        )
    except (TypeError, ValueError):
        return None
    return AlarmEntry(record, bool(applied))


def as_event(row: Row) -> Event | None:
    """Return the transition of a row; None where the row is not intact."""
    if not is_intact("events", row):
        return None
    try:
        _, id_, machine, *common, seq, _ = row
        return _event(id_, machine, None if seq is None else _count(seq), common)
    except (TypeError, ValueError):
        return None


def _event(id_: Value, machine: Value, seq: int | None, common: Sequence[Value]) -> Event:
    """Return the event of columns that both tables of events have; raises as those of a column."""
    time, kind, before, after, who, why, alarm_id = common
    return Event(
        id=_text(id_),
        machine=_text(machine),
        time=_time(time),
        kind=TransitionKind(_text(kind)),
        before=_text(before),
        after=_text(after),
        who=_optional_text(who),
        why=_text(why),
        alarm_id=_optional_text(alarm_id),
        seq=seq,
    )


def as_machine(row: Row) -> MachineEntry | None:
    """Return the machine of a row of `machines`; None where the row is not intact."""
    if not is_intact("machines", row):
        return None
    try:
        _, id_, seq, _ = row
        return MachineEntry(_text(id_), _count(seq))
    except (TypeError, ValueError):
        return None


def outbox_row(
    number: int, event: Event, seq: int, *, clock_s: float, refusal: str | None = None
) -> Row:
    """Return the row of an event that is to be published, without its checksum."""
    return (
        number,
        event.id,
        event.machine,
        seq,
        rfc3339(event.time),
        str(event.kind),
        event.before,
        event.after,
        event.who,
        event.why,
        event.alarm_id,
        _finite(event.alarm_score),
        _finite(event.time_scale_s),
        clock_s,
        refusal,
    )


def as_waiting(row: Row) -> OutboxRow | None:
    """Return the event of a row of `outbox`; None where the row is not intact."""
    if not is_intact("outbox", row):
        return None
    try:
        number, id_, machine, seq, *common, alarm_score, time_scale_s, clock_s, refusal, _ = row
        event = replace(
            _event(id_, machine, _count(seq), common),
            alarm_score=_score(alarm_score),
            time_scale_s=_score(time_scale_s),
        )
        return OutboxRow(_count(number), event, _score(clock_s) or 0.0, _optional_text(refusal))
    except (TypeError, ValueError):
        return None


READERS = {
    "machines": as_machine,
    "alarms": as_alarm,
    "events": as_event,
    "outbox": as_waiting,
}
"""The function that reads a row of each table."""


def acknowledge(
    database: sqlite3.Connection, alarm_id: str, who: str, why: str | None, now: datetime
) -> bool:
    """Write an acknowledgement; an earlier one stays.

    Returns False where there is no intact alarm of this id.  The database has the present or an
    earlier format.
    """
    row = next(rows_of(database, "alarms", "WHERE id = ?", (alarm_id,)), None)
    entry = None if row is None else as_alarm(row)
    if row is None or entry is None:
        return False
    if entry.record.acknowledged:
        return True
    time = rfc3339(max(now, entry.record.raised))
    if database_format(database) == 1:
        database.execute(
            "UPDATE alarms SET acknowledged_at = ?, who = ?, why = ? WHERE id = ?",
            (time, who, why, alarm_id),
        )
    else:
        values = (*row[:7], time, who, why, *row[10:13], 0, row[14])
        of_format_2 = database_format(database) == 2
        replace_row(database, "alarms", values[:-1] if of_format_2 else values)
    return True


def _time_text(time: datetime | None) -> str | None:
    return None if time is None else rfc3339(time)


def _time(value: Value) -> datetime:
    time = datetime.fromisoformat(_text(value))
    if time.tzinfo is None:
        raise ValueError(f"{value!r} has no time zone")
    return time


def _text(value: Value) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not text")
    return value


def _optional_text(value: Value) -> str | None:
    return None if value is None else _text(value)


def _count(value: Value) -> int:
    if not isinstance(value, int):
        raise TypeError(f"{value!r} is not a whole number")
    return value


def _finite(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(value)


def _score(value: Value) -> float | None:
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return None
    if not isinstance(value, (int, float)):
        raise TypeError(f"{value!r} is not a number")
    return float(value)
