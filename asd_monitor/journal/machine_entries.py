"""Machines as rows of the journal: since when monitored, newest event, whether in service."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from datetime import datetime

from asd_monitor.journal.alarm_tables import find_row, next_number, replace_row, set_row_aside
from asd_monitor.journal.checksums import is_intact
from asd_monitor.journal.earlier_formats import Row
from asd_monitor.journal.row_values import count, optional_time, text, time_text


@dataclass(frozen=True, slots=True)
class OutOfService:
    """Since when a machine is out of service, who has taken it out, and why."""

    since: datetime
    who: str
    why: str


@dataclass(frozen=True, slots=True)
class MachineEntry:
    """The id of a machine that is monitored, and a number that none of its events exceeds.

    See `asd_monitor.journal.event_numbers`.
    """

    machine: str
    seq: int = 0
    out_of_service: OutOfService | None = None
    """As it was read; written to a new row only, a `ServiceEntry` changes it."""
    monitored_since: datetime | None = None  # None: not known

    def write(self, database: sqlite3.Connection) -> None:
        """Insert or update the row, whose number only rises here; a time that is known stays.

        Raises sqlite3.Error, and what `REFUSALS` lists.
        """
        found = find_row(database, "machines", self.machine)
        earlier = None if found is None else as_machine(found)
        if found is not None and earlier is None:
            set_row_aside(database, "machines", found)
        if found is None or earlier is None:
            seq = max(self.seq, highest_seq(database, self.machine))
            number = next_number(database, "machines")
            since = time_text(self.monitored_since)
            row = (number, self.machine, seq, *_columns(self.out_of_service), since)
            replace_row(database, "machines", row)
            return
        seq = max(self.seq, earlier.seq)
        first = earlier.monitored_since or self.monitored_since
        if (seq, first) != (earlier.seq, earlier.monitored_since):
            row = (*found[:2], seq, *found[3:6], time_text(first))
            replace_row(database, "machines", row)


@dataclass(frozen=True, slots=True)
class SinceEntry:
    """Since when a machine is monitored, by a clock that was set after it was noted."""

    machine: str
    monitored_since: datetime

    def write(self, database: sqlite3.Connection) -> None:
        """Update the row of the machine.  Raises sqlite3.Error, and what `REFUSALS` lists."""
        MachineEntry(self.machine).write(database)
        found = find_row(database, "machines", self.machine)
        if found is not None:
            replace_row(database, "machines", (*found[:6], time_text(self.monitored_since)))


@dataclass(frozen=True, slots=True)
class ServiceEntry:
    """That a machine is out of service, or in service (None)."""

    machine: str
    out_of_service: OutOfService | None

    def write(self, database: sqlite3.Connection) -> None:
        """Update the row of the machine.  Raises sqlite3.Error, and what `REFUSALS` lists."""
        MachineEntry(self.machine).write(database)
        found = find_row(database, "machines", self.machine)
        if found is not None:
            service = _columns(self.out_of_service)
            replace_row(database, "machines", (*found[:3], *service, found[6]))


def _columns(out_of_service: OutOfService | None) -> Row:
    if out_of_service is None:
        return (None, None, None)
    return (time_text(out_of_service.since), out_of_service.who, out_of_service.why)


def with_seq(row: Row, seq: int) -> Row:
    """Return the values of a row of `machines` with another number, without its checksum."""
    return (*row[:2], seq, *row[3:-1])


def as_machine(row: Row) -> MachineEntry | None:
    """Return the machine of a row of `machines`; None where the row is not intact."""
    if not is_intact("machines", row):
        return None
    try:
        _, id_, seq, out_since, who, why, since, _ = row
        begun = optional_time(out_since)
        out_of_service = None if begun is None else OutOfService(begun, text(who), text(why))
        return MachineEntry(text(id_), count(seq), out_of_service, optional_time(since))
    except (TypeError, ValueError):
        return None


def earliest(one: datetime | None, other: datetime | None) -> datetime | None:
    """Return the earlier of two times, of which None is not known."""
    return min((each for each in (one, other) if each is not None), default=None)


def highest_seq(database: sqlite3.Connection, machine: str) -> int:
    """Return the number of a machine's newest event, where its own row does not have it."""
    newest = 0
    for table in ("events", "outbox"):
        statement = f"SELECT max(seq) FROM {table} WHERE machine = ?"  # noqa: S608
        (found,) = database.execute(statement, (machine,)).fetchone()
        newest = max(newest, found if isinstance(found, int) else 0)
    return newest
