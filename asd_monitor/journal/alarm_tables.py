"""Alarms and transitions as rows of the tables `alarms` and `events`."""

from __future__ import annotations

import sqlite3
from dataclasses import asdict, replace
from datetime import datetime
from typing import Any

from asd_monitor.alarm.state import AlarmCondition, TransitionKind
from asd_monitor.journal.alarm_records import AlarmRecord, Event
from asd_monitor.wording import rfc3339

Entry = tuple[str, dict[str, Any]]
"""A statement and its values."""

TABLES = """
CREATE TABLE alarms (
    id TEXT PRIMARY KEY,
    machine TEXT NOT NULL,
    severity TEXT NOT NULL,
    condition TEXT NOT NULL,
    raised TEXT NOT NULL,
    cleared TEXT,
    acknowledged_at TEXT,
    who TEXT,
    why TEXT,
    peak_score REAL NOT NULL,
    model TEXT,
    evidence TEXT,
    taken_up INTEGER NOT NULL DEFAULT 0  -- whether the daemon has applied the acknowledgement
);
CREATE INDEX alarms_of_machine ON alarms (machine, raised);
CREATE TABLE events (
    number INTEGER PRIMARY KEY,
    id TEXT UNIQUE NOT NULL,
    machine TEXT NOT NULL,
    time TEXT NOT NULL,
    kind TEXT NOT NULL,
    "from" TEXT NOT NULL,
    "to" TEXT NOT NULL,
    who TEXT,
    why TEXT NOT NULL,
    alarm_id TEXT
);
CREATE INDEX events_of_alarm ON events (alarm_id);
"""
_WRITE_ALARM = """
INSERT INTO alarms VALUES (:id, :machine, :severity, :condition, :raised, :cleared,
    :acknowledged_at, :who, :why, :peak_score, :model, :evidence, :taken_up)
ON CONFLICT (id) DO UPDATE SET
    condition = excluded.condition,
    cleared = excluded.cleared,
    peak_score = excluded.peak_score,
    acknowledged_at = coalesce(acknowledged_at, excluded.acknowledged_at),
    who = coalesce(who, excluded.who),
    why = coalesce(why, excluded.why),
    taken_up = max(taken_up, excluded.taken_up)
"""
_WRITE_EVENT = """
INSERT OR IGNORE INTO events (id, machine, time, kind, "from", "to", who, why, alarm_id)
VALUES (:id, :machine, :time, :kind, :before, :after, :who, :why, :alarm_id)
"""


def alarm_entry(alarm: AlarmRecord, *, applied: bool) -> Entry:
    """Return the statement that writes an alarm.

    An acknowledgement that is in the table stays.  ``applied`` is whether the daemon has applied
    that of this record.
    """
    values = asdict(alarm) | {"condition": str(alarm.condition), "taken_up": int(applied)}
    for key in ("raised", "cleared", "acknowledged_at"):
        values[key] = None if values[key] is None else rfc3339(values[key])
    return _WRITE_ALARM, values


def event_entry(event: Event) -> Entry:
    """Return the statement that writes a transition."""
    values = asdict(replace(event, alarm=None))
    return _WRITE_EVENT, values | {"time": rfc3339(event.time), "kind": str(event.kind)}


def read_alarm(row: sqlite3.Row) -> AlarmRecord:
    """Return the alarm of a row of `alarms`."""

    def time(key: str) -> datetime | None:
        return None if row[key] is None else datetime.fromisoformat(row[key])

    return AlarmRecord(
        id=row["id"],
        machine=row["machine"],
        severity=row["severity"],
        condition=AlarmCondition(row["condition"]),
        raised=datetime.fromisoformat(row["raised"]),
        cleared=time("cleared"),
        acknowledged_at=time("acknowledged_at"),
        who=row["who"],
        why=row["why"],
        peak_score=row["peak_score"],
        model=row["model"],
        evidence=row["evidence"],
    )


def read_event(row: sqlite3.Row) -> Event:
    """Return the transition of a row of `events`."""
    return Event(
        id=row["id"],
        machine=row["machine"],
        time=datetime.fromisoformat(row["time"]),
        kind=TransitionKind(row["kind"]),
        before=row["from"],
        after=row["to"],
        who=row["who"],
        why=row["why"],
        alarm_id=row["alarm_id"],
    )
