"""The tables of the journal: definition, earlier formats, and their rows as values.

The last column of each row is its checksum.  A row that is not intact is never read as an alarm or
a transition, and never written over: it is moved to `damaged_rows`, which has the newest
`MAX_DAMAGED_ROWS`.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from asd_monitor.journal.checksums import Value, is_intact, row_checksum
from asd_monitor.wording import rfc3339

FORMAT = 4
EARLIER_TABLES = frozenset({"alarms", "events"})  # of format 1
_TIME_SCALE = "    time_scale_s REAL,  -- NULL: not known\n"  # a column since format 3
_MACHINE_SEQ = "    seq INTEGER NOT NULL,  -- of its newest event\n"  # since format 4
_EVENT_SEQ = "    seq INTEGER,  -- NULL: of an earlier format\n"  # since format 4
_OUTBOX = """CREATE TABLE outbox (
    number INTEGER PRIMARY KEY,  -- in the order in which they were written
    id TEXT NOT NULL,
    machine TEXT NOT NULL,
    seq INTEGER NOT NULL,
    time TEXT NOT NULL,
    kind TEXT NOT NULL,
    "from" TEXT NOT NULL,
    "to" TEXT NOT NULL,
    who TEXT,
    why TEXT NOT NULL,
    alarm_id TEXT,
    alarm_score REAL,
    time_scale_s REAL,
    clock_s REAL NOT NULL,  -- running time of the daemon
    refusal TEXT,  -- NULL: it waits
    checksum TEXT NOT NULL
);
CREATE UNIQUE INDEX outbox_order ON outbox (machine, seq);
"""  # since format 4

TABLES = f"""
CREATE TABLE machines (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL,
{_MACHINE_SEQ}    checksum TEXT NOT NULL
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
{_EVENT_SEQ}    checksum TEXT NOT NULL
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
{_OUTBOX}"""
"""The tables come first and in this order, so that every journal has the same first page.

`asd_monitor.journal.file_image` repairs that page by a new one."""

TABLES_3 = TABLES.replace(_MACHINE_SEQ, "").replace(_EVENT_SEQ, "").replace(_OUTBOX, "")
"""Those of format 3, on the same pages but for the outbox."""

TABLES_2 = TABLES_3.replace(_TIME_SCALE, "")
"""Those of format 2, on the same pages as those of format 3."""

TABLES_OF = {4: TABLES, 3: TABLES_3, 2: TABLES_2}
"""By format, the newest first; format 1 is read by its columns."""

ROW_TABLES = ("machines", "alarms", "events", "outbox")
"""The tables whose rows have a checksum."""

NUMBERED_TABLES = ("machines", "events", "outbox")
"""Those whose rows tell format 4 from the earlier ones."""

_FORMAT_1 = {
    "machines": "SELECT min(number) AS number, machine AS id, 0 AS seq FROM ("
    "SELECT rowid AS number, machine FROM alarms UNION ALL SELECT number, machine FROM events)"
    " GROUP BY machine",
    "alarms": "SELECT rowid AS number, id, machine, severity, condition, raised, cleared,"
    " acknowledged_at, who, why, peak_score, model, evidence, taken_up, NULL AS time_scale_s"
    " FROM alarms",
    "events": 'SELECT number, id, machine, time, kind, "from", "to", who, why, alarm_id,'
    " NULL AS seq FROM events",
}

Row = tuple[Value, ...]

_ADDED: dict[str, tuple[int, Value]] = {
    "machines": (4, 0),
    "alarms": (16, None),
    "events": (12, None),
}
"""Columns of a row, and the value of the one before the checksum in a row written before it."""

MAX_DAMAGED_ROWS = 1000
"""Damaged rows that are kept; the oldest beyond are deleted.  The number of the newest row is the
count of all that were set aside."""
_HIGHEST_NUMBER = 10**12

_OUTBOX_FORMAT = 4  # the first that has one


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
    if added.rowcount:
        return
    if table == "outbox":
        same = next(rows_of(database, table, "WHERE machine = ? AND seq = ?", row[2:4]), None)
    else:
        same = find_row(database, table, str(row[1]))
    if same is None:
        replace_row(database, table, (next_number(database, table), *row[1:-1]))


def set_row_aside(database: sqlite3.Connection, table: str, row: Row) -> None:
    """Move a damaged row to `damaged_rows`."""
    add_damaged_row(database, table, row)
    database.execute(f"DELETE FROM {table} WHERE number = ?", (row[0],))  # noqa: S608


def add_damaged_row(database: sqlite3.Connection, table: str, row: Sequence[Value]) -> None:
    """Keep the content of a damaged row, in place of the oldest where there are too many."""
    content = [value.hex() if isinstance(value, bytes) else value for value in row]
    database.execute(
        "INSERT INTO damaged_rows (found, place, content) VALUES (?, ?, ?)",
        (rfc3339(datetime.now(UTC)), table, json.dumps(content)),
    )
    _delete_oldest_damaged_rows(database)


def copy_damaged_rows(source: sqlite3.Connection, target: sqlite3.Connection) -> None:
    """Copy what an earlier journal has set aside; its count is added to that of the target."""
    (earlier,) = target.execute("SELECT max(number) FROM damaged_rows").fetchone()
    try:
        found = source.execute(
            "SELECT number, found, place, content FROM damaged_rows WHERE number BETWEEN 1 AND ?",
            (_HIGHEST_NUMBER,),  # others are of a damaged page
        ).fetchall()
    except sqlite3.Error:  # an earlier format, or damaged itself
        return
    for number, *values in found:
        target.execute(
            "INSERT OR IGNORE INTO damaged_rows VALUES (?, ?, ?, ?)",
            (number + (earlier or 0), *values),
        )
    _delete_oldest_damaged_rows(target)


def _delete_oldest_damaged_rows(database: sqlite3.Connection) -> None:
    database.execute(
        "DELETE FROM damaged_rows WHERE number <= (SELECT max(number) FROM damaged_rows) - ?",
        (MAX_DAMAGED_ROWS,),
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
    found = database_format(database)
    if table == "outbox" and found < _OUTBOX_FORMAT:
        return
    if found == 1:
        for row in database.execute(f"SELECT * FROM ({_FORMAT_1[table]}) {clause}", values):  # noqa: S608
            yield (*row, row_checksum(table, tuple(row)))
    else:
        for row in database.execute(f"SELECT * FROM {table} {clause}", values):  # noqa: S608
            yield _present_row(table, tuple(row))


def _present_row(table: str, row: Row) -> Row:
    """Return a row of this or an earlier format in the present one; a damaged one as it is.

    SQLite reads a row of an earlier format in a table of a later one, as after the repair of the
    first page, with a last column that is NULL.
    """
    columns, default = _ADDED.get(table, (0, None))
    earlier = row[:-1] if row[-1] is None else row
    if len(earlier) != columns - 1 or not is_intact(table, earlier):
        return row
    values = (*earlier[:-1], default)
    return (*values, row_checksum(table, values))


def find_row(database: sqlite3.Connection, table: str, id_: str) -> Row | None:
    """Return the row of this id, intact or not; None where there is none."""
    return next(rows_of(database, table, "WHERE id = ?", (id_,)), None)


def next_number(database: sqlite3.Connection, table: str) -> int:
    """Return the number of the next row of a table."""
    (newest,) = database.execute(f"SELECT max(number) FROM {table}").fetchone()  # noqa: S608
    return (newest or 0) + 1
