"""What the journal keeps, and its form in the tables."""

from __future__ import annotations

import sqlite3
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from asd_monitor.alarm.state import ACTIVE, Condition, TransitionKind

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
    taken_up INTEGER NOT NULL DEFAULT 0  -- whether the daemon knows of the acknowledgement
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


@dataclass(frozen=True, slots=True)
class AlarmRecord:
    """One alarm as the journal has it; times are aware, in UTC."""

    id: str
    machine: str
    severity: str
    condition: Condition
    raised: datetime
    cleared: datetime | None
    acknowledged_at: datetime | None
    who: str | None
    why: str | None
    peak_score: float
    model: str | None
    evidence: str | None = None

    @property
    def active(self) -> bool:
        """Whether the alarm stands."""
        return self.condition in ACTIVE

    @property
    def acknowledged(self) -> bool:
        """Whether somebody has seen it, even if no daemon took that up yet."""
        return self.acknowledged_at is not None

    @property
    def latched(self) -> bool:
        """Whether only the latch holds it."""
        return self.condition is Condition.LATCHED


@dataclass(frozen=True, slots=True)
class Event:
    """One transition; ``before`` and ``after`` are values of the enum of its kind."""

    id: str
    machine: str
    time: datetime
    kind: TransitionKind
    before: str
    after: str
    who: str | None
    why: str
    alarm_id: str | None
    alarm: AlarmRecord | None = field(default=None, compare=False)  # after it; not when read back


def stamp(time: datetime) -> str:
    """Write a time for an id: `20261123T044500.512Z`."""
    return f"{time.astimezone(UTC):%Y%m%dT%H%M%S}.{time.microsecond // 1000:03}Z"


def text_of(time: datetime | None) -> str | None:
    """Write a time as RFC 3339 in UTC with milliseconds."""
    if time is None:
        return None
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def alarm_entry(alarm: AlarmRecord, *, taken_up: bool) -> Entry:
    """Return what writes an alarm; a signature that stands there already stays."""
    values = asdict(alarm) | {"condition": str(alarm.condition), "taken_up": int(taken_up)}
    for key in ("raised", "cleared", "acknowledged_at"):
        values[key] = text_of(values[key])
    return _WRITE_ALARM, values


def event_entry(event: Event) -> Entry:
    """Return what writes an event."""
    values = asdict(replace(event, alarm=None))
    return _WRITE_EVENT, values | {"time": text_of(event.time), "kind": str(event.kind)}


def alarm_of(row: sqlite3.Row) -> AlarmRecord:
    """Read a row of the table `alarms`."""

    def time(key: str) -> datetime | None:
        return None if row[key] is None else datetime.fromisoformat(row[key])

    return AlarmRecord(
        id=row["id"],
        machine=row["machine"],
        severity=row["severity"],
        condition=Condition(row["condition"]),
        raised=datetime.fromisoformat(row["raised"]),
        cleared=time("cleared"),
        acknowledged_at=time("acknowledged_at"),
        who=row["who"],
        why=row["why"],
        peak_score=row["peak_score"],
        model=row["model"],
        evidence=row["evidence"],
    )


def event_of(row: sqlite3.Row) -> Event:
    """Read a row of the table `events`."""
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
