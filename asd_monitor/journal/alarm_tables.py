"""The tables of the journal: definition, rows of alarms and transitions, earlier formats.

The last column of each row is its checksum.  A row that is not intact is never read as an alarm or
a transition, and never written over: it is moved to `damaged_rows`.
"""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from asd_monitor.alarm.state import AlarmCondition, TransitionKind
from asd_monitor.journal.alarm_records import AlarmRecord, Event
from asd_monitor.journal.checksums import Value, is_intact, row_checksum
from asd_monitor.wording import rfc3339

FORMAT = 3
EARLIER_TABLES = frozenset({"alarms", "events"})  # of format 1
_TIME_SCALE = "    time_scale_s REAL,  -- NULL: not known\n"  # a column since format 3

TABLES = f"""
CREATE TABLE machines (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL,
    checksum TEXT NOT NULL
);
CREATE TABLE alarms (
    number INTEGER PRIMARY KEY,  -- in the order in which they were raised
    id TEXT NOT NULL,
    machine TEXT NOT NULL,
    severity TEXT NOT NULL,
    condition TEXT NOT NULL,
    raised TEXT NOT NULL,
    cleared TEXT,
    acknowledged_at TEXT,
    who TEXT,
    why TEXT,
    peak_alarm_score REAL,  -- NULL: not known
    model TEXT,
    evidence TEXT,
    applied INTEGER NOT NULL,  -- whether the daemon has applied the acknowledgement
{_TIME_SCALE}    checksum TEXT NOT NULL
);
CREATE TABLE events (
    number INTEGER PRIMARY KEY,  -- in the order in which they were written
    id TEXT NOT NULL,
    machine TEXT NOT NULL,
    time TEXT NOT NULL,
    kind TEXT NOT NULL,
    "from" TEXT NOT NULL,
    "to" TEXT NOT NULL,
    who TEXT,
    why TEXT NOT NULL,
    alarm_id TEXT,
    checksum TEXT NOT NULL
);
CREATE TABLE damaged_rows (
    number INTEGER PRIMARY KEY,
    found TEXT NOT NULL,  -- when
    place TEXT NOT NULL,  -- the table
    content TEXT NOT NULL  -- JSON
);
CREATE UNIQUE INDEX machine_ids ON machines (id);
CREATE UNIQUE INDEX alarm_ids ON alarms (id);
CREATE UNIQUE INDEX event_ids ON events (id);
CREATE INDEX events_of_alarm ON events (alarm_id);
"""
"""The tables come first and in this order, so that every journal has the same first page.

`asd_monitor.journal.file_image` repairs that page by a new one."""

TABLES_2 = TABLES.replace(_TIME_SCALE, "")
"""Those of format 2, on the same pages."""

ROW_TABLES = ("machines", "alarms", "events")
"""The tables whose rows have a checksum."""

_FORMAT_1 = {
    "machines": "SELECT min(number) AS number, machine AS id FROM ("
    "SELECT rowid AS number, machine FROM alarms UNION ALL SELECT number, machine FROM events)"
    " GROUP BY machine",
    "alarms": "SELECT rowid AS number, id, machine, severity, condition, raised, cleared,"
    " acknowledged_at, who, why, peak_score, model, evidence, taken_up, NULL AS time_scale_s"
    " FROM alarms",
    "events": 'SELECT number, id, machine, time, kind, "from", "to", who, why, alarm_id'
    " FROM events",
}

_COLUMNS_2 = 15  # of `alarms` in format 2

