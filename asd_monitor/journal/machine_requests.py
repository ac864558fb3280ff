"""Requests about one machine and its alarms, as the daemon applies them.

What a request changes is written together with its outcome in one transaction: whenever the process
is killed, the request either waits still, or is applied and has its outcome.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import structlog

from asd_monitor.alarm.state import ServiceState, Transition, TransitionKind, Trigger
from asd_monitor.commissioning.kept_sound import kept_sound
from asd_monitor.evidence.alarm_sound import sound_of_alarm
from asd_monitor.journal.alarm_changes import with_label
from asd_monitor.journal.alarm_entries import AlarmEntry, Entry
from asd_monitor.journal.alarm_records import AlarmRecord, Event
from asd_monitor.journal.machine_entries import OutOfService, ServiceEntry
from asd_monitor.journal.machine_journal import MachineJournal
from asd_monitor.journal.request_decisions import (
    Decision,
    decide_on_alarm,
    decide_on_machine,
)
from asd_monitor.journal.requests import NO_REASON, OutcomeEntry, Request, Verb
from asd_monitor.journal.shelf_period import why_of_shelf
from asd_monitor.journal.sound_marks import KeptOfMachine, SoundOfAlarm, apply_mark
from asd_monitor.monitor import Monitor

log = structlog.get_logger()

_IN_SERVICE = "the machine is in service: that it was not is lost, since the journal was damaged"
_ON_DELAY_S = 3.0  # of the default rule, where the machine has no session

Changes = tuple[list[Event], list[Entry]]
"""Events, and what is to be written."""


@dataclass(frozen=True, slots=True)
class _Present:
    """By what and when requests are applied."""

    monitor: Monitor | None  # None: the machine has no session
    now: datetime  # by which people name times
    at: datetime  # of the sound; another one in a recording, whose events have it
    model: str | None
    asked: datetime | None = None  # when a person has asked; None: nobody did


class MachineRequests:
    """Applies the requests of one machine, and the ends of its shelves.

    Args:
        journal: The journal of the machine.
        kept: Returns what is kept of a machine's sound in a state folder between two times.
        sound_of: Returns the kept sound of one alarm.

    """

    def __init__(
        self,
        journal: MachineJournal,
        kept: KeptOfMachine = kept_sound,
        sound_of: SoundOfAlarm = sound_of_alarm,
    ) -> None:
        self._journal = journal
        self._kept = kept
        self._sound_of = sound_of

    def apply(
        self,
        monitor: Monitor | None,
        now: datetime,
        model: str | None,
        *,
        at: datetime | None = None,
    ) -> list[Event]:
        """Apply the requests that wait; return the transitions.

        Which alarms have evidence is noted first.  Without a monitor (no session of the machine)
        the record of an alarm is changed.  An earlier alarm that the newest continues ends before.
        The transitions have the time ``at``, that of the sound where it is a recording.  Raises
        `JournalError` where the journal cannot be read.
        """
        present = _Present(monitor, now, at or now, model)
        self._journal.note_packages()
        requests = self._journal.journal.requests.waiting(self._journal.machine)
        events = self._journal.end_superseded(present.at)
        events += self._hide_out_of_service(present)
        events += self._show_in_service(present)
        for request in requests:
            if request.defect is not None:
                self._refuse(request, request.defect)
            else:
                asked = min(request.time, now)
                events += self._apply_one(request, replace(present, asked=asked))
        return events

    def _refuse(self, request: Request, defect: str) -> None:
        journal = self._journal.journal
        journal.requests.count_malformed()
        log.warning(
            "a request is refused",
            machine=self._journal.machine,
            request=request.id,
            reason=defect,
        )
        journal.write([OutcomeEntry(request.id, f"nothing is changed: {defect}", accepted=False)])

    def _apply_one(self, request: Request, present: _Present) -> list[Event]:
        if request.verb is Verb.MARK_NORMAL:
            return self._apply_mark(request, present)
        record = None
        if request.alarm_id is None:
            service, newest = self._journal.out_of_service, self._journal.newest
            decision = decide_on_machine(request, service, newest)
        else:
            record, newest = self._find(request.alarm_id), self._journal.newest
            newest_id = None if newest is None else newest.id
            decision = decide_on_alarm(
                request,
                record,
                newest=newest_id,
                risen_again=self._journal.journal.unacknowledged_again(request.alarm_id),
                now=present.now,
            )
        changes: Changes = [], []
        if decision.changes_service:
            changes = self._change_service(request, present)
        elif decision.changes_label and record is not None:
            changes = [], self._label(record, request)
        elif record is not None:
            why = request.why or NO_REASON
            changes = self._change(record, decision, present, who=request.who, why=why)
        outcome = OutcomeEntry(request.id, decision.outcome, decision.accepted)
        self._journal.journal.write([*changes[1], outcome])
        return changes[0]

    def _apply_mark(self, request: Request, present: _Present) -> list[Event]:
        """Mark sound as normal, or withdraw a mark."""
        record = None if request.alarm_id is None else self._find(request.alarm_id)
        rule = None if present.monitor is None else present.monitor.rule
        events, entries = apply_mark(
            self._journal,
            request,
            record,
            self._kept,
            self._sound_of,
            at=present.at,
            on_delay_s=_ON_DELAY_S if rule is None else rule.on_delay_s,
        )
        self._journal.journal.write(entries)
        return events

    def _find(self, alarm_id: str) -> AlarmRecord | None:
        newest = self._journal.newest
        if newest is not None and newest.id == alarm_id:
            return newest  # it may be newer than that on the disk
        return self._journal.journal.find(alarm_id)

    def _change(
        self,
        record: AlarmRecord,
        decision: Decision,
        present: _Present,
        *,
        who: str | None,
        why: str,
    ) -> Changes:
        """Change an alarm, by its monitor where that holds it."""
        trigger, until, monitor = decision.trigger, decision.shelved_until, present.monitor
        if trigger is None:
            return [], []
        if until is not None and decision.shelved_for is not None:
            why = why_of_shelf(until, why)
            self._journal.begin_shelf(record.id, until, decision.shelved_for)
        newest = self._journal.newest
        if monitor is not None and newest is not None and newest.id == record.id:
            transitions = monitor.change(trigger, self._journal.number, who, why)
            if transitions:
                return self._take_up(transitions, present, shelved_until=until)
        return _one(
            self._journal.changed_record(
                record,
                trigger,
                who=who,
                why=why,
                now=present.at,
                asked=present.asked,
                shelved_until=until,
            )
        )

    def _take_up(
        self,
        transitions: Sequence[Transition],
        present: _Present,
        *,
        shelved_until: datetime | None = None,
    ) -> Changes:
        events: list[Event] = []
        entries: list[Entry] = []
        for transition in transitions:
            event, written = self._journal.entries_of(
                transition,
                present.at,
                present.model,
                asked=present.asked,
                shelved_until=shelved_until,
            )
            events.append(event)
            entries += written
        return events, entries

    def _label(self, record: AlarmRecord, request: Request) -> list[Entry]:
        label = request.arguments.get("label")
        labelled = with_label(record, label, who=request.who, why=request.why)
        self._journal.replace_newest(labelled)
        return [AlarmEntry(labelled)]

    def _change_service(self, request: Request, present: _Present) -> Changes:
        """Take the machine out of service, or return it."""
        was_in_service = self._journal.out_of_service is None
        states = (ServiceState.IN_SERVICE, ServiceState.OUT_OF_SERVICE)
        before, after = states if was_in_service else states[::-1]
        who, why = request.who, request.why or NO_REASON
        change = Transition(0, TransitionKind.SERVICE, before, after, why, who)
        of_machine = self._take_up([change], present)
        of_alarm = self._change_alarm_of_service(
            present, who=who, why=why, in_service=not was_in_service
        )
        since = OutOfService(present.at, who, why) if was_in_service else None
        service = ServiceEntry(self._journal.machine, since)
        return [*of_machine[0], *of_alarm[0]], [service, *of_machine[1], *of_alarm[1]]

    def _hide_out_of_service(self, present: _Present) -> list[Event]:
        """Hide an alarm that was raised before it was known that the machine is out of service."""
        service, newest, monitor = (
            self._journal.out_of_service,
            self._journal.newest,
            present.monitor,
        )
        if service is None:
            return []
        is_hidden = newest is None or newest.closed or newest.out_of_service
        if is_hidden and (monitor is None or not monitor.in_service):
            return []
        events, entries = self._change_alarm_of_service(
            present, who=service.who, why=service.why, in_service=False
        )
        if entries:
            self._journal.journal.write(entries)
        return events

    def _show_in_service(self, present: _Present) -> list[Event]:
        """Show an alarm that is hidden although the machine is in service, by a damaged journal."""
        newest = self._journal.newest
        if newest is None or not newest.out_of_service or self._journal.out_of_service is not None:
            return []
        decision = Decision("", trigger=Trigger.SERVICE_LOST)
        events, entries = self._change(newest, decision, present, who=None, why=_IN_SERVICE)
        if entries:
            self._journal.journal.write(entries)
        return events

    def _change_alarm_of_service(
        self, present: _Present, *, who: str, why: str, in_service: bool
    ) -> Changes:
        """Hide the newest alarm, or show it."""
        if present.monitor is not None:
            transitions = present.monitor.change_service(who, why, in_service=in_service)
            return self._take_up(transitions, present)
        newest = self._journal.newest
        if newest is None:
            return [], []
        trigger = Trigger.RETURN_TO_SERVICE if in_service else Trigger.TAKE_OUT_OF_SERVICE
        return _one(
            self._journal.changed_record(
                newest, trigger, who=who, why=why, now=present.at, asked=present.asked
            )
        )

    def expire_shelf(
        self,
        monitor: Monitor | None,
        now: datetime,
        model: str | None,
        *,
        at: datetime | None = None,
    ) -> list[Event]:
        """End the shelving of the newest alarm, where its time is over; return the transitions."""
        newest, why = self._journal.newest, self._journal.why_shelf_over(now)
        if newest is None or why is None:
            return []
        decision = Decision("", trigger=Trigger.SHELF_EXPIRED)
        present = _Present(monitor, now, at or now, model)
        events, entries = self._change(newest, decision, present, who=None, why=why)
        if entries:
            self._journal.journal.write(entries)
        return events


def _one(changed: tuple[Event, list[Entry]] | None) -> Changes:
    return ([], []) if changed is None else ([changed[0]], changed[1])
