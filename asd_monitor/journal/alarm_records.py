"""Alarms and their transitions as the journal keeps them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from asd_monitor.alarm.state import ACTIVE, AlarmCondition, TransitionKind


@dataclass(frozen=True, slots=True)
class AlarmRecord:
    """One alarm; times have a time zone, UTC."""

    id: str
    machine: str
    severity: str
    condition: AlarmCondition
    raised: datetime
    cleared: datetime | None
    acknowledged_at: datetime | None
    who: str | None  # acknowledged it
    why: str | None  # what was found or done
    peak_score: float | None  # highest alarm score; None: not known
    model: str | None
    evidence: str | None = None
    time_scale_s: float | None = None  # of the alarm score that raised it; None: not known
    reason: str | None = field(default=None, compare=False)
    """Why it was raised; not in its row of the journal but in that of its event."""

    @property
    def active(self) -> bool:
        """Whether the alarm is active."""
        return self.condition in ACTIVE

    @property
    def acknowledged(self) -> bool:
        """Whether the alarm was acknowledged, even where no daemon has applied that yet."""
        return self.acknowledged_at is not None

    @property
    def latched(self) -> bool:
        """Whether the sound has returned to normal and the latch holds the alarm active."""
        return self.condition is AlarmCondition.LATCHED

    @property
    def closed(self) -> bool:
        """Whether the alarm is neither active nor unacknowledged."""
        return self.acknowledged and not self.active


@dataclass(frozen=True, slots=True)
class Event:
    """One transition; ``before`` and ``after`` are values of the enumeration of its kind."""

    id: str
    machine: str
    time: datetime
    kind: TransitionKind
    before: str
    after: str
    who: str | None
    why: str
    alarm_id: str | None
    seq: int | None = field(default=None, compare=False)
    """Number of the machine's event, given when it is written; None: not written, or by a version
    before the outbox."""
    alarm: AlarmRecord | None = field(default=None, compare=False)  # after it; not in the journal
    alarm_score: float | None = field(default=None, compare=False)
    """That caused it, where one did; kept until it is published."""
    time_scale_s: float | None = field(default=None, compare=False)
    """Of this alarm score."""
