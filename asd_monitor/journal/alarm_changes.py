"""What a change of condition does to the record of an alarm; pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from asd_monitor.alarm.state import (
    NEW_ALARM,
    SHELVED,
    UNACKNOWLEDGED,
    Alarm,
    AlarmCondition,
    Transition,
)
from asd_monitor.journal.alarm_records import AlarmRecord

_SEEN = frozenset({AlarmCondition.ACKNOWLEDGED, AlarmCondition.NORMAL})
_OF_SOUND = NEW_ALARM | {AlarmCondition.LATCHED, AlarmCondition.ACKNOWLEDGED}
_CAUSING_VIEWS = 3  # of an alarm that are kept


@dataclass(frozen=True, slots=True)
class Cause:
    """The window that has caused a transition, where one did."""

    alarm_score: float | None = None
    time_scale_s: float | None = None
    views: Mapping[str, float] = field(default_factory=dict)  # their deviations
    provisional: bool | None = None  # whether the model was

    @property
    def highest_views(self) -> dict[str, float]:
        """The views that deviate most."""
        views = self.views
        highest = sorted(views, key=views.__getitem__, reverse=True)[:_CAUSING_VIEWS]
        return {name: views[name] for name in highest}


NO_CAUSE = Cause()


def new_record(
    id_: str, machine: str, alarm: Alarm, time: datetime, model: str | None
) -> AlarmRecord:
    """Return the record of an alarm that is raised."""
    return AlarmRecord(
        id=id_,
        machine=machine,
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


def after_transition(
    record: AlarmRecord,
    transition: Transition,
    alarm: Alarm,
    time: datetime,
    *,
    cause: Cause,
    asked: datetime | None,
) -> AlarmRecord:
    """Return the record after a transition, of which ``alarm`` is the state.

    ``asked`` is when a person has asked for it.
    """
    changed = in_condition(
        record, alarm.condition, time, who=transition.who, why=transition.why, asked=asked
    )
    changed = with_scores(changed, alarm)
    if is_raised_by_sound(transition.before, transition.after):
        changed = replace(
            changed,
            reason=transition.why,
            views=cause.highest_views,
            provisional=cause.provisional,
        )
    return changed


def is_raised_by_sound(before: str, after: str) -> bool:
    """Return whether a change raises an alarm, or the same one again, so that it says why."""
    return after == AlarmCondition.UNACKNOWLEDGED and before in _OF_SOUND


def with_scores(record: AlarmRecord, alarm: Alarm) -> AlarmRecord:
    """Return the record with the scores of an alarm."""
    return replace(
        record,
        peak_score=larger(record.peak_score, alarm.peak_score),
        scale_peaks=alarm.scale_peaks,
        shortest_scale_s=alarm.shortest_scale_s,
    )


def in_condition(
    record: AlarmRecord,
    condition: AlarmCondition,
    time: datetime,
    *,
    who: str | None,
    why: str,
    asked: datetime | None = None,
) -> AlarmRecord:
    """Return the record in a condition since ``time``, by a person who has ``asked``, or by itself.

    It is not cleared or acknowledged before it was raised, and its first acknowledgement stays
    until it is unacknowledged again.
    """
    time = max(time, record.raised)
    changed = replace(record, condition=condition)
    if changed.active:
        changed = replace(changed, cleared=None)
    elif record.active:
        changed = replace(changed, cleared=time)
    if condition in UNACKNOWLEDGED:
        changed = replace(changed, acknowledged_at=None, who=None, why=None)
    elif condition in _SEEN and who is not None and not record.acknowledged:
        seen = time if asked is None else max(asked, record.raised)
        changed = replace(changed, acknowledged_at=seen, who=who, why=why)
    if condition not in SHELVED:
        changed = replace(changed, shelved_until=None)
    return changed


def with_label(record: AlarmRecord, label: str | None, *, who: str, why: str | None) -> AlarmRecord:
    """Return the record with what a person has said of it."""
    return replace(record, label=label, label_why=why, labelled_by=who)


def larger(one: float | None, other: float) -> float | None:
    """Return the larger of two alarm scores; None is not known, and what is not finite neither."""
    if not math.isfinite(other):
        return one
    return other if one is None else max(one, other)
