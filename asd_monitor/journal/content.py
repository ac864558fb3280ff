"""The content of a journal at one moment, read without a lock.

Rows are read when they are asked for, so that a command reads those that it prints.
"""

from __future__ import annotations

import contextlib
import difflib
import shlex
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import TypeVar

from asd_monitor.alarm.chatter import CHATTER_S, is_raise
from asd_monitor.alarm.figures import AlarmFigures
from asd_monitor.alarm.state import AlarmCondition, TransitionKind
from asd_monitor.errors import UsageError
from asd_monitor.journal.alarm_entries import as_alarm, as_event
from asd_monitor.journal.alarm_records import AlarmRecord, Event
from asd_monitor.journal.alarm_tables import find_row, readable_rows, rows_of
from asd_monitor.journal.checksums import Value
from asd_monitor.journal.disk_notices import disk_notices
from asd_monitor.journal.earlier_formats import Row
from asd_monitor.journal.file_image import OpenedImage
from asd_monitor.journal.machine_entries import OutOfService, as_machine
from asd_monitor.journal.normal_spans import TABLE, as_normal_span
from asd_monitor.journal.recent_changes import (
    FIRST_NUMBER,
    change_of,
    figures_of,
    period_begin,
)
from asd_monitor.journal.sqlite_errors import DAMAGED
from asd_monitor.names import unknown_machine
from asd_monitor.wording import count, quoted, rfc3339

E = TypeVar("E")


