"""What can be kept of a damaged journal: its intact rows, and alarms rebuilt from transitions."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from asd_monitor.alarm.state import (
    ACTIVE,
    UNACKNOWLEDGED,
    AlarmCondition,
    ServiceState,
    TransitionKind,
)
from asd_monitor.journal.alarm_changes import is_raised_by_sound
from asd_monitor.journal.alarm_entries import READERS, alarm_row, as_alarm, as_event
from asd_monitor.journal.alarm_records import AlarmRecord, Event
from asd_monitor.journal.alarm_tables import (
    add_damaged_row,
    add_row,
    copy_damaged_rows,
    database_format,
    readable_rows,
    replace_row,
    rows_of,
    set_row_aside,
)
from asd_monitor.journal.checksums import Value, is_intact
from asd_monitor.journal.earlier_formats import (
    Row,
    unapplied_acknowledgement,
    without_acknowledgement,
)
from asd_monitor.journal.machine_entries import MachineEntry, OutOfService, ServiceEntry
from asd_monitor.journal.requests import MAX_TEXT_CHARS, Request, Verb, insert_request
from asd_monitor.journal.row_values import optional_text, text, time_of
from asd_monitor.journal.table_definitions import FORMAT, ROW_TABLES
from asd_monitor.wording import shortened

_SEEN = frozenset({AlarmCondition.ACKNOWLEDGED, AlarmCondition.NORMAL})
_LONG_TABLES = frozenset({"events", "outbox"})


@dataclass(frozen=True, slots=True)
class Recovery:
    """What a repair has found."""

    damaged: int = 0
    """Rows that are not intact."""
    rebuilt: tuple[str, ...] = ()
    """Ids of the alarms that were rebuilt from their transitions."""
    machines: tuple[str, ...] = ()
    """Machines whose row was lost, each with whether it is in service now."""


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
    if database_format(source) < FORMAT:
        _request_acknowledgements(target)
    lost = _restore_machines(target, is_readable=_is_readable(source, "events"))
    return Recovery(damaged, tuple(_rebuild_alarms(target)), lost)


def _request_acknowledgements(database: sqlite3.Connection) -> None:
    """Make requests of the acknowledgements of an earlier format that no daemon has applied."""
    for row in list(rows_of(database, "alarms", "ORDER BY number")):
        found = unapplied_acknowledgement(row)
        if found is None or as_alarm(row) is None:
            continue
        time, who, why = found
        request = Request(
            Verb.ACK,
            text(row[2]),
            _shortened(who) or "unknown",
            time_of(time),
            alarm_id=text(row[1]),
            why=_shortened(why),
        )
        insert_request(database, request)
        replace_row(database, "alarms", without_acknowledgement(row))


def _shortened(value: Value) -> str | None:
    """Return text as long as that of a request may be."""
    found = optional_text(value)
    return None if found is None else shortened(found.strip(), MAX_TEXT_CHARS)


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
    lost = _restore_machines(database, is_readable=True) if damaged else ()
    return Recovery(len(damaged), tuple(_rebuild_alarms(database)), lost)


def _is_sound(table: str, row: Row) -> bool:
    if table in _LONG_TABLES:
        return is_intact(table, row)
    return READERS[table](row) is not None


def _restore_machines(database: sqlite3.Connection, *, is_readable: bool) -> tuple[str, ...]:
    """Restore the rows of machines that are lost; return which, and whether in service.

    An intact row stays but for the number of its newest event, which is at least the highest one.
    Whether a machine without a row is in service is said by the newest change of that.  Where a
    transition is lost too, and all are not readable, that may be the one that has returned the
    machine to service: then it is in service, so that its alarms are raised.
    """
    kept = {id_ for (id_,) in database.execute("SELECT id FROM machines")}
    highest = database.execute(
        "SELECT machine, max(seq) FROM (SELECT machine, seq FROM events UNION ALL"
        " SELECT machine, seq FROM outbox UNION ALL SELECT machine, 0 FROM alarms)"
        " WHERE seq IS NOT NULL GROUP BY machine"
    ).fetchall()
    (damaged,) = database.execute(
        "SELECT count(*) FROM damaged_rows WHERE place = 'events'"
    ).fetchone()
    is_complete = is_readable and not damaged
    lost = []
    for machine, seq in highest:
        MachineEntry(machine, seq).write(database)
        if machine in kept:
            continue
        out_of_service = _newest_out_of_service(database, machine)
        if out_of_service is not None and is_complete:
            ServiceEntry(machine, out_of_service).write(database)
            lost.append(f"{machine}: out of service by {out_of_service.who}")
        elif out_of_service is not None:
            lost.append(f"{machine}: in service, and may have been out of service")
        else:
            lost.append(f"{machine}: in service")
    return tuple(lost)


def _newest_out_of_service(database: sqlite3.Connection, machine: str) -> OutOfService | None:
    """Return what the newest readable change of a machine's service says."""
    clause = "WHERE machine = ? AND kind = ? ORDER BY number DESC"
    for row in rows_of(database, "events", clause, (machine, TransitionKind.SERVICE)):
        event = as_event(row)
        if event is not None:
            is_out = event.after == ServiceState.OUT_OF_SERVICE
            return OutOfService(event.time, event.who or "unknown", event.why) if is_out else None
    return None


def _is_readable(database: sqlite3.Connection, table: str) -> bool:
    """Return whether SQLite can read all pages of a table."""
    try:
        for _ in rows_of(database, table, "ORDER BY number"):
            pass
    except (sqlite3.DatabaseError, UnicodeDecodeError):
        return False
    return True


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
            replace_row(database, "alarms", alarm_row(next(free), record))
            rebuilt.append(alarm_id)
    return rebuilt


def _rebuilt(alarm_id: str, events: list[Event]) -> AlarmRecord | None:
    """Return an alarm by its transitions, the oldest first; None where they are not sound."""
    cleared, acknowledged = None, None
    events = [event for event in events if event.kind is TransitionKind.ALARM]
    for event in events:
        if event.after in ACTIVE:
            cleared = None
        elif event.before in ACTIVE:
            cleared = event.time
        if event.after in UNACKNOWLEDGED:
            acknowledged = None
        elif event.who is not None and event.after in _SEEN and acknowledged is None:
            acknowledged = event
    if not events or events[-1].after not in frozenset(AlarmCondition):
        return None
    raised = [event.why for event in events if is_raised_by_sound(event.before, event.after)]
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
        reason=raised[-1] if raised else events[0].why,
    )
