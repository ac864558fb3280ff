"""What a person asks of the daemon by a form: the same requests as `asd-monitor alarms`.

They are added to the journal of the state folder, and their outcome is awaited there.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

from anyio import CapacityLimiter

from asd_monitor.daemon.state_lock import is_in_use
from asd_monitor.errors import UsageError
from asd_monitor.journal.asked import ANSWER_S, awaited_outcome, waiting_text
from asd_monitor.journal.commands import make_request, outcome_of
from asd_monitor.journal.request_decisions import LABELS, problem_of_shelf
from asd_monitor.journal.requests import Request, Verb
from asd_monitor.web.disk_access import on_disk
from asd_monitor.wording import quoted, rfc3339

SHELF_HOURS = (1, 8, 24)
"""Periods of shelving that the form offers, in h."""
_AT_ONCE = 4  # requests whose outcome is awaited
_ASK_S = 30.0  # others may be asked, and answered, before
_OF_ALARM = (Verb.ACK, Verb.SHELVE, Verb.UNSHELVE, Verb.LABEL, Verb.MARK_NORMAL)
_OF_MACHINE = (Verb.OUT_OF_SERVICE, Verb.IN_SERVICE)
_NEEDS_REASON = {
    Verb.SHELVE: "say why the alarm is shelved",
    Verb.MARK_NORMAL: "say why this sound is normal",
    Verb.OUT_OF_SERVICE: "say why the machine is out of service",
}


def asked_request(
    verb: str, machine: str, alarm: str | None, fields: Mapping[str, str], now: datetime
) -> Request:
    """Return the request of a form.

    Args:
        verb: What is asked, as in the address.
        machine: Id of the machine.
        alarm: Id of the alarm; None: the request is about the machine.
        fields: ``who``, ``why``, and what the verb needs.
        now: The present time.

    Raises:
        UsageError: A field is missing or wrong.

    """
    if verb not in (_OF_MACHINE if alarm is None else _OF_ALARM):
        raise UsageError(f"{quoted(verb)} cannot be asked here")
    asked = Verb(verb)
    who, why = fields.get("who", ""), fields.get("why") or None
    if not who:
        raise UsageError("write your name: it is recorded with what you do")
    if why is None and asked in _NEEDS_REASON:
        raise UsageError(_NEEDS_REASON[asked])
    return Request(
        asked, machine, who, now, alarm_id=alarm, why=why, arguments=_arguments(asked, fields, now)
    )


def _arguments(verb: Verb, fields: Mapping[str, str], now: datetime) -> dict[str, str]:
    if verb is Verb.SHELVE:
        until = _shelf_end(fields, now)
        problem = problem_of_shelf(until, now, now)
        if problem is not None:
            raise UsageError(problem)
        return {"until": rfc3339(until)}
    if verb is Verb.LABEL:
        label = fields.get("label", "")
        if label not in LABELS:
            raise UsageError("choose valid or invalid")
        return {"label": label}
    if verb is Verb.MARK_NORMAL and fields.get("withdraw"):
        return {"withdraw": "true"}
    return {}


def _shelf_end(fields: Mapping[str, str], now: datetime) -> datetime:
    """Return the end of a shelving: ``hours``, or ``until`` in the zone of the browser."""
    hours = fields.get("hours", "")
    if hours != "until":
        if hours not in map(str, SHELF_HOURS):
            raise UsageError("choose until when the alarm is shelved")
        return now + timedelta(hours=int(hours))
    try:
        until = datetime.fromisoformat(fields.get("until", ""))
        offset = timedelta(minutes=int(fields.get("utc_offset_min") or 0))
        zone = timezone(offset)
    except (ValueError, OverflowError) as error:
        raise UsageError("write a time, such as 2026-11-23T06:00") from error
    return (until if until.tzinfo else until.replace(tzinfo=zone)).astimezone(UTC)


class Asking:
    """Adds requests to the journal, and finds their outcome.

    Args:
        state: The state folder.

    """

    def __init__(self, state: Path) -> None:
        self._state = state
        self._limiter = CapacityLimiter(_AT_ONCE)

    async def ask(self, request: Request) -> None:
        """Add a request, and wait a while for its outcome.

        Raises UsageError and JournalError where it cannot be added, OperationError where the disk
        hangs.
        """
        await on_disk(lambda: self._ask(request), limiter=self._limiter, limit_s=_ASK_S)

    async def outcome(self, request_id: str) -> tuple[str, bool | None] | None:
        """Return the outcome of a request and whether it was accepted; None: it is unknown.

        Where it waits, the second value is None.
        """
        return await on_disk(
            lambda: self._outcome(request_id), limiter=self._limiter, limit_s=_ASK_S
        )

    def _ask(self, request: Request) -> None:
        make_request(self._state, request)
        if is_in_use(self._state):
            awaited_outcome(self._state, request, ANSWER_S)

    def _outcome(self, request_id: str) -> tuple[str, bool | None] | None:
        found = outcome_of(self._state, request_id)
        if found is None:
            return None
        if found.outcome is None:
            return waiting_text(found, is_running=is_in_use(self._state)), None
        return found.outcome, found.accepted
