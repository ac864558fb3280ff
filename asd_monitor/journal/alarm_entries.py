"""Alarms and transitions as rows of the journal's tables, written and read."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from asd_monitor.alarm.state import AlarmCondition, TransitionKind
from asd_monitor.journal.alarm_records import AlarmRecord, Event
from asd_monitor.journal.alarm_tables import find_row, next_number, replace_row, set_row_aside
from asd_monitor.journal.checksums import Value, is_intact
from asd_monitor.journal.earlier_formats import Row
from asd_monitor.journal.machine_entries import (
    MachineEntry,
    ServiceEntry,
    SinceEntry,
    as_machine,
    highest_seq,
)
from asd_monitor.journal.normal_spans import (
    NormalSpanEntry,
    WithdrawnSpanEntry,
    as_normal_span,
)
from asd_monitor.journal.requests import OutcomeEntry, as_request
from asd_monitor.journal.row_values import (
    count,
    finite,
    json_object,
    json_text,
    optional_bool,
    optional_text,
    optional_time,
    score,
    text,
    time_of,
    time_text,
)
from asd_monitor.journal.running_clock import RunningClock
from asd_monitor.wording import rfc3339


@dataclass(frozen=True, slots=True)
class OutboxRow:
    """An event in the outbox."""

    number: int
    event: Event
    clock_s: float  # by `RunningClock`, when it was recorded
    refusal: str | None  # why the broker does not accept it; None: it waits


@dataclass(frozen=True, slots=True)
class AlarmEntry:
    """An alarm to be written."""

    record: AlarmRecord

    def write(self, database: sqlite3.Connection) -> None:
        """Insert or update the row; raises sqlite3.Error, and what `REFUSALS` lists."""
        found = find_row(database, "alarms", self.record.id)
        if found is not None and as_alarm(found) is None:
            set_row_aside(database, "alarms", found)
            found = None
        number = next_number(database, "alarms") if found is None else int(found[0] or 0)
        replace_row(database, "alarms", alarm_row(number, self.record))


@dataclass(frozen=True, slots=True)
class EventEntry:
    """A transition to be written and to be published; one that is in the table stays.

    It gets the next number of its machine's events.
    """

    event: Event
    recorded_s: float  # by the clock of `RunningClock`
    clock: RunningClock

    def write(self, database: sqlite3.Connection) -> None:
        """Insert the rows; raises sqlite3.Error, and what `REFUSALS` lists."""
        event = self.event
        if find_row(database, "events", event.id) is not None:
            return
        seq = _count_event(database, event.machine)
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
            seq,
        )
        replace_row(database, "events", values)
        waiting = outbox_row(
            next_number(database, "outbox"), event, seq, clock_s=self.clock.at(self.recorded_s)
        )
        replace_row(database, "outbox", waiting)


def _count_event(database: sqlite3.Connection, machine: str) -> int:
    """Return the number of the machine's next event; the rollback of a transaction undoes it."""
    found = database.execute(
        "SELECT seq FROM temp.newest_numbers WHERE machine = ?", (machine,)
    ).fetchone()
    seq: int = 1 + (highest_seq(database, machine) if found is None else found[0])
    database.execute("INSERT OR REPLACE INTO temp.newest_numbers VALUES (?, ?)", (machine, seq))
    return seq


Entry = (
    AlarmEntry
    | EventEntry
    | MachineEntry
    | ServiceEntry
    | SinceEntry
    | OutcomeEntry
    | NormalSpanEntry
    | WithdrawnSpanEntry
)


def alarm_row(number: int, record: AlarmRecord) -> Row:
    """Return the row of an alarm, without its checksum."""
    return (
        number,
        record.id,
        record.machine,
        record.severity,
        str(record.condition),
        rfc3339(record.raised),
        time_text(record.cleared),
        time_text(record.acknowledged_at),
        record.who,
        record.why,
        finite(record.peak_score),
        record.model,
        record.evidence,
        1,  # applied
        record.time_scale_s,
        time_text(record.shelved_until),
        record.reason,
        _numbers_text(record.views) if record.views else None,
        None if record.provisional is None else int(record.provisional),
        record.label,
        record.label_why,
        record.labelled_by,
        _peaks_text(record.scale_peaks),
        record.shortest_scale_s,
    )


