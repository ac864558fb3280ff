"""The newest changes of alarms, in memory, for the figures of the alarms.

So the status of the box can have these each minute without reading the journal.
"""

from __future__ import annotations

import sqlite3
import threading
from collections import deque
from collections.abc import Iterable
from datetime import datetime, timedelta

from asd_monitor.alarm.figures import AlarmChange, AlarmFigures, OpenAlarm, alarm_figures
from asd_monitor.alarm.state import NEW_ALARM, AlarmCondition, TransitionKind
from asd_monitor.journal.alarm_entries import as_event
from asd_monitor.journal.alarm_records import AlarmRecord, Event
from asd_monitor.journal.alarm_tables import rows_of

MAX_CHANGES = 10_000
"""Changes that are kept; with more in the period, it begins with the oldest of them."""
PERIOD_DAYS = 30.0
"""The figures of ISA-18.2 are of at least 30 days."""
_OF_ALARMS = "WHERE kind = ? ORDER BY number DESC LIMIT ?"


class RecentChanges:
    """The newest changes of alarms.

    Args:
        lock: Of what is in memory.

    """

    def __init__(self, lock: threading.RLock) -> None:
        self._lock = lock
        self._changes: deque[AlarmChange] = deque(maxlen=MAX_CHANGES)
        self._is_read = False

    def note(self, event: Event) -> None:
        """Note an event, if it is of an alarm."""
        if (change := change_of(event)) is not None:
            with self._lock:
                self._changes.append(change)

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
        with self._lock:
            known = list(self._changes)
            self._changes.clear()
            self._changes.extend([*reversed(found), *known])
        self._is_read = True

    def unacknowledged_again(self, alarm_id: str) -> datetime | None:
        """Return when an alarm that was known became unacknowledged again; None: it did not."""
        with self._lock:
            for change in reversed(self._changes):
                is_of_it = change.alarm_id == alarm_id and change.before not in NEW_ALARM
                if is_of_it and change.after == AlarmCondition.UNACKNOWLEDGED:
                    return change.time
        return None

    def figures(
        self, records: Iterable[AlarmRecord], *, out_of_service: int, now: datetime
    ) -> AlarmFigures:
        """Return the figures of the last 30 days."""
        with self._lock:
            changes = list(self._changes)
        return figures_of(changes, records, out_of_service=out_of_service, now=now)


def change_of(event: Event) -> AlarmChange | None:
    """Return an event as a change of an alarm; None where it is not one."""
    if event.kind is not TransitionKind.ALARM or event.alarm_id is None:
        return None
    return AlarmChange(event.time, event.machine, event.alarm_id, event.before, event.after)


def figures_of(
    changes: Iterable[AlarmChange],
    records: Iterable[AlarmRecord],
    *,
    out_of_service: int,
    now: datetime,
    days: float = PERIOD_DAYS,
) -> AlarmFigures:
    """Return the figures of the last days, from alarms and their changes.

    Where the oldest change is younger, the period begins with that.
    """
    known = list(changes)
    begin = now - timedelta(days=days)
    oldest = min((change.time for change in known), default=now)
    open_alarms = [
        OpenAlarm(each.machine, each.raised, shelved=each.shelved)
        for each in records
        if each.active or each.shelved
    ]
    return alarm_figures(
        known, open_alarms, out_of_service=out_of_service, begin=max(begin, oldest), end=now
    )
