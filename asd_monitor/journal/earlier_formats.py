"""Rows of journals of earlier formats, as rows of the present one.

An acknowledgement used to be written into the row of its alarm by the command, for the daemon to
apply.  One that is not applied yet becomes a request when the journal is migrated.
"""

from __future__ import annotations

import sqlite3
from datetime import datetime

from asd_monitor.journal.checksums import Value, is_intact, row_checksum
from asd_monitor.wording import rfc3339

Row = tuple[Value, ...]

FORMAT_1 = {
    "machines": "SELECT min(number) AS number, machine AS id, 0 AS seq, NULL AS out_since,"
    " NULL AS out_who, NULL AS out_why, NULL AS monitored_since FROM ("
    "SELECT rowid AS number, machine FROM alarms UNION ALL SELECT number, machine FROM events)"
    " GROUP BY machine",
    "alarms": "SELECT rowid AS number, id, machine, severity, condition, raised, cleared,"
    " acknowledged_at, who, why, peak_score, model, evidence, taken_up AS applied,"
    " NULL AS time_scale_s, NULL AS shelved_until, NULL AS reason, NULL AS views,"
    " NULL AS provisional, NULL AS label, NULL AS label_why, NULL AS labelled_by,"
    " NULL AS scale_peaks, NULL AS shortest_scale_s FROM alarms",
    "events": 'SELECT number, id, machine, time, kind, "from", "to", who, why, alarm_id,'
    " NULL AS seq FROM events",
}
"""The rows of format 1, without checksums."""

_ADDED: dict[str, tuple[tuple[int, ...], Row]] = {
    "machines": ((3, 4), (0, None, None, None, None)),
    "alarms": ((15, 16), (None,) * 10),
    "events": ((11,), (None,)),
}
"""Columns of a row of earlier formats, and the values of those that the shortest lacks."""

APPLIED = 13
"""Position of `applied` in a row of `alarms`: 0 for an acknowledgement that is not applied."""
_ACKNOWLEDGEMENT = slice(7, 10)  # when, who, why


def present_row(table: str, row: Row) -> Row:
    """Return a row of this or an earlier format in the present one; a damaged one as it is.

    SQLite reads a row of an earlier format in a table of a later one, as after the repair of the
    first page, with last columns that are NULL.
    """
    lengths, added = _ADDED.get(table, ((), ()))
    if row[-1] is not None and len(row) not in lengths:  # of the present format
        return row
    for length in lengths:
        earlier = row[:length]
        if any(value is not None for value in row[length:]) or not is_intact(table, earlier):
            continue
        values = (*earlier[:-1], *added[length - lengths[0] :])
        return (*values, row_checksum(table, values))
    return row


def acknowledge(
    database: sqlite3.Connection, row: Row, who: str, why: str | None, now: datetime
) -> None:
    """Write an acknowledgement into the row of an alarm of an earlier format, for its daemon.

    ``row`` has the present format.  Raises sqlite3.Error.
    """
    (version,) = database.execute("PRAGMA user_version").fetchone()
    time = rfc3339(now)
    statement = "UPDATE alarms SET acknowledged_at = ?, who = ?, why = ? WHERE id = ?"
    database.execute(statement, (time, who, why, row[1]))
    if version > 1:
        values = (*row[:7], time, who, why, *row[10:APPLIED], 0)
        values = values if version == 2 else (*values, row[APPLIED + 1])
        database.execute(
            "UPDATE alarms SET applied = 0, checksum = ? WHERE id = ?",
            (row_checksum("alarms", values), row[1]),
        )


def unapplied_acknowledgement(row: Row) -> tuple[Value, Value, Value] | None:
    """Return when, by whom and why an alarm was acknowledged; None: that is applied, or was not.

    ``row`` is one of `alarms` in the present format.
    """
    time, who, why = row[_ACKNOWLEDGEMENT]
    return None if time is None or row[APPLIED] else (time, who, why)


def without_acknowledgement(row: Row) -> Row:
    """Return the values of a row of `alarms`, without its acknowledgement and its checksum."""
    return (*row[:7], None, None, None, *row[10:APPLIED], 1, *row[APPLIED + 1 : -1])