def _numbers_text(values: Mapping[str, float]) -> str:
    return json_text(
        {name: number for name, value in values.items() if (number := finite(value)) is not None}
    )


def _peaks_text(peaks: Mapping[float, float] | None) -> str | None:
    if peaks is None:
        return None
    return _numbers_text({f"{scale_s:g}": peak for scale_s, peak in peaks.items()})


def as_alarm(row: Row) -> AlarmRecord | None:
    """Return the alarm of a row; None where the row is not intact."""
    if not is_intact("alarms", row):
        return None
    try:
        _, id_, machine, severity, condition, raised, cleared, acknowledged_at, *rest = row
        who, why, peak, model, evidence, _, time_scale_s, *life = rest
        shelved_until, reason, views, provisional, label, label_why, labelled_by, *scales = life
        scale_peaks, shortest_scale_s, _ = scales
        return AlarmRecord(
            id=text(id_),
            machine=text(machine),
            severity=text(severity),
            condition=AlarmCondition(text(condition)),
            raised=time_of(raised),
            cleared=optional_time(cleared),
            acknowledged_at=optional_time(acknowledged_at),
            who=optional_text(who),
            why=optional_text(why),
            peak_score=score(peak),
            model=optional_text(model),
            evidence=optional_text(evidence),
            time_scale_s=score(time_scale_s),
            shelved_until=optional_time(shelved_until),
            reason=optional_text(reason),
            views={} if views is None else _numbers(views),
            provisional=optional_bool(provisional),
            label=optional_text(label),
            label_why=optional_text(label_why),
            labelled_by=optional_text(labelled_by),
            scale_peaks=None if scale_peaks is None else _peaks(scale_peaks),
            shortest_scale_s=score(shortest_scale_s),
        )
    except (TypeError, ValueError):
        return None


def _numbers(value: Value) -> dict[str, float]:
    found = json_object(value)
    return {name: float(each) for name, each in found.items() if isinstance(each, (int, float))}


def _peaks(value: Value) -> dict[float, float]:
    return {float(scale_s): peak for scale_s, peak in _numbers(value).items()}


def as_event(row: Row) -> Event | None:
    """Return the transition of a row; None where the row is not intact."""
    if not is_intact("events", row):
        return None
    try:
        _, id_, machine, *common, seq, _ = row
        return _event(id_, machine, None if seq is None else count(seq), common)
    except (TypeError, ValueError):
        return None


def _event(id_: Value, machine: Value, seq: int | None, common: Sequence[Value]) -> Event:
    """Return the event of columns that both tables of events have; raises as those of a column."""
    time, kind, before, after, who, why, alarm_id = common
    return Event(
        id=text(id_),
        machine=text(machine),
        time=time_of(time),
        kind=TransitionKind(text(kind)),
        before=text(before),
        after=text(after),
        who=optional_text(who),
        why=text(why),
        alarm_id=optional_text(alarm_id),
        seq=seq,
    )


def outbox_row(
    number: int, event: Event, seq: int, *, clock_s: float, refusal: str | None = None
) -> Row:
    """Return the row of an event that is to be published, without its checksum."""
    return (
        number,
        event.id,
        event.machine,
        seq,
        rfc3339(event.time),
        str(event.kind),
        event.before,
        event.after,
        event.who,
        event.why,
        event.alarm_id,
        finite(event.alarm_score),
        finite(event.time_scale_s),
        clock_s,
        refusal,
    )


def as_waiting(row: Row) -> OutboxRow | None:
    """Return the event of a row of `outbox`; None where the row is not intact."""
    if not is_intact("outbox", row):
        return None
    try:
        number, id_, machine, seq, *common, alarm_score, time_scale_s, clock_s, refusal, _ = row
        event = replace(
            _event(id_, machine, count(seq), common),
            alarm_score=score(alarm_score),
            time_scale_s=score(time_scale_s),
        )
        return OutboxRow(count(number), event, score(clock_s) or 0.0, optional_text(refusal))
    except (TypeError, ValueError):
        return None


READERS = {
    "machines": as_machine,
    "alarms": as_alarm,
    "events": as_event,
    "outbox": as_waiting,
    "requests": as_request,
    "normal_spans": as_normal_span,
}
"""The function that reads a row of each table."""
