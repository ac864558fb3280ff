"""Alarms with what is known of their machines, as lists show them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from asd_monitor.alarm.chatter import is_chattering
from asd_monitor.journal.alarm_records import AlarmRecord
from asd_monitor.journal.content import JournalContent
from asd_monitor.wording import rfc3339


@dataclass(frozen=True, slots=True)
class ListedAlarm:
    """An alarm as it is listed, with what is known of its machine."""

    record: AlarmRecord
    out_of_service: bool
    chattering: bool

    @property
    def state(self) -> str:
        """Its condition in words; an alarm that nobody has seen is in capitals."""
        record = self.record
        if record.shelved:
            until = (
                "" if record.shelved_until is None else f" until {rfc3339(record.shelved_until)}"
            )
            state = f"shelved{until}"
            state += "" if record.active else ", sound is normal"
        elif record.out_of_service:
            state = "out of service" + ("" if record.active else ", sound is normal")
        elif record.active and record.acknowledged:
            state = "active, acknowledged"
        elif record.active:
            state = "active, sound is normal" if record.latched else "ACTIVE"
        else:
            state = "cleared" if record.closed else "cleared, not acknowledged"
        return f"{state}, chattering" if self.chattering else state


def listed_alarms(
    journal: JournalContent, records: Sequence[AlarmRecord], now: datetime
) -> list[ListedAlarm]:
    """Return alarms with what is known of their machines; chatter is of the newest alarm alone."""
    chattering = {
        machine for machine, times in journal.raised(now).items() if is_chattering(times, now)
    }
    newest = {
        record.id for machine in chattering for record in journal.newest_alarms(machine, limit=1)
    }
    return [
        ListedAlarm(
            each,
            each.machine in journal.out_of_service,
            each.id in newest,
        )
        for each in records
    ]
