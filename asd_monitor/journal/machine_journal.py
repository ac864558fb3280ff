"""The journal of one machine, as the daemon writes it."""

from __future__ import annotations

import math
import re
import secrets
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import structlog

from asd_monitor.alarm.state import (
    TRANSITIONS,
    Alarm,
    AlarmCondition,
    Transition,
    TransitionKind,
    Trigger,
)
from asd_monitor.journal.alarm_entries import AlarmEntry, Entry, EventEntry
from asd_monitor.journal.alarm_records import AlarmRecord, Event
from asd_monitor.journal.sqlite_errors import JournalError
from asd_monitor.journal.store import Journal
from asd_monitor.monitor import Monitor

log = structlog.get_logger()

_ID_TIME = re.compile(r"(\d{8}T\d{6}Z)(?:\.\d+)?")
_ID_TIME_FORMAT = "%Y%m%dT%H%M%SZ"


class MachineJournal:
    """Writes the alarms and transitions of one machine and applies acknowledgements.

    Writing does not raise: entries that cannot be written are kept for later, and `Journal.fault`
    is set.  It waits for the disk, for a few seconds at most, so that an event loop calls it in a
    thread.

    Alarms are ordered by their ids, also where the clock is set back, and none is cleared or
    acknowledged before it was raised.  At most one alarm of a machine is active: one that was
    raised while the journal of earlier runs could not be read continues that of an earlier run,
    which ends.
    """

    def __init__(self, journal: Journal, machine: str) -> None:
        self._journal = journal
        self._machine = machine
        self._newest: AlarmRecord | None = None
        self._number = 0  # of the newest, in the count of the monitor
        self._is_read = False
        self._applied: set[str] = set()  # alarms whose acknowledgement is applied and not written
        self._read_newest()
        journal.register(machine)

    def _read_newest(self) -> None:
        """Take up the newest alarm from the journal's memory, whatever the disk does."""
        is_read = self._journal.is_read
        newest = self._journal.newest(self._machine)
        if newest is not None:
            self._newest, self._number = self._with_reason(newest), 1
        self._is_read = is_read  # last: another thread may publish what is known

    @property
    def newest(self) -> AlarmRecord | None:
        """The newest alarm of the machine."""
        return self._newest

    @property
    def is_known(self) -> bool:
        """Whether `newest` is known: it is not while the journal of earlier runs cannot be read."""
        return self._is_read or self._newest is not None

    def take_up_late(self, monitor: Monitor | None) -> bool:
        """Take up the newest alarm of a journal that could only be read after the start.

        Returns whether `newest` is known now and was not before.  An alarm that was raised
        meanwhile is the newest.
        """
        if self.is_known or not self._journal.is_read:
            return False
        if monitor is not None and monitor.alarm is not None:  # raised, and not recorded yet
            return False
        self._read_newest()
        standing = self.restored_alarm()
        if monitor is not None and standing is not None:
            monitor.take_up(standing)
        return True

    def restored_alarm(self) -> Alarm | None:
        """Return the newest alarm for a new `Monitor`; None where the machine had none."""
        if self._newest is None:
            return None
        newest = self._newest
        return Alarm(self._number, newest.condition, newest.peak_score or 0.0, newest.time_scale_s)

    def record(
        self,
        transition: Transition,
        time: datetime,
        model: str | None,
        *,
        alarm_score: float | None = None,
        time_scale_s: float | None = None,
    ) -> Event:
        """Write a transition, with the alarm that it changed, at its wall-clock time.

        ``alarm_score`` of ``time_scale_s`` has caused it, where one did.
        """
        alarm: AlarmRecord | None = None
        is_first = self._newest is None
        entries: list[Entry] = []
        if transition.alarm is not None:
            alarm = self._updated_record(transition.alarm, time, model)
            time = max(time, alarm.raised)  # the clock may have been set back meanwhile
            if transition.after == AlarmCondition.UNACKNOWLEDGED:
                alarm = replace(alarm, reason=transition.why)
            if transition.who is not None:
                alarm = replace(
                    alarm,
                    acknowledged_at=alarm.acknowledged_at or time,
                    who=alarm.who or transition.who,
                    why=alarm.why or transition.why,
                )
            self._newest, self._number = alarm, transition.alarm.number
            entries.append(AlarmEntry(alarm, applied=transition.who is not None))
        event = self._event(
            time,
            transition.kind,
            (transition.before, transition.after),
            who=transition.who,
            why=transition.why,
            alarm=alarm,
            cause=(alarm_score, time_scale_s),
        )
        self._journal.write([*entries, self._entry(event)])
        if alarm is not None and is_first:
            self._end_superseded(time)  # the journal may have been read just before
        return event

    def update_peak(self, alarm: Alarm | None) -> None:
        """Write the peak of the newest alarm where it has risen."""
        newest = self._newest
        if newest is None or alarm is None or alarm.number != self._number:
            return
        peak = _larger(newest.peak_score, alarm.peak_score)
        if peak != newest.peak_score:
            self._newest = replace(newest, peak_score=peak)
            self._journal.write([AlarmEntry(self._newest, applied=False)])

    def apply_acknowledgements(
        self, monitor: Monitor | None, now: datetime, model: str | None
    ) -> list[Event]:
        """Apply the acknowledgements written since the last call; return the transitions.

        Without a monitor (no model yet) an alarm is acknowledged and stays active.  That of an
        older alarm does not affect the newest.  An earlier alarm that the newest continues ends
        before.  Raises `JournalError` where the journal cannot be read.
        """
        unapplied = self._journal.unapplied_acknowledgements(self._machine)
        events = self._end_superseded(now)
        ended = {event.alarm_id: event.alarm for event in events}
        self._applied &= {record.id for record in unapplied}
        for acknowledged in unapplied:
            if acknowledged.id in self._applied:  # and this could not be written yet
                continue
            self._applied.add(acknowledged.id)
            who, why = acknowledged.who or "unknown", acknowledged.why or "acknowledged"
            record = acknowledged
            if (known := ended.get(acknowledged.id)) is not None:
                record = _acknowledged_as(known, acknowledged)
            transitions: tuple[Transition, ...] = ()
            newest = self._newest
            if newest is not None and acknowledged.id == newest.id:
                # the record in memory may be newer than that on the disk
                record = self._newest = _acknowledged_as(newest, acknowledged)
                if monitor is not None:
                    transitions = monitor.acknowledge(self._number, who, why)
            if transitions:
                events += [self.record(transition, now, model) for transition in transitions]
            else:
                events.append(self._acknowledge(record, who, why, now))
        return events

    def _acknowledge(self, record: AlarmRecord, who: str, why: str, now: datetime) -> Event:
        """Write the acknowledgement of an alarm that no monitor holds."""
        after = TRANSITIONS.get((record.condition, Trigger.ACKNOWLEDGE), record.condition)
        return self._change(record, replace(record, condition=after), who, why, now)

    def end_acknowledged_alarm(self, why: str, now: datetime) -> list[Event]:
        """End the newest alarm where it is acknowledged; return the transition.

        For a machine that is not monitored any more: an alarm that is not acknowledged stays as it
        is.
        """
        newest = self._newest
        if newest is None:
            return []
        after = TRANSITIONS.get((newest.condition, Trigger.MONITORING_ENDED))
        if after is None:
            return []
        ended = replace(newest, condition=after, cleared=max(now, newest.raised))
        return [self._change(newest, ended, None, why, now)]

    def _end_superseded(self, now: datetime) -> list[Event]:
        """End the active alarms that the newest one continues; return the transitions.

        They were in a journal that could not be read when the newest was raised.  One that is not
        acknowledged still waits for that.
        """
        newest = self._newest
        if newest is None:
            return []
        why = f"continued by alarm {newest.id}, raised before this one could be read"
        events = []
        for earlier in self._journal.active(self._machine):
            after = TRANSITIONS.get((earlier.condition, Trigger.SUPERSEDED))
            if earlier.id == newest.id or after is None:
                continue
            ended = replace(earlier, condition=after, cleared=max(now, earlier.raised))
            events.append(self._change(earlier, ended, None, why, now, applied=False))
        return events

    def _change(
        self,
        before: AlarmRecord,
        after: AlarmRecord,
        who: str | None,
        why: str,
        now: datetime,
        *,
        applied: bool = True,
    ) -> Event:
        """Write a change of an alarm that no monitor holds.

        ``applied`` is whether an acknowledgement of it is applied thereby.
        """
        if self._newest is not None and after.id == self._newest.id:
            self._newest = after
        event = self._event(
            max(now, before.raised),
            TransitionKind.ALARM,
            (before.condition, after.condition),
            who=who,
            why=why,
            alarm=after,
        )
        self._journal.write([AlarmEntry(after, applied=applied), self._entry(event)])
        return event

    def _entry(self, event: Event) -> EventEntry:
        clock = self._journal.clock
        return EventEntry(event, clock.now_s(), clock)

    def _event(
        self,
        time: datetime,
        kind: TransitionKind,
        change: tuple[str, str],
        *,
        who: str | None,
        why: str,
        alarm: AlarmRecord | None,
        cause: tuple[float | None, float | None] = (None, None),
    ) -> Event:
        return Event(
            id=_event_id(time),
            machine=self._machine,
            time=time,
            kind=kind,
            before=str(change[0]),
            after=str(change[1]),
            who=who,
            why=why,
            alarm_id=alarm.id if alarm else None,
            alarm=alarm,
            alarm_score=cause[0],
            time_scale_s=cause[1],
        )

    def _updated_record(self, alarm: Alarm, time: datetime, model: str | None) -> AlarmRecord:
        record = self._newest
        if record is None or alarm.number != self._number:
            record = AlarmRecord(
                id=self._new_id(time),
                machine=self._machine,
                severity="alarm",
                condition=alarm.condition,
                raised=time,
                cleared=None,
                acknowledged_at=None,
                who=None,
                why=None,
                peak_score=None,
                model=model,
                time_scale_s=alarm.time_scale_s,
            )
        cleared = record.active and not alarm.active
        return replace(
            record,
            condition=alarm.condition,
            cleared=max(time, record.raised) if cleared else record.cleared,
            peak_score=_larger(record.peak_score, alarm.peak_score),
        )

    def _with_reason(self, record: AlarmRecord) -> AlarmRecord:
        """Return an alarm of an earlier run with the reason of the event that raised it.

        Without the reason where the events cannot be read.
        """
        try:
            events = self._journal.events(record.id)
        except JournalError as error:
            log.warning(
                "the reason of an alarm of an earlier run cannot be read; the alarm is taken up",
                machine=self._machine,
                alarm=record.id,
                reason=str(error),
            )
            return record
        raised = [event.why for event in events if event.after == AlarmCondition.UNACKNOWLEDGED]
        return replace(record, reason=raised[-1]) if raised else record

    def _new_id(self, time: datetime) -> str:
        """Return an id that comes after those of all earlier alarms in alphabetical order.

        Its time is that of the alarm, or one second after that of the last id where the clock was
        set back.
        """
        second = time.astimezone(UTC).replace(microsecond=0)
        highest = self._journal.highest_id(self._machine) or ""
        found = _ID_TIME.fullmatch(highest.removeprefix(f"{self._machine}-"))
        if found is not None:
            last = datetime.strptime(f"{found[1]}+0000", f"{_ID_TIME_FORMAT}%z")
            second = max(second, last + timedelta(seconds=1))
        return f"{self._machine}-{second:{_ID_TIME_FORMAT}}"


def _acknowledged_as(record: AlarmRecord, acknowledged: AlarmRecord) -> AlarmRecord:
    """Return an alarm with the acknowledgement of another record of it."""
    return replace(
        record,
        acknowledged_at=acknowledged.acknowledged_at,
        who=acknowledged.who,
        why=acknowledged.why,
    )


def _larger(one: float | None, other: float) -> float | None:
    """Return the larger of two alarm scores; None is not known, and what is not finite neither."""
    if not math.isfinite(other):
        return one
    return other if one is None else max(one, other)


def _event_id(time: datetime) -> str:
    """Return a unique id that begins with the time: ``20261123T044500.512Z-`` and 8 digits."""
    utc = time.astimezone(UTC)
    return f"{utc:%Y%m%dT%H%M%S}.{utc.microsecond // 1000:03}Z-{secrets.token_hex(4)}"
