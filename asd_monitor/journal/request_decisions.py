"""What follows from a request: refused with the remedy, done already, or a trigger; pure.

A request names its alarm, so that a late one cannot change a newer alarm.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from asd_monitor.alarm.answers import refusal
from asd_monitor.alarm.state import TRANSITIONS, Trigger
from asd_monitor.journal.alarm_records import AlarmRecord
from asd_monitor.journal.machine_entries import OutOfService
from asd_monitor.journal.requests import Request, Verb
from asd_monitor.journal.row_values import time_of
from asd_monitor.wording import rfc3339

SHORTEST_SHELF = timedelta(minutes=1)
LONGEST_SHELF = timedelta(days=7)
"""Shelving is never for ever: the alarm of a sound that lasts is to be seen again."""
LABELS = ("valid", "invalid")

_TRIGGERS = {
    Verb.ACK: Trigger.ACKNOWLEDGE,
    Verb.SHELVE: Trigger.SHELVE,
    Verb.UNSHELVE: Trigger.UNSHELVE,
}


@dataclass(frozen=True, slots=True)
class Decision:
    """What follows from a request."""

    outcome: str
    """One sentence, for the person who has asked."""
    accepted: bool = True
    trigger: Trigger | None = None  # None: the condition of no alarm changes
    shelved_until: datetime | None = None
    shelved_for: timedelta | None = None  # not longer than was asked, where the clock was set back
    changes_service: bool = False
    changes_label: bool = False


def _refused(outcome: str) -> Decision:
    return Decision(outcome, accepted=False)


def decide_on_alarm(
    request: Request,
    record: AlarmRecord | None,
    *,
    newest: str | None,
    risen_again: datetime | None,
    now: datetime,
) -> Decision:
    """Return what follows from a request about an alarm.

    A request that was asked before the alarm became unacknowledged again is refused: the person has
    seen another sound (OPC UA Part 9 acknowledges an event of a condition for this reason).  A time
    after ``now`` is one of a clock that was ahead, and proves nothing.

    Args:
        request: The request.
        record: Its alarm; None where there is none.
        newest: Id of the machine's newest alarm.
        risen_again: When the alarm became unacknowledged again; None: it did not.
        now: The present time.

    """
    if record is None or record.machine != request.machine:
        return _refused(
            f"{request.machine} has no alarm {request.alarm_id}: see `alarms list --all`"
        )
    if request.verb is Verb.LABEL:
        return _decide_on_label(request, record)
    why_not = _why_not(request, record, risen_again, now)
    if why_not is not None:
        return _refused(f"{record.id} is not changed: {why_not}")
    if request.verb is Verb.ACK:
        return _decide_on_acknowledgement(request, record)
    if request.verb is Verb.UNSHELVE and not record.shelved:
        return Decision(f"{record.id} is not shelved")
    return _decide_on_newest(request, record, newest, now)


def _why_not(
    request: Request, record: AlarmRecord, risen_again: datetime | None, now: datetime
) -> str | None:
    """Return why a request cannot change the condition of an alarm."""
    trigger = _TRIGGERS.get(request.verb)
    if trigger is None:
        return f"{request.verb} is of the machine: leave out the id of an alarm"
    if (why_not := refusal(record.condition, trigger)) is not None:
        return why_not
    if record.acknowledged or risen_again is None or not request.time < risen_again <= now:
        return None
    return (
        f"it is unacknowledged again since {rfc3339(risen_again)}, after this was asked: look at it"
        " and ask again"
    )


def _decide_on_newest(
    request: Request, record: AlarmRecord, newest: str | None, now: datetime
) -> Decision:
    """Return what follows from a request that only the newest alarm of a machine takes."""
    if record.id != newest:
        return _refused(
            f"{record.id} is not changed: it is not the newest alarm of {record.machine}, which is"
            f" {newest}"
        )
    if request.verb is Verb.UNSHELVE:
        closed = "" if record.active else "; its sound is normal, and it is closed"
        seen = f"{record.id}: unshelved and acknowledged by {request.who}{closed}"
        return Decision(seen, trigger=Trigger.UNSHELVE)
    return _decide_on_shelving(request, record, now)


def _decide_on_acknowledgement(request: Request, record: AlarmRecord) -> Decision:
    if (record.condition, Trigger.ACKNOWLEDGE) in TRANSITIONS:
        return Decision(f"{record.id}: acknowledged by {request.who}", trigger=Trigger.ACKNOWLEDGE)
    if record.acknowledged_at is not None:
        by = f"{record.who}, {rfc3339(record.acknowledged_at)}"
        return Decision(f"{record.id}: already acknowledged by {by}")
    return _refused(f"{record.id} is closed: there is nothing to acknowledge")


def _decide_on_shelving(request: Request, record: AlarmRecord, now: datetime) -> Decision:
    until = _time_of(request.arguments.get("until"))
    if until is None:
        return _refused(f"{record.id} is not shelved: give a time until which it is")
    problem = problem_of_shelf(until, request.time, now)
    if problem is not None:
        return _refused(f"{record.id} is not shelved: {problem}")
    if until == record.shelved_until:
        return Decision(f"{record.id}: already shelved until {rfc3339(until)}")
    return Decision(
        f"{record.id}: shelved until {rfc3339(until)} by {request.who}",
        trigger=Trigger.SHELVE,
        shelved_until=until,
        shelved_for=until - max(request.time, now),
    )


def problem_of_shelf(until: datetime, asked: datetime, now: datetime) -> str | None:
    """Return why an alarm cannot be shelved until a time; None: it can.

    ``asked`` is the time of the request, which may have waited for the daemon.
    """
    if until <= now:
        return f"{rfc3339(until)} is over: give a later time"
    if until - asked < SHORTEST_SHELF:
        return "the shortest time is one minute: give a later time"
    if until - min(asked, now) > LONGEST_SHELF:  # a clock was ahead when it was asked
        return (
            "the longest time is 7 days: give an earlier time, or take the machine out of service"
            " (`alarms out-of-service`)"
        )
    return None


def _time_of(value: str | None) -> datetime | None:
    try:
        return time_of(value)
    except (TypeError, ValueError):
        return None


def _decide_on_label(request: Request, record: AlarmRecord) -> Decision:
    label = request.arguments.get("label")
    if label not in LABELS:
        return _refused(f"{record.id} is not labelled: the label is valid or invalid")
    if (record.label, record.label_why) == (label, request.why):
        return Decision(f"{record.id}: already labelled {label} by {record.labelled_by}")
    return Decision(f"{record.id}: labelled {label} by {request.who}", changes_label=True)


def decide_on_machine(
    request: Request, out_of_service: OutOfService | None, newest: AlarmRecord | None
) -> Decision:
    """Return what follows from a request about a machine, which may be out of service.

    The outcome says as well what becomes of its newest alarm.
    """
    machine = request.machine
    if request.verb is Verb.IN_SERVICE:
        if out_of_service is None:
            return Decision(f"{machine} is in service")
        outcome = f"{machine}: returned to service by {request.who}" + _shown_again(newest)
        return Decision(outcome, changes_service=True)
    if request.verb is not Verb.OUT_OF_SERVICE:
        return _refused(f"{request.verb} is of an alarm: give its id")
    if out_of_service is not None:
        by = f"{out_of_service.who}, {rfc3339(out_of_service.since)}: {out_of_service.why}"
        return Decision(f"{machine}: already out of service by {by}")
    if not request.why:
        return _refused(f"{machine} is not taken out of service: say why")
    outcome = f"{machine}: taken out of service by {request.who}"
    if newest is not None and (newest.condition, Trigger.TAKE_OUT_OF_SERVICE) in TRANSITIONS:
        outcome += f"; alarm {newest.id} is hidden until it returns"
    return Decision(outcome, changes_service=True)


def _shown_again(newest: AlarmRecord | None) -> str:
    """Return what becomes of the newest alarm of a machine that returns to service."""
    if newest is None or not newest.out_of_service:
        return ""
    if newest.active:
        return f"; alarm {newest.id} is unacknowledged: its sound is abnormal"
    by_that = "" if newest.acknowledged else ", and acknowledged by that"
    return f"; alarm {newest.id} is closed{by_that}: its sound is normal"
