"""The states of an alarm and the transitions between them, as data.

Only this belongs here: no clock, no machine names, no storage.  Every change of an alarm's
condition is an entry of `TRANSITIONS`.

The conditions are states of ISA-18.2 / IEC 62682 (the letters are those of the standard's
state diagram), with a latch as LatchedState of OPC UA Part 9:

    condition            active  acknowledged
    NORMAL          A    no      -             normal, no alarm or the alarm is closed
    UNACKNOWLEDGED  B    yes     no            unacknowledged alarm
    ACKNOWLEDGED    C    yes     yes           acknowledged alarm
    RETURNED        D    no      no            returned to normal, unacknowledged
    LATCHED         -    yes     no            returned to normal, held active by the latch until
                                               acknowledged

The `warning` is a state of the machine and not an alarm: it has its own threshold and the same
delays, is not latched and is not acknowledged.

Time is the sample index of the newest sample that enters a score.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum, StrEnum, auto

from asd_monitor.alarm.scale_tail import ScaleTail
from asd_monitor.records import Thresholds, WhenQuiet


class AlarmCondition(StrEnum):
    """State of an alarm."""

    NORMAL = "normal"
    UNACKNOWLEDGED = "unacknowledged"
    ACKNOWLEDGED = "acknowledged"
    LATCHED = "latched"
    RETURNED = "returned"


class Trigger(Enum):
    """Causes of a transition."""

    ALARM = auto()
    """The alarm score was at or above the alarm threshold for the on-delay."""
    RETURN_TO_NORMAL = auto()
    """The alarm score was below the warning threshold for the off-delay (alarm without latch).

    Between the two thresholds lies a dead band, so that an alarm does not chatter."""
    RETURN_TO_NORMAL_LATCHED = auto()
    """The same for an alarm with latch."""
    ACKNOWLEDGE = auto()
    MONITORING_ENDED = auto()
    """The machine is not monitored any more: its sound cannot return to normal."""
    SUPERSEDED = auto()
    """A newer alarm of the machine was raised while this one was not known: it goes on as that."""


TRANSITIONS: dict[tuple[AlarmCondition, Trigger], AlarmCondition] = {
    # a new alarm
    (AlarmCondition.NORMAL, Trigger.ALARM): AlarmCondition.UNACKNOWLEDGED,
    (AlarmCondition.RETURNED, Trigger.ALARM): AlarmCondition.UNACKNOWLEDGED,
    # the same alarm again
    (AlarmCondition.LATCHED, Trigger.ALARM): AlarmCondition.UNACKNOWLEDGED,
    (AlarmCondition.UNACKNOWLEDGED, Trigger.RETURN_TO_NORMAL): AlarmCondition.RETURNED,
    (AlarmCondition.UNACKNOWLEDGED, Trigger.RETURN_TO_NORMAL_LATCHED): AlarmCondition.LATCHED,
    (AlarmCondition.ACKNOWLEDGED, Trigger.RETURN_TO_NORMAL): AlarmCondition.NORMAL,
    (AlarmCondition.ACKNOWLEDGED, Trigger.RETURN_TO_NORMAL_LATCHED): AlarmCondition.NORMAL,
    # the latch was removed from the configuration
    (AlarmCondition.LATCHED, Trigger.RETURN_TO_NORMAL): AlarmCondition.RETURNED,
    (AlarmCondition.UNACKNOWLEDGED, Trigger.ACKNOWLEDGE): AlarmCondition.ACKNOWLEDGED,
    (AlarmCondition.LATCHED, Trigger.ACKNOWLEDGE): AlarmCondition.ACKNOWLEDGED,
    (AlarmCondition.RETURNED, Trigger.ACKNOWLEDGE): AlarmCondition.NORMAL,
    (AlarmCondition.ACKNOWLEDGED, Trigger.MONITORING_ENDED): AlarmCondition.NORMAL,
    (AlarmCondition.UNACKNOWLEDGED, Trigger.SUPERSEDED): AlarmCondition.RETURNED,
    (AlarmCondition.LATCHED, Trigger.SUPERSEDED): AlarmCondition.RETURNED,
    (AlarmCondition.ACKNOWLEDGED, Trigger.SUPERSEDED): AlarmCondition.NORMAL,
}
"""A trigger without an entry changes nothing."""

ACTIVE = frozenset(
    {AlarmCondition.UNACKNOWLEDGED, AlarmCondition.ACKNOWLEDGED, AlarmCondition.LATCHED}
)
UNACKNOWLEDGED = frozenset(
    {AlarmCondition.UNACKNOWLEDGED, AlarmCondition.LATCHED, AlarmCondition.RETURNED}
)


@dataclass(frozen=True, slots=True)
class AlarmRule:
    """The alarm rule of one machine."""

    thresholds: Thresholds  # of the alarm score
    hop_s: float  # from window to window
    window_s: float = 1.984  # length of a window
    tails: tuple[ScaleTail, ...] = ()  # of the time scales in use, the shortest first
    effect_bound: float = math.inf
    """Evidence of the shortest time scale at which the alarm score is at least the threshold."""
    on_delay_s: float = 3.0
    off_delay_s: float = 10.0
    latch: bool = True
    when_quiet: WhenQuiet = WhenQuiet.WARN


@dataclass(frozen=True, slots=True)
class Alarm:
    """One alarm of one machine.

    ``number`` counts the alarms of the machine from 1.  The sample indices are None if the
    alarm was raised or cleared in an earlier run of the program.
    """

    number: int
    condition: AlarmCondition
    peak_score: float  # highest alarm score, including that of the on-delay
    time_scale_s: float | None = None  # of the alarm score that raised it; None: not known
    raised: int | None = None
    cleared: int | None = None

    @property
    def active(self) -> bool:
        """Whether the alarm is active, the latch included."""
        return self.condition in ACTIVE

    @property
    def acknowledged(self) -> bool:
        """Whether the alarm is acknowledged."""
        return self.condition not in UNACKNOWLEDGED

    @property
    def latched(self) -> bool:
        """Whether the sound has returned to normal and the latch holds the alarm active."""
        return self.condition is AlarmCondition.LATCHED


class TransitionKind(StrEnum):
    """What changed."""

    STATE = "state"  # of the machine: MachineState
    ALARM = "alarm"  # of an alarm: AlarmCondition
    MICROPHONE = "microphone"  # MicrophoneState: begin and end of a dead channel


@dataclass(frozen=True, slots=True)
class Transition:
    """A change of state; ``before`` and ``after`` are values of the enum of its kind."""

    sample: int
    kind: TransitionKind
    before: str
    after: str
    why: str
    who: str | None = None  # who acknowledged; None: the sound is the cause
    alarm: Alarm | None = None  # for kind ALARM: the alarm after the change
