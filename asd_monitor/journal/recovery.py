"""What can be kept of a damaged journal: its intact rows, and alarms rebuilt from transitions."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from asd_monitor.alarm.state import ACTIVE, AlarmCondition
from asd_monitor.journal.alarm_entries import (
    READERS,
    AlarmEntry,
    MachineEntry,
    alarm_row,
    as_event,
)
from asd_monitor.journal.alarm_records import AlarmRecord, Event
from asd_monitor.journal.alarm_tables import (
    ROW_TABLES,
    Row,
    add_damaged_row,
    add_row,
    copy_damaged_rows,
    readable_rows,
    replace_row,
    rows_of,
    set_row_aside,
)
from asd_monitor.journal.checksums import is_intact

_LONG_TABLES = frozenset({"events", "outbox"})


@dataclass(frozen=True, slots=True)
class Recovery:
    """What a repair has found."""

    damaged: int = 0
    """Rows that are not intact."""
    rebuilt: tuple[str, ...] = ()
    """Ids of the alarms that were rebuilt from their transitions."""


def copy_rows(source: sqlite3.Connection, target: sqlite3.Connection) -> Recovery:
    """Copy what is intact into a journal, and the rest into its `damaged_rows`.

    A row of the same id stays.  ``source`` may have an earlier format.  Raises sqlite3.Error
    where the target cannot be written.
    """
    damaged = 0
    copy_damaged_rows(source, target)
    for table in ROW_TABLES:
        for row in readable_rows(source, table):
            if READERS[table](row) is None:
                damaged += 1
                add_damaged_row(target, table, row)
            else:
                add_row(target, table, row)
    _restore_sequences(target)
    return Recovery(damaged, tuple(_rebuild_alarms(target)))


def set_damaged_rows_aside(database: sqlite3.Connection) -> Recovery:
    """Move the damaged rows of an otherwise sound journal to its `damaged_rows`.

    Of transitions and events, which may be very many, the checksums alone are verified: they are
    examined when they are read.
    """
    damaged = [
        (table, row)
        for table in ROW_TABLES
        for row in rows_of(database, table)
        if not _is_sound(table, row)
    ]
    for table, row in damaged:
        set_row_aside(database, table, row)
    if damaged:
        _restore_sequences(database)
    return Recovery(len(damaged), tuple(_rebuild_alarms(database)))


def _is_sound(table: str, row: Row) -> bool:
    if table in _LONG_TABLES:
        return is_intact(table, row)
    return READERS[table](row) is not None


def _restore_sequences(database: sqlite3.Connection) -> None:
    """Count the events of each machine from the highest number that is left of it."""
    highest = database.execute(
        "SELECT machine, max(seq) FROM (SELECT machine, seq FROM events UNION ALL"
        " SELECT machine, seq FROM outbox) WHERE seq IS NOT NULL GROUP BY machine"
    ).fetchall()
    for machine, seq in highest:
        MachineEntry(machine, seq).write(database)


def _rebuild_alarms(database: sqlite3.Connection) -> list[str]:
    """Write the alarms that have transitions and no row; return their ids.

    A damaged row must not end an alarm that is active.
    """
    lost = database.execute(
        "SELECT alarm_id, min(number) FROM events WHERE alarm_id NOT IN (SELECT id FROM alarms)"
        " GROUP BY alarm_id ORDER BY min(number)"
    ).fetchall()
    if not lost:
        return []
    taken = {number for (number,) in database.execute("SELECT number FROM alarms")}
    free = (number for number in range(1, len(taken) + len(lost) + 1) if number not in taken)
    rebuilt = []
    for alarm_id, _ in lost:
        rows = rows_of(database, "events", "WHERE alarm_id = ? ORDER BY number", (alarm_id,))
        events = [event for row in rows if (event := as_event(row)) is not None]
        if (record := _rebuilt(alarm_id, events)) is not None:
            entry = AlarmEntry(record, applied=record.acknowledged)
            replace_row(database, "alarms", alarm_row(next(free), entry))
            rebuilt.append(alarm_id)
    return rebuilt


def _rebuilt(alarm_id: str, events: list[Event]) -> AlarmRecord | None:
    """Return an alarm by its transitions, the oldest first; None where they are not sound."""
    cleared, acknowledged = None, None
    for event in events:
        if event.before in ACTIVE and event.after not in ACTIVE:
            cleared = event.time
        if event.who is not None and acknowledged is None:
            acknowledged = event
    if not events or events[-1].after not in frozenset(AlarmCondition):
        return None
    return AlarmRecord(
        id=alarm_id,
        machine=events[0].machine,
        severity="alarm",
        condition=AlarmCondition(events[-1].after),
        raised=events[0].time,
        cleared=cleared,
        acknowledged_at=acknowledged.time if acknowledged else None,
        who=acknowledged.who if acknowledged else None,
        why=acknowledged.why if acknowledged else None,
        peak_score=None,
        model=None,
    )
