"""Sound that people have marked as normal, as rows of the journal."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from asd_monitor.journal.alarm_tables import (
    find_row,
    next_number,
    replace_row,
    rows_of,
    set_row_aside,
)
from asd_monitor.journal.checksums import is_intact
from asd_monitor.journal.earlier_formats import Row
from asd_monitor.journal.row_values import optional_text, text, time_of
from asd_monitor.records import NormalSpan
from asd_monitor.wording import rfc3339

TABLE = "normal_spans"
MAX_SPANS = 1000
"""Spans of all machines that are kept; the oldest beyond are deleted."""


@dataclass(frozen=True, slots=True)
class NormalSpanEntry:
    """A span that is marked, in place of one of the same id."""

    span: NormalSpan

    def write(self, database: sqlite3.Connection) -> None:
        """Insert or update the row; raises sqlite3.Error, and what `REFUSALS` lists."""
        found = find_row(database, TABLE, self.span.id)
        if found is not None and as_normal_span(found) is None:
            set_row_aside(database, TABLE, found)
            found = None
        number = next_number(database, TABLE) if found is None else int(found[0] or 0)
        replace_row(database, TABLE, (number, *_columns(self.span)))
        database.execute(
            "DELETE FROM normal_spans WHERE number <= (SELECT max(number) FROM normal_spans) - ?",
            (MAX_SPANS,),
        )


@dataclass(frozen=True, slots=True)
class WithdrawnSpanEntry:
    """A span whose mark is withdrawn."""

    span_id: str

    def write(self, database: sqlite3.Connection) -> None:
        """Delete the row.  Raises sqlite3.Error."""
        database.execute("DELETE FROM normal_spans WHERE id = ?", (self.span_id,))


def normal_spans(database: sqlite3.Connection, machine: str) -> list[NormalSpan]:
    """Return the intact spans of a machine, the oldest mark first.  Raises sqlite3.Error."""
    rows = rows_of(database, TABLE, "WHERE machine = ? ORDER BY number", (machine,))
    return [span for row in rows if (span := as_normal_span(row)) is not None]


def as_normal_span(row: Row) -> NormalSpan | None:
    """Return the span of a row; None where the row is not intact."""
    if not is_intact(TABLE, row):
        return None
    try:
        _, id_, machine, begin, end, alarm_id, who, why, time, _ = row
        return NormalSpan(
            id=text(id_),
            machine=text(machine),
            begin=time_of(begin),
            end=time_of(end),
            alarm_id=optional_text(alarm_id),
            who=text(who),
            why=text(why),
            time=time_of(time),
        )
    except (TypeError, ValueError):
        return None


def _columns(span: NormalSpan) -> Row:
    """Return the columns of a row but its number and its checksum."""
    return (
        span.id,
        span.machine,
        rfc3339(span.begin),
        rfc3339(span.end),
        span.alarm_id,
        span.who,
        span.why,
        rfc3339(span.time),
    )
