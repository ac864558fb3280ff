"""The tables of the journal: definition, earlier formats, and their rows as values.

The last column of each row is its checksum.  A row that is not intact is never read as an alarm or
a transition, and never written over: it is moved to `damaged_rows`.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

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


def create_tables(
    database: sqlite3.Connection, tables: str = TABLES, version: int = FORMAT
) -> None:
    """Create the tables, of the present or an earlier format, in an empty database."""
    for statement in tables.split(";\n"):
        database.execute(statement)
    database.execute(f"PRAGMA user_version = {version}")


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
    if not added.rowcount and find_row(database, table, str(row[1])) is None:
        replace_row(database, table, (next_number(database, table), *row[1:-1]))


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


def find_row(database: sqlite3.Connection, table: str, id_: str) -> Row | None:
    """Return the row of this id, intact or not; None where there is none."""
    return next(rows_of(database, table, "WHERE id = ?", (id_,)), None)


def next_number(database: sqlite3.Connection, table: str) -> int:
    """Return the number of the next row of a table."""
    (newest,) = database.execute(f"SELECT max(number) FROM {table}").fetchone()  # noqa: S608
    return (newest or 0) + 1
