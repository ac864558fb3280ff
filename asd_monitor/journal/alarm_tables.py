"""The rows of the journal's tables as values, in the present or an earlier format.

The last column of each row is its checksum.  A row that is not intact is never read as an alarm or
a transition, and never written over: it is moved to `damaged_rows`, which has the newest
`MAX_DAMAGED_ROWS`.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from asd_monitor.journal.checksums import Value, row_checksum
from asd_monitor.journal.earlier_formats import FORMAT_1, Row, present_row
from asd_monitor.journal.table_definitions import FORMAT, TABLES, TABLES_SINCE
from asd_monitor.wording import rfc3339

MAX_DAMAGED_ROWS = 1000
"""Damaged rows that are kept; the oldest beyond are deleted.  The number of the newest row is the
count of all that were set aside."""
_HIGHEST_NUMBER = 10**12


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


def readable_rows(
    database: sqlite3.Connection, table: str, where: str = "", values: Row = ()
) -> Iterator[Row]:
    """Return the rows of a table that SQLite can read, in both directions around damaged pages.

    ``where`` is a clause with its ``values``.
    """
    newest = None
    try:
        for row in rows_of(database, table, f"{where} ORDER BY number", values):
            newest = row[0]
            yield row
    except (sqlite3.DatabaseError, UnicodeDecodeError):  # of a message that quotes damaged text
        pass
    else:
        return
    try:
        for row in rows_of(database, table, f"{where} ORDER BY number DESC", values):
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
    if found < TABLES_SINCE.get(table, 1):
        return
    if found == 1:
        for row in database.execute(f"SELECT * FROM ({FORMAT_1[table]}) {clause}", values):  # noqa: S608
            yield (*row, row_checksum(table, tuple(row)))
    else:
        for row in database.execute(f"SELECT * FROM {table} {clause}", values):  # noqa: S608
            yield present_row(table, tuple(row))


def find_row(database: sqlite3.Connection, table: str, id_: str) -> Row | None:
    """Return the row of this id, intact or not; None where there is none."""
    return next(rows_of(database, table, "WHERE id = ?", (id_,)), None)


def next_number(database: sqlite3.Connection, table: str) -> int:
    """Return the number of the next row of a table."""
    (newest,) = database.execute(f"SELECT max(number) FROM {table}").fetchone()  # noqa: S608
    return (newest or 0) + 1