class JournalContent:
    """The content of a journal at one moment; rows are read when they are asked for.

    Args:
        path: Of its file.
        image: The journal in memory.

    """

    def __init__(self, path: Path, image: OpenedImage) -> None:
        self.path = path
        self._database = image.database
        self._damage_of_file = image.damage
        self._damaged_rows: dict[str, set[Value]] = {}  # the numbers of those that were read
        machines = list(self._read("machines", as_machine))
        self.out_of_service: dict[str, OutOfService] = {
            each.machine: each.out_of_service for each in machines if each.out_of_service
        }
        """The machines that are out of service."""
        self._monitored_since = {
            each.machine: each.monitored_since for each in machines if each.monitored_since
        }
        self._registered = {each.machine for each in machines}
        self.normal_spans = list(self._read(TABLE, as_normal_span))
        """What people have marked as normal, the oldest mark first."""

    @cached_property
    def alarms(self) -> list[AlarmRecord]:
        """All alarms, the newest first."""
        return self.newest_alarms()

    @cached_property
    def machines(self) -> list[str]:
        """Ids of the machines that are or were monitored."""
        return sorted(self._registered | {alarm.machine for alarm in self.alarms})

    @property
    def damage(self) -> str | None:
        """What is wrong with the journal, all its alarms, and the remedy; None: nothing was found.

        Of the transitions, those that were read.
        """
        _ = self.alarms  # the damaged ones are noted
        return self._damage_so_far

    def newest_alarms(
        self, machine: str | None = None, *, limit: int | None = None, with_closed: bool = True
    ) -> list[AlarmRecord]:
        """Return the newest alarms, the newest first; damaged ones among them are left out.

        Args:
            machine: Of this machine alone.
            limit: So many at most.
            with_closed: Also those that are closed.

        """
        where, values = _selection(machine, with_closed=with_closed)
        if limit is None or self._damage_of_file is not None:
            return list(self._read("alarms", as_alarm, where, values))[::-1][:limit]
        newest = f"{where} ORDER BY number DESC LIMIT ?"
        rows = rows_of(self._database, "alarms", newest, (*values, limit))
        return list(self._intact("alarms", as_alarm, rows))

    def count_alarms(self, machine: str | None = None, *, with_closed: bool = True) -> int:
        """Return the number of alarms as in `newest_alarms`, damaged ones included."""
        where, values = _selection(machine, with_closed=with_closed)
        return sum(1 for _ in readable_rows(self._database, "alarms", where, values))

    def alarm(self, alarm_id: str) -> AlarmRecord:
        """Return one alarm.  Raises `UsageError` for an unknown id."""
        if self._damage_of_file is None:  # its indexes are in order
            row = find_row(self._database, "alarms", alarm_id)
            found = self._intact("alarms", as_alarm, () if row is None else (row,))
        else:
            found = iter(each for each in self.alarms if each.id == alarm_id)
        if (record := next(found, None)) is not None:
            return record
        state = self.path.parent
        listing = f"asd-monitor alarms list --state {shlex.quote(str(state))}"
        close = difflib.get_close_matches(alarm_id, [alarm.id for alarm in self.alarms], n=1)
        if alarm_id in self.machines:
            remedy = f"it is a machine: see its alarms by `{listing} --machine {alarm_id}`"
        elif close:
            remedy = f"did you mean {close[0]}?"
        else:
            remedy = f"see `{listing} --all`"
        raise UsageError(f"no alarm {quoted(alarm_id)} in {state}: {remedy}")

    def events(self, alarm_id: str) -> list[Event]:
        """Return the transitions of an alarm, the oldest first."""
        return list(self._read("events", as_event, "WHERE alarm_id = ?", (alarm_id,)))

    def all_events(self) -> list[Event]:
        """Return the transitions of all machines, the oldest first."""
        return list(self._read("events", as_event))

    def raised(self, now: datetime) -> dict[str, list[datetime]]:
        """Return by machine when alarms were raised in the time in which they can chatter now."""
        values = (
            TransitionKind.ALARM,
            AlarmCondition.UNACKNOWLEDGED,
            *(rfc3339(now + sign * timedelta(seconds=CHATTER_S)) for sign in (-1, 1)),
        )
        where = 'WHERE kind = ? AND "to" = ? AND time BETWEEN ? AND ?'
        found: dict[str, list[datetime]] = {}
        for event in self._read("events", as_event, where, values):
            if is_raise(event.before, event.after):
                found.setdefault(event.machine, []).append(event.time)
        return found

    def figures(self, machine: str | None, *, days: float, now: datetime) -> AlarmFigures:
        """Return the figures of the alarms of the last days, of one machine where it is given.

        They begin when the monitoring did where that is later.
        """
        where, values = _selection(machine)
        first_event = self._read("events", as_event, where, values)
        begun = [
            *(since for each, since in self._monitored_since.items() if machine in (None, each)),
            *(event.time for event in islice(first_event, 1)),
            *self._first_raised(machine),
        ]
        oldest = next(readable_rows(self._database, "events"), None)
        is_complete = oldest is None or oldest[0] == FIRST_NUMBER
        known = None if is_complete else next(self._read("events", as_event), None)
        changes = map(change_of, self._changes_since(now - timedelta(days=days)))
        return figures_of(
            [each for each in changes if each is not None and machine in (None, each.machine)],
            self.newest_alarms(machine, with_closed=False),
            out_of_service=sum(machine in (None, each) for each in self.out_of_service),
            begin=period_begin(
                begun, complete=None if known is None else known.time, now=now, days=days
            ),
            end=now,
        )

    def _first_raised(self, machine: str | None) -> list[datetime]:
        """Return when the first alarm was raised; of a damaged file, when all were."""
        if self._damage_of_file is not None:
            return [each.raised for each in self.newest_alarms(machine)]
        where, values = _selection(machine)
        rows = rows_of(self._database, "alarms", f"{where} ORDER BY raised", values)
        return [each.raised for each in islice(self._intact("alarms", as_alarm, rows), 1)]

    def _changes_since(self, begin: datetime) -> Iterator[Event]:
        """Return the changes of alarms that are open, or have changed since a time, at least."""
        if self._damage_of_file is not None:
            return self._read("events", as_event)
        since = rfc3339(begin)
        where = (
            "WHERE kind = ? AND (time >= ?"
            " OR alarm_id IN (SELECT alarm_id FROM events WHERE time >= ?)"
            " OR alarm_id IN (SELECT id FROM alarms WHERE condition != ?))"
        )
        values = (TransitionKind.ALARM, since, since, AlarmCondition.NORMAL)
        return self._read("events", as_event, where, values)

    def check_machine(self, machine: str) -> None:
        """Raise `UsageError` for a machine that was never monitored with this state folder."""
        if machine not in self._registered and machine not in self.machines:
            raise unknown_machine(machine, self.machines, self.path.parent)

    @property
    def warnings(self) -> list[str]:
        """Why alarms may be missing in what was read, one sentence each."""
        damage = self._damage_so_far
        notices = [] if damage is None else [damage]
        notices += disk_notices(self.path.parent)
        with contextlib.suppress(sqlite3.Error):  # an earlier format has no such table
            kept, rows = self._database.execute(
                "SELECT count(*), max(number) FROM damaged_rows"
            ).fetchone()
            if kept:
                newest = "" if kept == rows else f", the newest {kept} of them"
                notices.append(
                    f"{self.path}: {count(rows, 'damaged row')} set aside by the daemon{newest}, in"
                    " the table damaged_rows: alarms may be missing or incomplete"
                )
        return notices

    @property
    def _damage_so_far(self) -> str | None:
        damaged = {table: len(rows) for table, rows in self._damaged_rows.items()}
        events = damaged.pop("events", 0)
        lost = count(sum(damaged.values()), "row") if damaged else count(events, "transition")
        damage = self._damage_of_file
        if damage is None and not damaged and not events:
            return None
        damage = damage or f"{lost} cannot be read"
        return f"{self.path}: damaged, alarms may be missing here ({damage}): {DAMAGED}"

    def _read(
        self,
        table: str,
        as_entry: Callable[[Row], E | None],
        where: str = "",
        values: Row = (),
    ) -> Iterator[E]:
        """Return the intact rows of a table, and note the damaged ones."""
        rows = readable_rows(self._database, table, where, values)
        return self._intact(table, as_entry, rows)

    def _intact(
        self, table: str, as_entry: Callable[[Row], E | None], rows: Iterable[Row]
    ) -> Iterator[E]:
        for row in rows:
            if (entry := as_entry(row)) is not None:
                yield entry
            else:
                self._damaged_rows.setdefault(table, set()).add(row[0])


def _selection(machine: str | None, *, with_closed: bool = True) -> tuple[str, Row]:
    """Return a clause that selects rows, with its values.

    A condition that is damaged is not the word of closed alarms, so that its row is selected.
    """
    selected: dict[str, str] = {} if machine is None else {"machine = ?": machine}
    if not with_closed:
        selected["condition != ?"] = AlarmCondition.NORMAL
    return f"WHERE {' AND '.join(selected)}" if selected else "", tuple(selected.values())
