"""The table `outbox` of the journal: totals, rows that are dropped, rows that are settled.

All functions raise sqlite3.Error.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping

from asd_monitor.alarm.state import TransitionKind
from asd_monitor.journal.alarm_entries import OutboxRow, as_waiting, outbox_row
from asd_monitor.journal.alarm_tables import (
    next_number,
    replace_row,
    rows_of,
    set_row_aside,
)
from asd_monitor.journal.earlier_formats import Row
from asd_monitor.journal.outbox_records import LeftEvents, Settled

WAITING = "refusal IS NULL"
"""The condition of a row that waits to be published; the others are set aside."""
_ROW_BYTES = 300  # of a row with its index, but for the texts of any length
_SIZE = f"{_ROW_BYTES} + length(CAST(why AS BLOB)) + coalesce(length(CAST(who AS BLOB)), 0)"


def totals(database: sqlite3.Connection, condition: str, values: Row = ()) -> tuple[int, int]:
    """Return number and bytes of the rows that meet a condition."""
    statement = f"SELECT count(*), coalesce(sum({_SIZE}), 0) FROM outbox WHERE {condition}"  # noqa: S608
    count, size = database.execute(statement, values).fetchone()
    return count, size


def newest_number(database: sqlite3.Connection) -> int:
    """Return the number of the newest row; 0: there is none."""
    (newest,) = database.execute("SELECT max(number) FROM outbox").fetchone()
    return newest or 0


def newest_sequences(database: sqlite3.Connection, since: int) -> dict[str, int]:
    """Return the highest `seq` of each machine in rows newer than a number."""
    return dict(
        database.execute(
            "SELECT machine, max(seq) FROM outbox WHERE number > ? GROUP BY machine", (since,)
        )
    )


def oldest_clock_s(database: sqlite3.Connection) -> float | None:
    """Return the running time at which the oldest waiting event was recorded; None: none waits."""
    statement = f"SELECT clock_s FROM outbox WHERE {WAITING} ORDER BY number LIMIT 1"  # noqa: S608
    found = database.execute(statement).fetchone()
    return None if found is None else float(found[0])


def newest_waiting(database: sqlite3.Connection) -> dict[str, int]:
    """Return the highest `seq` of the events that wait, by machine."""
    statement = f"SELECT machine, max(seq) FROM outbox WHERE {WAITING} GROUP BY machine"  # noqa: S608
    return {machine: seq for machine, seq in database.execute(statement) if isinstance(seq, int)}


def waiting_rows(
    database: sqlite3.Connection, machine: str, *, above: int, limit: int
) -> list[Row]:
    """Return the next waiting rows of a machine above a `seq`, in order."""
    clause = f"WHERE machine = ? AND seq > ? AND {WAITING} ORDER BY seq LIMIT ?"
    return list(rows_of(database, "outbox", clause, (machine, above, limit)))


def row_of(database: sqlite3.Connection, machine: str, seq: int) -> Row | None:
    """Return the row of an event."""
    return next(rows_of(database, "outbox", "WHERE machine = ? AND seq = ?", (machine, seq)), None)


def left_events(database: sqlite3.Connection) -> list[LeftEvents]:
    """Return what waits in a file, by machine."""
    statement = (
        "SELECT machine, count(*), min(seq), max(seq) FROM outbox"  # noqa: S608
        f" WHERE {WAITING} GROUP BY machine ORDER BY machine"
    )
    return [LeftEvents(*row) for row in database.execute(statement)]


def write_settled(database: sqlite3.Connection, settled: Settled) -> int | None:
    """Delete the row of an event or note the refusal; return its bytes, None: it has none.

    A refused row gets a new number, so that set-aside rows are in the order of their refusals.
    """
    event = settled.waiting.event
    where, key = ("seq = ?", event.seq) if event.seq is not None else ("id = ?", event.id)
    clause = f"WHERE machine = ? AND {where} AND {WAITING}"
    found = database.execute(
        f"SELECT number, {_SIZE} FROM outbox {clause}",  # noqa: S608
        (event.machine, key),
    ).fetchone()
    if found is None:
        return None
    number, size = found
    row = next(rows_of(database, "outbox", "WHERE number = ?", (number,)))
    waiting = as_waiting(row)
    if settled.refusal is not None and waiting is None:
        set_row_aside(database, "outbox", row)
        return int(size)
    newest = next_number(database, "outbox")
    database.execute("DELETE FROM outbox WHERE number = ?", (number,))
    if settled.refusal is not None and waiting is not None:
        refused = _row(newest, waiting, refusal=settled.refusal)
        replace_row(database, "outbox", refused)
    return int(size)


def release_set_aside(database: sqlite3.Connection) -> OutboxRow | None:
    """Let the event wait again that was set aside first; return it, None: there is none."""
    clause = f"WHERE NOT {WAITING} ORDER BY number LIMIT 1"
    while (row := next(rows_of(database, "outbox", clause), None)) is not None:
        found = as_waiting(row)
        if found is not None:
            replace_row(database, "outbox", _row(found.number, found, refusal=None))
            return found
        set_row_aside(database, "outbox", row)
    return None


def delete_oldest_set_aside(database: sqlite3.Connection, *, keep: int) -> None:
    """Delete the rows that were set aside first, but for so many."""
    database.execute(
        f"DELETE FROM outbox WHERE NOT {WAITING} AND number NOT IN (SELECT number FROM outbox"  # noqa: S608
        f" WHERE NOT {WAITING} ORDER BY number DESC LIMIT ?)",
        (keep,),
    )


def least_important(
    database: sqlite3.Connection, taken: Mapping[str, int], excess: int
) -> list[tuple[Row, int]]:
    """Return rows of so many bytes together, with the bytes of each, that were not taken."""
    surplus: list[tuple[Row, int]] = []
    if excess <= 0:
        return surplus
    order = f"{WAITING} ORDER BY kind = '{TransitionKind.ALARM}', number"
    for row, row_bytes in _not_taken(database, taken, order):
        surplus.append((row, row_bytes))
        excess -= row_bytes
        if excess <= 0:
            break
    return surplus


def older_than(
    database: sqlite3.Connection, taken: Mapping[str, int], clock_s: float
) -> list[tuple[Row, int]]:
    """Return the rows recorded before a running time, with their bytes, that were not taken."""
    return list(_not_taken(database, taken, f"{WAITING} AND clock_s < ?", (clock_s,)))


def _not_taken(
    database: sqlite3.Connection, taken: Mapping[str, int], condition: str, values: Row = ()
) -> Iterable[tuple[Row, int]]:
    statement = f"SELECT {_SIZE}, * FROM outbox WHERE {condition}"  # noqa: S608
    for size, *row in database.execute(statement, values):
        if row[3] > taken.get(row[2], 0):
            yield tuple(row), size


def _row(number: int, found: OutboxRow, *, refusal: str | None) -> Row:
    event = found.event
    return outbox_row(number, event, event.seq or 0, clock_s=found.clock_s, refusal=refusal)
