"""How long an alarm stays shelved: until its time, and not longer than was asked.

The time is one of the wall clock, which may have been ahead when the alarm was shelved, and be set
back later.  So the length is kept too, and counts in running time: a step back of the clock, or a
start with a clock that is behind, neither ends a shelf early nor makes it longer.  Each run counts
the length from its begin, since no clock tells how long the box was off.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from asd_monitor.alarm.state import SHELVED
from asd_monitor.journal.alarm_records import AlarmRecord, Event
from asd_monitor.journal.request_decisions import LONGEST_SHELF
from asd_monitor.wording import length, rfc3339


@dataclass(frozen=True, slots=True)
class ShelfPeriod:
    """The shelving of an alarm in this run."""

    alarm_id: str
    until: datetime
    lasts: timedelta
    begun_s: float
    """Reading of the monotonic clock when it began, or this run did, in s."""

    def is_of(self, record: AlarmRecord) -> bool:
        """Return whether this is the shelving of an alarm."""
        return (record.id, record.shelved_until) == (self.alarm_id, self.until)

    def why_over(self, now: datetime, now_s: float) -> str | None:
        """Return why the shelving is over; None: it is not.

        Args:
            now: Reading of the wall clock.
            now_s: Reading of the monotonic clock, in s.

        """
        if now >= self.until:
            return f"the shelving has expired ({rfc3339(self.until)})"
        lasts_s = self.lasts.total_seconds()
        if now_s - self.begun_s >= lasts_s:
            return (
                f"the shelving has expired after {length(lasts_s)}: by the clock, which"
                f" was set back, it would last until {rfc3339(self.until)}"
            )
        return None


def why_of_shelf(until: datetime, why: str) -> str:
    """Return the reason of the event by which an alarm is shelved."""
    return f"{_beginning(until)}{why}"


def shelf_length(until: datetime, events: Iterable[Event]) -> timedelta:
    """Return for how long an alarm was shelved until a time, by its events, the oldest first.

    The longest that there is, where they do not say so.
    """
    found = LONGEST_SHELF
    shelved = frozenset(map(str, SHELVED))
    for event in events:
        if event.after in shelved and event.why.startswith(_beginning(until)):
            found = until - event.time
    return found if timedelta(0) < found <= LONGEST_SHELF else LONGEST_SHELF


def _beginning(until: datetime) -> str:
    return f"shelved until {rfc3339(until)}: "
