"""The journal of a state folder as SQLite reads it, of any version of the program.

A copy is read, so that nothing of the folder changes.
"""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import tempfile
from dataclasses import dataclass
from pathlib import Path

ACTIVE = frozenset({"unacknowledged", "acknowledged", "latched", "shelved", "out_of_service"})


@dataclass(frozen=True, slots=True)
class JournalEvent:
    """A transition."""

    id: str
    machine: str
    time: str
    before: str
    after: str
    alarm_id: str | None
    seq: int | None


@dataclass(frozen=True, slots=True)
class JournalAlarm:
    """An alarm."""

    id: str
    machine: str
    condition: str
    acknowledged: bool
    """Whether it is, or was before its sound got worse."""

    @property
    def active(self) -> bool:
        """Whether it is active."""
        return self.condition in ACTIVE


@dataclass(frozen=True, slots=True)
class JournalContent:
    """What the journal has, in the order in which it was written."""

    events: tuple[JournalEvent, ...] = ()
    alarms: tuple[JournalAlarm, ...] = ()
    set_aside: frozenset[str] = frozenset()
    """Ids of the events that a broker does not accept."""

    def newest_alarm(self, machine: str) -> JournalAlarm | None:
        """Return the newest alarm of a machine."""
        return next((a for a in reversed(self.alarms) if a.machine == machine), None)


def read_content(state: Path) -> JournalContent:
    """Return the content of the journal in a state folder; nothing where there is none.

    Raises sqlite3.Error.
    """
    if not (state / "alarms.db").exists():
        return JournalContent()
    with tempfile.TemporaryDirectory(prefix="chaos-") as text:
        copy = Path(text)
        for name in ("alarms.db", "alarms.db-wal"):
            with contextlib.suppress(FileNotFoundError):
                shutil.copyfile(state / name, copy / name)
        with contextlib.closing(sqlite3.connect(copy / "alarms.db")) as database:
            return _read(database)


def read_while_written(state: Path) -> JournalContent | None:
    """Return the content of a journal that a daemon writes; None where the copy is not intact."""
    try:
        return read_content(state)
    except sqlite3.Error:
        return None


def _read(database: sqlite3.Connection) -> JournalContent:
    database.row_factory = sqlite3.Row
    if not database.execute("SELECT 1 FROM sqlite_master WHERE name = 'events'").fetchone():
        return JournalContent()
    events = [
        JournalEvent(
            row["id"],
            row["machine"],
            row["time"],
            row["from"],
            row["to"],
            row["alarm_id"],
            row["seq"] if "seq" in row.keys() else None,  # noqa: SIM118 - `in row` tests values
        )
        for row in database.execute("SELECT * FROM events ORDER BY rowid")
    ]
    seen = {event.alarm_id for event in events if event.after == "acknowledged"}
    alarms = [
        JournalAlarm(
            row["id"],
            row["machine"],
            row["condition"],
            bool(row["acknowledged_at"]) or row["id"] in seen,
        )
        for row in database.execute("SELECT * FROM alarms ORDER BY rowid")
    ]
    set_aside = set()
    if database.execute("SELECT 1 FROM sqlite_master WHERE name = 'outbox'").fetchone():
        rows = database.execute("SELECT id FROM outbox WHERE refusal IS NOT NULL")
        set_aside = {row["id"] for row in rows}
    return JournalContent(tuple(events), tuple(alarms), frozenset(set_aside))
