"""The daemon's side of the journal, for one machine."""

from __future__ import annotations

import secrets
from dataclasses import replace
from datetime import UTC, datetime

from asd_monitor.alarm.state import TRANSITIONS, Alarm, Signal, Transition, TransitionKind
from asd_monitor.journal.alarm_records import AlarmRecord, Event, alarm_entry, event_entry, stamp
from asd_monitor.journal.store import Journal
from asd_monitor.monitor import Monitor


class MachineJournal:
    """What the daemon writes and takes up for one machine.

    Writing never raises: what cannot be written is kept for later and `Journal.fault` set.
    It waits for the disk, so that an event loop leaves it to a thread.
    """

    def __init__(self, journal: Journal, machine: str) -> None:
        self._journal = journal
        self._machine = machine
        known = journal.alarms(machine)
        self._ids = {record.id for record in known}
        self._newest = known[0] if known else None
        self._number = 1 if known else 0  # of the newest, as the monitor counts
        self._taken_up: set[str] = set()

    @property
    def newest(self) -> AlarmRecord | None:
        """The newest alarm of the machine."""
        return self._newest

    def standing(self) -> Alarm | None:
        """Return the newest alarm as an earlier run left it; every `Monitor` takes it up."""
        if self._newest is None:
            return None
        return Alarm(self._number, self._newest.condition, self._newest.peak_score)

    def record(self, transition: Transition, time: datetime, model: str | None) -> Event:
        """Write a transition, and the alarm that it moved, at its wall-clock time."""
        alarm, entries = None, []
        if transition.alarm is not None:
            alarm = self._moved(transition.alarm, time, model)
            if transition.who is not None:
                alarm = replace(
                    alarm,
                    acknowledged_at=alarm.acknowledged_at or time,
                    who=alarm.who or transition.who,
                    why=alarm.why or transition.why,
                )
            self._newest, self._number = alarm, transition.alarm.number
            entries.append(alarm_entry(alarm, taken_up=transition.who is not None))
        event = self._event(
            time,
            transition.kind,
            (transition.before, transition.after),
            who=transition.who,
            why=transition.why,
            alarm=alarm,
        )
        self._journal.write([*entries, event_entry(event)])
        return event

    def keep_peak(self, alarm: Alarm | None) -> None:
        """Write the peak of the newest alarm if it grew since."""
        newest = self._newest
        if newest is None or alarm is None or alarm.number != self._number:
            return
        if alarm.peak_score > newest.peak_score:
            self._newest = replace(newest, peak_score=alarm.peak_score)
            self._journal.write([alarm_entry(self._newest, taken_up=False)])

    def take_up(self, monitor: Monitor | None, now: datetime, model: str | None) -> list[Event]:
        """Apply what `alarms ack` signed since the last time; return what that changed.

        Without a monitor (no model yet) an alarm is signed but does not clear.  An alarm
        older than the newest one is signed and leaves the newest alone.  Raises
        `JournalError` when the journal cannot be read.
        """
        events: list[Event] = []
        for signed in self._journal.signed(self._machine):
            if signed.id in self._taken_up:  # and could not be written yet
                continue
            self._taken_up.add(signed.id)
            who, why = signed.who or "unknown", signed.why or "acknowledged"
            record = signed
            changes: tuple[Transition, ...] = ()
            newest = self._newest
            if newest is not None and signed.id == newest.id:
                # what is in memory may be ahead of the disk
                record = self._newest = replace(
                    newest, acknowledged_at=signed.acknowledged_at, who=signed.who, why=signed.why
                )
                if monitor is not None:
                    changes = monitor.acknowledge(self._number, who, why)
            if changes:
                events += [self.record(change, now, model) for change in changes]
            else:
                events.append(self._sign(record, who, why, now))
        return events

    def _sign(self, record: AlarmRecord, who: str, why: str, now: datetime) -> Event:
        """Note the signature under an alarm that no monitor holds."""
        after = TRANSITIONS.get((record.condition, Signal.ACKNOWLEDGE), record.condition)
        signed = replace(record, condition=after)
        if self._newest is not None and signed.id == self._newest.id:
            self._newest = signed
        event = self._event(
            now, TransitionKind.ALARM, (record.condition, after), who=who, why=why, alarm=signed
        )
        self._journal.write([alarm_entry(signed, taken_up=True), event_entry(event)])
        return event

    def _event(
        self,
        time: datetime,
        kind: TransitionKind,
        change: tuple[str, str],
        *,
        who: str | None,
        why: str,
        alarm: AlarmRecord | None,
    ) -> Event:
        return Event(
            id=f"{stamp(time)}-{secrets.token_hex(4)}",
            machine=self._machine,
            time=time,
            kind=kind,
            before=str(change[0]),
            after=str(change[1]),
            who=who,
            why=why,
            alarm_id=alarm.id if alarm else None,
            alarm=alarm,
        )

    def _moved(self, alarm: Alarm, time: datetime, model: str | None) -> AlarmRecord:
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
                peak_score=alarm.peak_score,
                model=model,
            )
        ended = record.active and not alarm.active
        return replace(
            record,
            condition=alarm.condition,
            cleared=time if ended else record.cleared,
            peak_score=max(record.peak_score, alarm.peak_score),
        )

    def _new_id(self, time: datetime) -> str:
        base = f"{self._machine}-{time.astimezone(UTC):%Y%m%dT%H%M%SZ}"
        new, copies = base, 1
        while new in self._ids:
            copies += 1
            new = f"{base}.{copies}"
        self._ids.add(new)
        return new
