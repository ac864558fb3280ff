"""Requests of a person, applied at once to one machine with its journal."""

from __future__ import annotations

from datetime import datetime

from asd_monitor.journal.commands import make_request, outcome_of
from asd_monitor.journal.requests import (
    Request,
    Verb,
)
from asd_monitor.journal.store import Journal
from tests.doubles.journalled_machine import (
    FAN_ALARM,
    JournalledMachine,
)


def ask(
    fan: JournalledMachine,
    verb: Verb,
    *,
    alarm_id: str | None = FAN_ALARM,
    who: str = "ann",
    why: str | None = "a test",
    until: datetime | None = None,
    label: str | None = None,
) -> str:
    """Make a request and apply it; return its outcome, with a mark where it was refused."""
    arguments = {} if until is None else {"until": until.isoformat()}
    arguments |= {} if label is None else {"label": label}
    request = Request(verb, "fan01", who, fan.now, alarm_id=alarm_id, why=why, arguments=arguments)
    state = fan.journal.path.parent
    make_request(state, request)
    fan.journal.maintain()
    fan.apply()
    settled = outcome_of(state, request.id)
    assert settled is not None
    assert settled.outcome is not None
    return settled.outcome if settled.accepted else f"refused: {settled.outcome}"


def raised(journal: Journal, *, latch: bool = True) -> JournalledMachine:
    """Return a machine whose alarm is raised."""
    fan = JournalledMachine(journal, latch=latch)
    fan.play(8.0, 20)
    return fan


def condition(fan: JournalledMachine) -> str:
    """Return the condition of the newest alarm, which is the same in memory and in the file."""
    (stored, *_) = fan.journal.alarms("fan01")
    assert stored == fan.machine.newest
    assert fan.monitor.alarm is not None
    assert fan.monitor.alarm.condition is stored.condition
    return stored.condition


def path_of(journal: Journal, alarm_id: str = FAN_ALARM) -> list[tuple[str, str | None]]:
    """Return the conditions of an alarm so far, and who changed each."""
    return [(event.after, event.who) for event in journal.events(alarm_id)]
