"""What follows from a request to mark sound as normal, or to withdraw a mark; pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from asd_monitor.commissioning.blocks import BLOCK_S
from asd_monitor.commissioning.kept_sound import KeptSound
from asd_monitor.journal.alarm_records import AlarmRecord
from asd_monitor.journal.requests import Request
from asd_monitor.journal.row_values import time_of
from asd_monitor.records import NormalSpan
from asd_monitor.wording import count, length, rfc3339

OLDEST = timedelta(days=30)
"""How long ago marked sound may be: older sound is not kept."""
LONGEST = timedelta(days=1)
"""Of a span; of an alarm that has lasted longer the first day is marked."""
SHORTEST = timedelta(seconds=10)
"""Of a span of a machine: from less a model cannot learn."""
_LEAST_OF_ALARM = timedelta(seconds=5)  # of its kept sound: two windows without overlap
_BESIDE = timedelta(minutes=1)
"""An alarm is raised within its kept sound, or this close to it, unless the clock was set."""
STORED_WITHIN = timedelta(minutes=10)
"""After this time live sound is stored, as far as it is kept."""

Kept = Callable[[datetime, datetime], KeptSound | None]
"""Returns what is kept of the machine's sound between two times; None: that cannot be read."""


@dataclass(frozen=True, slots=True)
class MarkDecision:
    """What follows from a request."""

    outcome: str
    """One sentence, for the person who has asked."""
    accepted: bool = True
    marked: NormalSpan | None = None
    withdrawn: tuple[NormalSpan, ...] = ()


def _refused(outcome: str) -> MarkDecision:
    return MarkDecision(outcome, accepted=False)


def decide_on_mark(
    request: Request,
    record: AlarmRecord | None,
    spans: Sequence[NormalSpan],
    kept: Kept,
    *,
    now: datetime,
    on_delay_s: float,
    sound: tuple[datetime, datetime] | None = None,
) -> MarkDecision:
    """Return what follows from a request about the sound of an alarm, or of a span of time.

    Args:
        request: The request; its arguments are ``from`` and ``to`` (RFC 3339) where it names no
            alarm, and ``withdraw``.
        record: Its alarm; None where there is none.
        spans: What is marked of the machine's sound.
        kept: What is kept of it.
        now: The present time, of a recording that of its position.
        on_delay_s: On-delay of the machine's alarms.
        sound: Begin and end of the sound that is kept of the alarm; None: there is none.

    """
    if not request.why:
        return _refused("nothing is marked: say why")
    if request.alarm_id is None:
        return _decide_on_span(request, spans, kept, now)
    if record is None or record.machine != request.machine:
        return _refused(
            f"{request.machine} has no alarm {request.alarm_id}: see `alarms list --all`"
        )
    own = [span for span in spans if span.alarm_id == record.id]
    if "withdraw" in request.arguments:
        return _withdrawn(request, own, record.id)
    if record.label == "valid":
        return _refused(
            f"{record.id} is not marked: it is labelled valid by "
            f"{record.labelled_by or 'unknown'}: if its sound is normal, label it first "
            f"(`asd-monitor alarms label {record.id} invalid`)"
        )
    span = _span_of_alarm(record, sound, now, timedelta(seconds=on_delay_s))

    def kept_of_alarm(begin: datetime, end: datetime) -> KeptSound | None:
        found = kept(begin, end)
        if found is None:
            return None
        own_s = timedelta(0) if sound is None else min(sound[1], end) - max(sound[0], begin)
        return KeptSound(found.blocks, int(own_s >= _LEAST_OF_ALARM))

    return _decide_on_alarm(request, record, own, kept_of_alarm, span_of_alarm=span, now=now)


def _span_of_alarm(
    record: AlarmRecord,
    sound: tuple[datetime, datetime] | None,
    now: datetime,
    on_delay: timedelta,
) -> tuple[datetime, datetime]:
    """Return the time of the sound of an alarm, a day at most.

    Where the clock was set while it was active, it is that of its kept sound alone.
    """
    begin = max(record.raised - on_delay, now - OLDEST)
    end = min(record.cleared or now, begin + LONGEST)
    if sound is None:
        return begin, end
    is_within = sound[0] - _BESIDE <= record.raised <= sound[1] + _BESIDE
    return (begin, end) if is_within and begin < end else sound


