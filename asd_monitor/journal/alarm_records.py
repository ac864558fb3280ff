"""Alarms and their transitions as the journal keeps them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from asd_monitor.alarm.state import (
    ACTIVE,
    OUT_OF_SERVICE,
    SHELVED,
    AlarmCondition,
    TransitionKind,
)


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
    shelved_until: datetime | None = None  # None: it is not shelved
    reason: str | None = None  # why it was raised, one sentence; None: not known
    views: Mapping[str, float] = field(default_factory=dict)
    """The highest deviations of views in the window that raised it."""
    provisional: bool | None = None  # whether the model that raised it was; None: not known
    label: str | None = None  # valid or invalid, by a person; None: not labelled
    label_why: str | None = None
    labelled_by: str | None = None
    scale_peaks: Mapping[float, float] | None = None
    """Highest alarm score of each time scale up to the acknowledgement; None: not known."""
    shortest_scale_s: float | None = None
    """Shortest time scale at which it reached the threshold up to the acknowledgement."""

    @property
    def active(self) -> bool:
        """Whether the sound is abnormal, or the latch holds the alarm active."""
        return self.condition in ACTIVE

    @property
    def acknowledged(self) -> bool:
        """Whether the alarm was acknowledged."""
        return self.acknowledged_at is not None

    @property
    def shelved(self) -> bool:
        """Whether the alarm is shelved."""
        return self.condition in SHELVED

    @property
    def out_of_service(self) -> bool:
        """Whether the alarm is hidden since its machine is out of service."""
        return self.condition in OUT_OF_SERVICE

    @property
    def latched(self) -> bool:
        """Whether the sound has returned to normal and the latch holds the alarm active."""
        return self.condition is AlarmCondition.LATCHED

    @property
    def closed(self) -> bool:
        """Whether nothing is to be done any more: it returned to normal and was seen."""
        return self.condition is AlarmCondition.NORMAL


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
