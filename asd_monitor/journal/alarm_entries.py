"""Alarms, transitions and machines as rows of the journal's tables, written and read."""

from __future__ import annotations

import math
import sqlite3
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
from asd_monitor.wording import rfc3339


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
    """A transition to be written; one that is in the table stays."""

    event: Event

    def write(self, database: sqlite3.Connection) -> None:
        """Insert the row; raises sqlite3.Error, and what `REFUSALS` lists."""
        event = self.event
        if find_row(database, "events", event.id) is not None:
            return
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
        )
        replace_row(database, "events", values)


@dataclass(frozen=True, slots=True)
class MachineEntry:
    """The id of a machine that is monitored."""

    machine: str

    def write(self, database: sqlite3.Connection) -> None:
        """Insert the row; raises sqlite3.Error, and what `REFUSALS` lists."""
        if find_row(database, "machines", self.machine) is None:
            number = next_number(database, "machines")
            replace_row(database, "machines", (number, self.machine))


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
        None if peak is None or not math.isfinite(peak) else peak,
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
        _, id_, machine, time, kind, before, after, who, why, alarm_id, _ = row
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
        )
    except (TypeError, ValueError):
        return None


def as_machine(row: Row) -> str | None:
    """Return the id of a row of `machines`; None where the row is not intact."""
    return str(row[1]) if is_intact("machines", row) else None


READERS = {"machines": as_machine, "alarms": as_alarm, "events": as_event}
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


def _score(value: Value) -> float | None:
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return None
    if not isinstance(value, (int, float)):
        raise TypeError(f"{value!r} is not a number")
    return float(value)