def _decide_on_alarm(
    request: Request,
    record: AlarmRecord,
    own: Sequence[NormalSpan],
    kept: Kept,
    *,
    span_of_alarm: tuple[datetime, datetime],
    now: datetime,
) -> MarkDecision:
    """Return what follows from a mark of an alarm, of which ``own`` are the marks."""
    begin, end = span_of_alarm
    if end > now or record.raised > now:
        return _refused(
            f"{record.id} is not marked: its sound lies in the future, since the clock was set back"
        )
    if end <= begin or begin < now - OLDEST:
        return _refused(f"{record.id} is not marked: {_too_old(record.raised)}")
    if any(span.end >= end for span in own):
        return MarkDecision(f"{record.id}: already marked as normal by {own[-1].who}")
    span = NormalSpan(
        id=own[-1].id if own else request.id,
        machine=request.machine,
        begin=begin,
        end=end,
        who=request.who,
        why=request.why or "",
        time=request.time,
        alarm_id=record.id,
    )
    return _marked(span, record.id, kept, now)


def _decide_on_span(
    request: Request, spans: Sequence[NormalSpan], kept: Kept, now: datetime
) -> MarkDecision:
    """Return what follows from a mark of a span of time, or of its withdrawal."""
    machine = request.machine
    begin, end = (_time_of(request.arguments.get(key)) for key in ("from", "to"))
    if begin is None or end is None or end <= begin:
        return _refused(f"{machine}: nothing is marked: give two times, the earlier one first")
    what = f"{machine} from {rfc3339(begin)} to {rfc3339(end)}"
    if "withdraw" in request.arguments:
        within = [each for each in spans if each.begin < end and each.end > begin]
        return _withdrawn(request, [each for each in within if each.alarm_id is None], what)
    problem = problem_of_span(begin, end, now)
    if problem is not None:
        return _refused(f"{what} is not marked: {problem}")
    if any(each.begin <= begin and each.end >= end for each in spans):
        return MarkDecision(f"{what}: already marked as normal")
    span = NormalSpan(request.id, machine, begin, end, request.who, request.why or "", request.time)
    return _marked(span, what, kept, now)


def problem_of_span(begin: datetime, end: datetime, now: datetime) -> str | None:
    """Return why a span of time cannot be marked; None: it can."""
    if end > now:
        return "its end lies in the future: give an earlier time"
    if begin < now - OLDEST:
        return _too_old(begin)
    if end - begin > LONGEST:
        return "it is longer than a day: mark shorter spans"
    if end - begin < SHORTEST:
        return "it is shorter than ten seconds: mark more of it"
    return None


def _marked(span: NormalSpan, what: str, kept: Kept, now: datetime) -> MarkDecision:
    found = kept(span.begin, span.end)
    done = f"{what}: marked as normal by {span.who}"
    refit = f"`asd-monitor models refit {span.machine}` makes a candidate with it"
    if found is None:
        return MarkDecision(
            f"{done}; the stored sound cannot be read now, so it is unknown how much of it is "
            f"kept: {refit}",
            marked=span,
        )
    if found:
        return MarkDecision(f"{done}; {_text_of(found)} is kept: {refit}", marked=span)
    if span.end > now - STORED_WITHIN:
        return MarkDecision(
            f"{done}; none of its sound is stored yet, which takes some minutes: then {refit}",
            marked=span,
        )
    return _refused(
        f"{what} is not marked: none of its sound is kept, so that no model can be extended with "
        "it: record the machine as it runs now and train again, or mark it where it has sounded "
        "so since"
    )


def _text_of(kept: KeptSound) -> str:
    parts = []
    if kept.blocks:
        parts.append(f"{length(kept.blocks * BLOCK_S)} of live sound")
    if kept.alarms:
        parts.append(f"the sound of {count(kept.alarms, 'alarm')}")
    return " and ".join(parts)


def _withdrawn(request: Request, spans: Sequence[NormalSpan], what: str) -> MarkDecision:
    if not spans:
        return MarkDecision(f"{what} is not marked as normal")
    label = "" if request.alarm_id is None else "; its label stays, see `alarms label`"
    return MarkDecision(
        f"{what}: the mark is withdrawn by {request.who}{label}; a model that was extended with "
        "this sound stays as it is: `asd-monitor models rollback` returns to the one before",
        withdrawn=tuple(spans),
    )


def _too_old(time: datetime) -> str:
    return f"{rfc3339(time)} is more than {OLDEST.days} days ago, and older sound is not kept"


def _time_of(value: str | None) -> datetime | None:
    try:
        return time_of(value)
    except (TypeError, ValueError):
        return None
