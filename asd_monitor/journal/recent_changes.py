"""The newest changes of alarms, in memory, for the figures of the alarms and for chatter.

So the status of the box can have these each minute without reading the journal.
"""

from __future__ import annotations

import sqlite3
import threading
from collections import deque
from collections.abc import Iterable
from datetime import datetime, timedelta

from asd_monitor.alarm.chatter import CHATTER_RAISES, is_chattering, is_raise
from asd_monitor.alarm.figures import AlarmChange, AlarmFigures, OpenAlarm, alarm_figures
from asd_monitor.alarm.state import NEW_ALARM, AlarmCondition, TransitionKind
from asd_monitor.journal.alarm_entries import as_event
from asd_monitor.journal.alarm_records import AlarmRecord, Event
from asd_monitor.journal.alarm_tables import rows_of

MAX_CHANGES = 10_000
"""Changes that are kept; with more in the period, it begins with the oldest of them."""
PERIOD_DAYS = 30.0
"""The figures of ISA-18.2 are of at least 30 days."""
FIRST_NUMBER = 1
"""Of the first event of a journal: one that begins with another has deleted the oldest."""
_OF_ALARMS = "WHERE kind = ? ORDER BY number DESC LIMIT ?"


class RecentChanges:
    """The newest changes of alarms.

    Args:
        lock: Of what is in memory.

    """

    def __init__(self, lock: threading.RLock) -> None:
        self._lock = lock
        self._changes: deque[AlarmChange] = deque(maxlen=MAX_CHANGES)
        self._raised: dict[str, deque[datetime]] = {}  # by machine, as many as chatter needs
        self._is_read = False
        self._oldest: Event | None = None  # of the file, of any kind
        self._is_complete = True  # no event that the file had was deleted

    def note(self, event: Event) -> None:
        """Note an event, if it is of an alarm."""
        if (change := change_of(event)) is not None:
            with self._lock:
                self._append(change)

    def read(self, database: sqlite3.Connection) -> None:
        """Note those of a file before what is known, once.  Raises sqlite3.Error."""
        if self._is_read:
            return
        values = (str(TransitionKind.ALARM), MAX_CHANGES)
        found = [
            change
            for row in rows_of(database, "events", _OF_ALARMS, values)
            if (event := as_event(row)) is not None and (change := change_of(event)) is not None
        ]
        oldest = next(rows_of(database, "events", "ORDER BY number LIMIT 1"), None)
        with self._lock:
            known = list(self._changes)
            self._changes.clear()
            self._raised.clear()
            for change in [*reversed(found), *known]:
                self._append(change)
            if oldest is not None:
                self._oldest, self._is_complete = as_event(oldest), oldest[0] == FIRST_NUMBER
        self._is_read = True

    def _append(self, change: AlarmChange) -> None:
        self._changes.append(change)
        if is_raise(change.before, change.after):
            newest = self._raised.setdefault(change.machine, deque(maxlen=CHATTER_RAISES))
            newest.append(change.time)

    def is_chattering(self, machine: str, now: datetime) -> bool:
        """Return whether the alarms of a machine chatter now."""
        with self._lock:
            return is_chattering(self._raised.get(machine, ()), now)

    def unacknowledged_again(self, alarm_id: str) -> datetime | None:
        """Return when an alarm that was known became unacknowledged again; None: it did not."""
        with self._lock:
            for change in reversed(self._changes):
                is_of_it = change.alarm_id == alarm_id and change.before not in NEW_ALARM
                if is_of_it and change.after == AlarmCondition.UNACKNOWLEDGED:
                    return change.time
        return None

    def figures(
        self,
        records: Iterable[AlarmRecord],
        *,
        out_of_service: int,
        begun: datetime,
        now: datetime,
    ) -> AlarmFigures:
        """Return the figures of the last 30 days, or since the monitoring has begun.

        ``begun`` is the earliest time of that which is known besides the events.
        """
        with self._lock:
            changes = list(self._changes)
            oldest, is_complete = self._oldest, self._is_complete
        complete = None
        if len(changes) == MAX_CHANGES:
            complete = changes[0].time
        elif oldest is not None and not is_complete:
            complete = oldest.time
        times = [begun] if oldest is None else [begun, oldest.time]
        begin = period_begin(times, complete=complete, now=now)
        return figures_of(changes, records, out_of_service=out_of_service, begin=begin, end=now)


def change_of(event: Event) -> AlarmChange | None:
    """Return an event as a change of an alarm; None where it is not one."""
    if event.kind is not TransitionKind.ALARM or event.alarm_id is None:
        return None
    return AlarmChange(event.time, event.machine, event.alarm_id, event.before, event.after)


def period_begin(
    begun: Iterable[datetime],
    *,
    complete: datetime | None,
    now: datetime,
    days: float = PERIOD_DAYS,
) -> datetime:
    """Return when the period of the figures begins.

    Args:
        begun: Times by which the monitoring had begun: without an alarm it has lasted as well.
        complete: The changes are known from this time on; None: all are.
        now: The present time, at which the period ends.
        days: Its longest length.

    """
    begin = max(min([now, *begun]), now - timedelta(days=days))
    return begin if complete is None else min(now, max(begin, complete))


def figures_of(
    changes: Iterable[AlarmChange],
    records: Iterable[AlarmRecord],
    *,
    out_of_service: int,
    begin: datetime,
    end: datetime,
) -> AlarmFigures:
    """Return the figures of a period that ends now, from alarms and their changes."""
    open_alarms = [
        OpenAlarm(
            each.machine, each.raised, shelved=each.shelved, out_of_service=each.out_of_service
        )
        for each in records
        if each.active or each.shelved
    ]
    return alarm_figures(changes, open_alarms, out_of_service=out_of_service, begin=begin, end=end)
