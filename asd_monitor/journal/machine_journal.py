"""The journal of one machine, as the daemon writes it."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import structlog

from asd_monitor.alarm.state import (
    TRANSITIONS,
    Alarm,
    Transition,
    TransitionKind,
    Trigger,
)
from asd_monitor.alarm.time_scales import SHARES
from asd_monitor.journal.alarm_changes import (
    NO_CAUSE,
    Cause,
    after_transition,
    in_condition,
    is_raised_by_sound,
    new_record,
    with_scores,
)
from asd_monitor.journal.alarm_entries import AlarmEntry, Entry, EventEntry
from asd_monitor.journal.alarm_records import AlarmRecord, Event
from asd_monitor.journal.event_ids import new_alarm_id, new_event_id
from asd_monitor.journal.machine_entries import OutOfService
from asd_monitor.journal.request_decisions import LONGEST_SHELF
from asd_monitor.journal.shelf_period import ShelfPeriod, shelf_length
from asd_monitor.journal.sqlite_errors import JournalError
from asd_monitor.journal.store import Journal
from asd_monitor.monitor import Monitor

log = structlog.get_logger()


class MachineJournal:
    """Writes the alarms and transitions of one machine; `MachineRequests` applies requests.

    Writing does not raise: entries that cannot be written are kept for later, and `Journal.fault`
    is set.  It waits for the disk, for a few seconds at most, so that an event loop calls it in a
    thread.

    Alarms are ordered by their ids, also where the clock is set back, and none is cleared or
    acknowledged before it was raised.  At most one alarm of a machine is active: one that was
    raised while the journal of earlier runs could not be read continues that of an earlier run,
    which ends.
    """

    def __init__(self, journal: Journal, machine: str) -> None:
        self.journal = journal
        self.machine = machine
        self._newest: AlarmRecord | None = None
        self._shelf: ShelfPeriod | None = None  # the newest that is known
        self.number = 0
        """Of the newest alarm, in the count of the monitor."""
        self._is_read = False
        self._packages: deque[tuple[str, str | None]] = deque()  # to be noted
        self._read_newest()
        journal.register(machine)

    def _read_newest(self) -> None:
        """Take up the newest alarm from the journal's memory, whatever the disk does."""
        is_read = self.journal.is_read
        newest = self.journal.newest(self.machine)
        if newest is not None:
            self._newest, self.number = self._with_reason(newest), 1
            if newest.shelved_until is not None:
                until = newest.shelved_until
                self.begin_shelf(newest.id, until, shelf_length(until, self._events_of(newest)))
        self._is_read = is_read  # last: another thread may publish what is known

    @property
    def newest(self) -> AlarmRecord | None:
        """The newest alarm of the machine."""
        return self._newest

    @property
    def is_known(self) -> bool:
        """Whether `newest` is known: it is not while the journal of earlier runs cannot be read."""
        return self._is_read or self._newest is not None

    @property
    def out_of_service(self) -> OutOfService | None:
        """Since when the machine is out of service; None: it is in service."""
        return self.journal.out_of_service(self.machine)

    def begin_shelf(self, alarm_id: str, until: datetime, lasts: timedelta) -> None:
        """Note that an alarm is shelved until a time, for this length of running time at most."""
        self._shelf = ShelfPeriod(alarm_id, until, lasts, self.journal.clock.now_s())

    def why_shelf_over(self, now: datetime) -> str | None:
        """Return why the shelving of the newest alarm is over; None: it is not, or it is none.

        Does not wait for the disk.
        """
        newest = self._newest
        if newest is None or not newest.shelved:
            return None
        if newest.shelved_until is None:
            return "the shelving has expired"
        if self._shelf is None or not self._shelf.is_of(newest):
            self.begin_shelf(newest.id, newest.shelved_until, LONGEST_SHELF)
        shelf = self._shelf
        return None if shelf is None else shelf.why_over(now, self.journal.clock.now_s())

    def is_chattering(self, now: datetime) -> bool:
        """Return whether the machine's alarms chatter now."""
        return self.journal.is_chattering(self.machine, now)

    def take_up_late(self, monitor: Monitor | None) -> bool:
        """Take up the newest alarm of a journal that could only be read after the start.

        Returns whether `newest` is known now and was not before.  An alarm that was raised
        meanwhile is the newest.
        """
        if self.is_known or not self.journal.is_read:
            return False
        if monitor is not None and monitor.alarm is not None:  # raised, and not recorded yet
            return False
        self._read_newest()
        standing = self.restored_alarm()
        if monitor is not None and standing is not None:
            monitor.take_up(standing)
        return True

    def restored_alarm(self) -> Alarm | None:
        """Return the newest alarm for a new `Monitor`; None where the machine had none.

        That of an earlier version has its peak as that of each time scale.
        """
        if self._newest is None:
            return None
        newest = self._newest
        scale_s = newest.shortest_scale_s
        of_all_scales = dict.fromkeys(SHARES, newest.peak_score or 0.0)
        return Alarm(
            self.number,
            newest.condition,
            newest.peak_score or 0.0,
            newest.time_scale_s,
            shortest_scale_s=newest.time_scale_s if scale_s is None else scale_s,
            scale_peaks=of_all_scales if newest.scale_peaks is None else newest.scale_peaks,
        )

    def record(
        self, transition: Transition, time: datetime, model: str | None, *, cause: Cause = NO_CAUSE
    ) -> Event:
        """Write a transition, with the alarm that it changed, at its wall-clock time."""
        is_first = self._newest is None
        event, entries = self.entries_of(transition, time, model, cause=cause)
        self.journal.write(entries)
        if event.alarm is not None and is_first:
            self.end_superseded(event.time)  # the journal may have been read just before
        return event

    def entries_of(
        self,
        transition: Transition,
        time: datetime,
        model: str | None,
        *,
        cause: Cause = NO_CAUSE,
        asked: datetime | None = None,
        shelved_until: datetime | None = None,
    ) -> tuple[Event, list[Entry]]:
        """Take up a transition, and return its event and what is to be written.

        ``cause`` is the window that has caused it, where one did, ``asked`` when a person has asked
        for it, and ``shelved_until`` the time until which it shelves the alarm.
        """
        alarm: AlarmRecord | None = None
        if transition.alarm is not None:
            alarm = after_transition(
                self._record_of(transition.alarm, time, model),
                transition,
                transition.alarm,
                time,
                cause=cause,
                asked=asked,
            )
            if alarm.shelved:
                until = shelved_until or alarm.shelved_until
                alarm = replace(alarm, shelved_until=until)
            time = max(time, alarm.raised)  # the clock may have been set back meanwhile
            self._newest, self.number = alarm, transition.alarm.number
        event = Event(
            id=new_event_id(time),
            machine=self.machine,
            time=time,
            kind=transition.kind,
            before=str(transition.before),
            after=str(transition.after),
            who=transition.who,
            why=transition.why,
            alarm_id=alarm.id if alarm else None,
            alarm=alarm,
            alarm_score=cause.alarm_score,
            time_scale_s=cause.time_scale_s,
        )
        written: list[Entry] = [] if alarm is None else [AlarmEntry(alarm)]
        return event, [*written, self.entry_of(event)]

    def _record_of(self, alarm: Alarm, time: datetime, model: str | None) -> AlarmRecord:
        """Return the record of an alarm of the monitor, before its transition."""
        if self._newest is not None and alarm.number == self.number:
            return self._newest
        id_ = new_alarm_id(self.machine, time, self.journal.highest_id(self.machine))
        return new_record(id_, self.machine, alarm, time, model)

    def update_peak(self, alarm: Alarm | None) -> None:
        """Write the peak of the newest alarm where it has risen."""
        newest = self._newest
        if newest is None or alarm is None or alarm.number != self.number:
            return
        changed = with_scores(newest, alarm)
        if changed.peak_score != newest.peak_score:
            self._newest = changed
            self.journal.write([AlarmEntry(changed)])

    def changed_record(
        self,
        before: AlarmRecord,
        trigger: Trigger,
        *,
        who: str | None,
        why: str,
        now: datetime,
        asked: datetime | None = None,
        shelved_until: datetime | None = None,
    ) -> tuple[Event, list[Entry]] | None:
        """Change an alarm that no monitor holds; return its event and what is to be written.

        None: its condition does not know the trigger.
        """
        condition = TRANSITIONS.get((before.condition, trigger))
        if condition is None:
            return None
        after = in_condition(before, condition, now, who=who, why=why, asked=asked)
        if after.shelved and shelved_until is not None:
            after = replace(after, shelved_until=shelved_until)
        self.replace_newest(after)
        time = max(now, before.raised)
        event = Event(
            id=new_event_id(time),
            machine=self.machine,
            time=time,
            kind=TransitionKind.ALARM,
            before=str(before.condition),
            after=str(condition),
            who=who,
            why=why,
            alarm_id=after.id,
            alarm=after,
        )
        return event, [AlarmEntry(after), self.entry_of(event)]

    def replace_newest(self, record: AlarmRecord) -> None:
        """Take up a changed record, where it is that of the newest alarm."""
        if self._newest is not None and record.id == self._newest.id:
            self._newest = record

    def queue_package(self, alarm_id: str, path: str | None) -> None:
        """Let `note_packages` note the evidence of an alarm; safe for any thread.

        Its path below the state folder; None: it was deleted.
        """
        self._packages.append((alarm_id, path))

    def note_packages(self) -> None:
        """Write which alarms have evidence.  Raises `JournalError`; the next call tries again."""
        while self._packages:
            alarm_id, path = self._packages[0]
            newest = self._newest
            is_newest = newest is not None and newest.id == alarm_id
            record = newest if is_newest else self.journal.find(alarm_id)
            if record is not None and record.evidence != path:
                changed = replace(record, evidence=path)
                self.replace_newest(changed)
                self.journal.write([AlarmEntry(changed)])
            self._packages.popleft()

    def end_acknowledged_alarm(self, why: str, now: datetime) -> list[Event]:
        """End the newest alarm where it is acknowledged; return the transition.

        For a machine that is not monitored any more: another alarm stays as it is.
        """
        newest = [] if self._newest is None else [self._newest]
        return self._write_changes(newest, Trigger.MONITORING_ENDED, why, now)

    def end_superseded(self, now: datetime) -> list[Event]:
        """End the open alarms that the newest one continues; return the transitions.

        They were in a journal that could not be read when the newest was raised.  One that is not
        acknowledged still waits for that.
        """
        if (newest := self._newest) is None:
            return []
        why = f"continued by alarm {newest.id}, raised before this one could be read"
        earlier = [a for a in self.journal.open_alarms(self.machine) if a.id != newest.id]
        return self._write_changes(earlier, Trigger.SUPERSEDED, why, now)

    def _write_changes(
        self, records: Sequence[AlarmRecord], trigger: Trigger, why: str, now: datetime
    ) -> list[Event]:
        events = []
        for record in records:
            changed = self.changed_record(record, trigger, who=None, why=why, now=now)
            if changed is not None:
                event, entries = changed
                self.journal.write(entries)
                events.append(event)
        return events

    def entry_of(self, event: Event) -> EventEntry:
        """Return the entry that writes an event, and has it published."""
        clock = self.journal.clock
        return EventEntry(event, clock.now_s(), clock)

    def _with_reason(self, record: AlarmRecord) -> AlarmRecord:
        """Return an alarm of an earlier version with the reason of the event that raised it.

        Without the reason where the events cannot be read.
        """
        if record.reason is not None:
            return record
        events = self._events_of(record)
        raised = [each.why for each in events if is_raised_by_sound(each.before, each.after)]
        return replace(record, reason=raised[-1]) if raised else record

    def _events_of(self, record: AlarmRecord) -> list[Event]:
        """Return the transitions of an alarm of an earlier run; none where they cannot be read."""
        try:
            return self.journal.events(record.id)
        except JournalError as error:
            log.warning(
                "the events of an alarm of an earlier run cannot be read; the alarm is taken up",
                machine=self.machine,
                alarm=record.id,
                reason=str(error),
            )
            return []