Row = tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class AlarmEntry:
    """An alarm to be written; the acknowledgement of an alarm that is in the table stays."""

    record: AlarmRecord
    applied: bool
    """Whether the daemon has applied the acknowledgement of this record."""

    def write(self, database: sqlite3.Connection) -> None:
        """Insert or update the row; raises sqlite3.Error, and what `REFUSALS` lists."""
        entry = self
        found = _find(database, "alarms", self.record.id)
        earlier = None if found is None else as_alarm(found)
        if found is not None and earlier is None:
            set_row_aside(database, "alarms", found)
        if found is None or earlier is None:
            number = _next_number(database, "alarms")
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
        if _find(database, "events", event.id) is not None:
            return
        values: Row = (
            _next_number(database, "events"),
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
        if _find(database, "machines", self.machine) is None:
            number = _next_number(database, "machines")
            replace_row(database, "machines", (number, self.machine))


Entry = AlarmEntry | EventEntry | MachineEntry


def create_tables(
    database: sqlite3.Connection, tables: str = TABLES, version: int = FORMAT
) -> None:
    """Create the tables, of the present or an earlier format, in an empty database."""
    for statement in tables.split(";\n"):
        database.execute(statement)
    database.execute(f"PRAGMA user_version = {version}")


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


def replace_row(database: sqlite3.Connection, table: str, values: Row) -> None:
    """Write a row and its checksum in place of the one of the same number."""
    marks = ", ".join("?" * (len(values) + 1))
    database.execute(
        f"INSERT OR REPLACE INTO {table} VALUES ({marks})",  # noqa: S608 - the name of a table
        (*values, row_checksum(table, values)),
    )


def add_row(database: sqlite3.Connection, table: str, row: Row) -> None:
    """Add a row with its checksum; it gets another number where its own is taken.

    A row of the same id stays.
    """
    marks = ", ".join("?" * len(row))
    added = database.execute(f"INSERT OR IGNORE INTO {table} VALUES ({marks})", row)  # noqa: S608
    if not added.rowcount and _find(database, table, str(row[1])) is None:
        replace_row(database, table, (_next_number(database, table), *row[1:-1]))


def set_row_aside(database: sqlite3.Connection, table: str, row: Row) -> None:
    """Move a damaged row to `damaged_rows`."""
    add_damaged_row(database, table, row)
    database.execute(f"DELETE FROM {table} WHERE number = ?", (row[0],))  # noqa: S608


def add_damaged_row(database: sqlite3.Connection, table: str, row: Sequence[Value]) -> None:
    """Keep the content of a damaged row."""
    content = [value.hex() if isinstance(value, bytes) else value for value in row]
    database.execute(
        "INSERT INTO damaged_rows (found, place, content) VALUES (?, ?, ?)",
        (rfc3339(datetime.now(UTC)), table, json.dumps(content)),
    )


def database_format(database: sqlite3.Connection) -> int:
    """Return the version of the format; 0: the tables were never created."""
    return int(database.execute("PRAGMA user_version").fetchone()[0])


def readable_rows(database: sqlite3.Connection, table: str) -> Iterator[Row]:
    """Return the rows of a table that SQLite can read, in both directions around damaged pages."""
    newest = None
    try:
        for row in rows_of(database, table, "ORDER BY number"):
            newest = row[0]
            yield row
    except (sqlite3.DatabaseError, UnicodeDecodeError):  # of a message that quotes damaged text
        pass
    else:
        return
    try:
        for row in rows_of(database, table, "ORDER BY number DESC"):
            if row[0] == newest:
                return
            yield row
    except (sqlite3.DatabaseError, UnicodeDecodeError):
        return


def rows_of(
    database: sqlite3.Connection, table: str, clause: str = "", values: Row = ()
) -> Iterator[Row]:
    """Return the rows of a table in the present or an earlier format, with their checksums.

    ``clause`` follows FROM.  A row of format 1 has no checksum; it gets one here.  Raises
    sqlite3.Error where a page cannot be read.
    """
    if database_format(database) == 1:
        for row in database.execute(f"SELECT * FROM ({_FORMAT_1[table]}) {clause}", values):  # noqa: S608
            yield (*row, row_checksum(table, tuple(row)))
    else:
        for row in database.execute(f"SELECT * FROM {table} {clause}", values):  # noqa: S608
            yield _present_alarm_row(tuple(row)) if table == "alarms" else tuple(row)


def _present_alarm_row(row: Row) -> Row:
    """Return a row of an alarm in the present format; one that is not intact as it is.

    SQLite reads a row of format 2 in a table of the present one, as after the repair of the first
    page, with a last column that is NULL.
    """
    of_format_2 = row[:-1] if row[-1] is None else row
    if len(of_format_2) != _COLUMNS_2 or not is_intact("alarms", of_format_2):
        return row
    values = (*of_format_2[:-1], None)
    return (*values, row_checksum("alarms", values))


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


def _find(database: sqlite3.Connection, table: str, id_: str) -> Row | None:
    return next(rows_of(database, table, "WHERE id = ?", (id_,)), None)


def _next_number(database: sqlite3.Connection, table: str) -> int:
    (newest,) = database.execute(f"SELECT max(number) FROM {table}").fetchone()  # noqa: S608
    return (newest or 0) + 1


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
