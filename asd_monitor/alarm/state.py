"""The states of an alarm and the transitions between them, as data.

Only this belongs here: no clock, no machine names, no storage.  Every change of an alarm's
condition is an entry of `TRANSITIONS`.

The conditions are states of ISA-18.2 / IEC 62682 (the letters are those of the standard's
state diagram), with a latch as LatchedState of OPC UA Part 9:

    condition                  active  acknowledged
    NORMAL                  A    no      -       normal, no alarm or the alarm is closed
    UNACKNOWLEDGED          B    yes     no      unacknowledged alarm
    ACKNOWLEDGED            C    yes     yes     acknowledged alarm
    RETURNED                D    no      no      returned to normal, unacknowledged
    LATCHED                 -    yes     no      returned to normal, held active by the latch until
                                                 acknowledged
    SHELVED                 E    yes     -       hidden until a time, by a person
    SHELVED_RETURNED        E    no      -       the same; the sound has returned to normal
    OUT_OF_SERVICE          G    yes     -       hidden while the machine is out of service
    OUT_OF_SERVICE_RETURNED G    no      -       the same; the sound has returned to normal

Shelving and out of service hide an alarm and do not stop its evaluation (OPC UA Part 9, 4.8): the
sound is followed below them.  Suppression by design (F) is no condition: nothing is evaluated then.

The `warning` is a state of the machine and not an alarm: it has its own threshold and the same
delays, is not latched and is not acknowledged.

Time is the sample index of the newest sample that enters a score.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
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
    SHELVED = "shelved"
    SHELVED_RETURNED = "shelved_returned"
    OUT_OF_SERVICE = "out_of_service"
    OUT_OF_SERVICE_RETURNED = "out_of_service_returned"


class Trigger(Enum):
    """Causes of a transition."""

    ALARM = auto()
    """The alarm score was at or above the alarm threshold for the on-delay."""
    RETURN_TO_NORMAL = auto()
    """The alarm score was below the warning threshold for the off-delay (alarm without latch).

    Between the two thresholds lies a dead band, so that an alarm does not chatter."""
    RETURN_TO_NORMAL_LATCHED = auto()
    """The same for an alarm with latch."""
    RE_ALARM = auto()
    """The sound of an acknowledged alarm is worse than a person has seen: see
    `asd_monitor.alarm.re_alarm`."""
    ACKNOWLEDGE = auto()
    SHELVE = auto()
    """A person hides the alarm until a time."""
    UNSHELVE = auto()
    """A person ends the shelving, and has seen the alarm thereby."""
    SHELF_EXPIRED = auto()
    """The time of the shelving is over.

    One whose sound has returned to normal is not latched by it: a person has seen the alarm, and
    many shelves may end at one time."""
    TAKE_OUT_OF_SERVICE = auto()
    """The machine is taken out of service, for maintenance."""
    RETURN_TO_SERVICE = auto()
    SERVICE_LOST = auto()
    """It is not known any more that the machine is out of service, since its journal was damaged:
    nobody has returned it, so that nobody has seen the alarm."""
    MONITORING_ENDED = auto()
    """The machine is not monitored any more: its sound cannot return to normal."""
    SUPERSEDED = auto()
    """A newer alarm of the machine was raised while this one was not known: it goes on as that."""


_C, _T = AlarmCondition, Trigger

TRANSITIONS: dict[tuple[AlarmCondition, Trigger], AlarmCondition] = {
    # a new alarm
    (_C.NORMAL, _T.ALARM): _C.UNACKNOWLEDGED,
    (_C.RETURNED, _T.ALARM): _C.UNACKNOWLEDGED,
    # the same alarm again
    (_C.LATCHED, _T.ALARM): _C.UNACKNOWLEDGED,
    (_C.ACKNOWLEDGED, _T.RE_ALARM): _C.UNACKNOWLEDGED,
    (_C.UNACKNOWLEDGED, _T.RETURN_TO_NORMAL): _C.RETURNED,
    (_C.UNACKNOWLEDGED, _T.RETURN_TO_NORMAL_LATCHED): _C.LATCHED,
    (_C.ACKNOWLEDGED, _T.RETURN_TO_NORMAL): _C.NORMAL,
    (_C.ACKNOWLEDGED, _T.RETURN_TO_NORMAL_LATCHED): _C.NORMAL,
    # the latch was removed from the configuration
    (_C.LATCHED, _T.RETURN_TO_NORMAL): _C.RETURNED,
    (_C.UNACKNOWLEDGED, _T.ACKNOWLEDGE): _C.ACKNOWLEDGED,
    (_C.LATCHED, _T.ACKNOWLEDGE): _C.ACKNOWLEDGED,
    (_C.RETURNED, _T.ACKNOWLEDGE): _C.NORMAL,
    # shelved: the sound is followed below it; another time may be set
    (_C.UNACKNOWLEDGED, _T.SHELVE): _C.SHELVED,
    (_C.ACKNOWLEDGED, _T.SHELVE): _C.SHELVED,
    (_C.LATCHED, _T.SHELVE): _C.SHELVED_RETURNED,
    (_C.RETURNED, _T.SHELVE): _C.SHELVED_RETURNED,
    (_C.SHELVED, _T.SHELVE): _C.SHELVED,
    (_C.SHELVED_RETURNED, _T.SHELVE): _C.SHELVED_RETURNED,
    (_C.SHELVED, _T.RETURN_TO_NORMAL): _C.SHELVED_RETURNED,
    (_C.SHELVED, _T.RETURN_TO_NORMAL_LATCHED): _C.SHELVED_RETURNED,
    (_C.SHELVED_RETURNED, _T.ALARM): _C.SHELVED,
    (_C.SHELVED, _T.UNSHELVE): _C.ACKNOWLEDGED,
    (_C.SHELVED_RETURNED, _T.UNSHELVE): _C.NORMAL,
    (_C.SHELVED, _T.SHELF_EXPIRED): _C.UNACKNOWLEDGED,
    (_C.SHELVED_RETURNED, _T.SHELF_EXPIRED): _C.RETURNED,
    # out of service: the same, and it ends the shelving
    (_C.UNACKNOWLEDGED, _T.TAKE_OUT_OF_SERVICE): _C.OUT_OF_SERVICE,
    (_C.ACKNOWLEDGED, _T.TAKE_OUT_OF_SERVICE): _C.OUT_OF_SERVICE,
    (_C.SHELVED, _T.TAKE_OUT_OF_SERVICE): _C.OUT_OF_SERVICE,
    (_C.LATCHED, _T.TAKE_OUT_OF_SERVICE): _C.OUT_OF_SERVICE_RETURNED,
    (_C.RETURNED, _T.TAKE_OUT_OF_SERVICE): _C.OUT_OF_SERVICE_RETURNED,
    (_C.SHELVED_RETURNED, _T.TAKE_OUT_OF_SERVICE): _C.OUT_OF_SERVICE_RETURNED,
    (_C.OUT_OF_SERVICE, _T.RETURN_TO_NORMAL): _C.OUT_OF_SERVICE_RETURNED,
    (_C.OUT_OF_SERVICE, _T.RETURN_TO_NORMAL_LATCHED): _C.OUT_OF_SERVICE_RETURNED,
    (_C.OUT_OF_SERVICE_RETURNED, _T.ALARM): _C.OUT_OF_SERVICE,
    (_C.OUT_OF_SERVICE, _T.RETURN_TO_SERVICE): _C.UNACKNOWLEDGED,
    (_C.OUT_OF_SERVICE_RETURNED, _T.RETURN_TO_SERVICE): _C.NORMAL,
    (_C.OUT_OF_SERVICE, _T.SERVICE_LOST): _C.UNACKNOWLEDGED,
    (_C.OUT_OF_SERVICE_RETURNED, _T.SERVICE_LOST): _C.RETURNED,
    (_C.ACKNOWLEDGED, _T.MONITORING_ENDED): _C.NORMAL,
    (_C.UNACKNOWLEDGED, _T.SUPERSEDED): _C.RETURNED,
    (_C.LATCHED, _T.SUPERSEDED): _C.RETURNED,
    (_C.ACKNOWLEDGED, _T.SUPERSEDED): _C.NORMAL,
    (_C.SHELVED, _T.SUPERSEDED): _C.RETURNED,
    (_C.SHELVED_RETURNED, _T.SUPERSEDED): _C.RETURNED,
    (_C.OUT_OF_SERVICE, _T.SUPERSEDED): _C.RETURNED,
    (_C.OUT_OF_SERVICE_RETURNED, _T.SUPERSEDED): _C.RETURNED,
}
"""A trigger without an entry changes nothing."""

SHELVED = frozenset({_C.SHELVED, _C.SHELVED_RETURNED})
OUT_OF_SERVICE = frozenset({_C.OUT_OF_SERVICE, _C.OUT_OF_SERVICE_RETURNED})
ACTIVE = frozenset({_C.UNACKNOWLEDGED, _C.ACKNOWLEDGED, _C.LATCHED, _C.SHELVED, _C.OUT_OF_SERVICE})
UNACKNOWLEDGED = frozenset({_C.UNACKNOWLEDGED, _C.LATCHED, _C.RETURNED})
NEW_ALARM = frozenset({_C.NORMAL, _C.RETURNED})
"""Conditions in which an alarm that is due is a new one, and not the same again."""


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
    shortest_scale_s: float | None = None
    """Shortest time scale at which it has reached the alarm threshold, up to the acknowledgement;
    None: not known, or it was raised by quiet sound."""
    scale_peaks: Mapping[float, float] | None = field(default=None, hash=False)
    """Highest alarm score of each time scale, up to the acknowledgement; None: not known."""

    @property
    def active(self) -> bool:
        """Whether the sound is abnormal, or the latch holds the alarm active."""
        return self.condition in ACTIVE

    @property
    def acknowledged(self) -> bool:
        """Whether the alarm is acknowledged, or closed; a hidden one is not."""
        return self.condition in (AlarmCondition.ACKNOWLEDGED, AlarmCondition.NORMAL)

    @property
    def latched(self) -> bool:
        """Whether the sound has returned to normal and the latch holds the alarm active."""
        return self.condition is AlarmCondition.LATCHED

    @property
    def out_of_service(self) -> bool:
        """Whether the alarm is hidden since the machine is out of service."""
        return self.condition in OUT_OF_SERVICE


class TransitionKind(StrEnum):
    """What changed."""

    STATE = "state"  # of the machine: MachineState
    ALARM = "alarm"  # of an alarm: AlarmCondition
    MICROPHONE = "microphone"  # MicrophoneState: begin and end of a dead channel
    SERVICE = "service"  # of the machine: ServiceState
    MARK = "mark"  # of sound: SoundMark


class ServiceState(StrEnum):
    """Whether a machine is in service; its alarms are hidden while it is not."""

    IN_SERVICE = "in_service"
    OUT_OF_SERVICE = "out_of_service"


class SoundMark(StrEnum):
    """What a person has said of a span of sound."""

    NONE = "not_marked"
    NORMAL = "marked_normal"


@dataclass(frozen=True, slots=True)
class Transition:
    """A change of state; ``before`` and ``after`` are values of the enum of its kind."""

    sample: int
    kind: TransitionKind
    before: str
    after: str
    why: str
    who: str | None = None  # whose change it is; None: the sound or a time is the cause
    alarm: Alarm | None = None  # for kind ALARM: the alarm after the change
