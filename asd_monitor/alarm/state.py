"""When an alarm rises and when it clears.

Two rules about what belongs here: nothing but the rule (no clock, no names of machines,
no storage), and every change of an alarm's condition stands in `TRANSITIONS`.

The conditions are those of ISA-18.2 (letters as there), with the latch that OPC UA
Part 9 knows as LatchedState:

    condition        active  acknowledged
    NORMAL           no      -      A     nothing, or all is done
    UNACKNOWLEDGED   yes     no     B     the sound is wrong and nobody said "seen"
    ACKNOWLEDGED     yes     yes    C     somebody did; it lasts until the sound is calm
    LATCHED          yes     no     -     the sound is calm, the alarm held until seen
    RETURNED         no      no     D     the same without latch: cleared by itself

Four signals move them.  RISE: the alarm score was at or above the threshold in every
window for the on-delay.  FALL: it was below the warning's threshold for the off-delay,
so that between the two lies a dead band, in which a fault at the edge does not come and
go; HOLD is what FALL becomes under the latch.  ACKNOWLEDGE: somebody said so.

Below the alarm is the `warning`, a state of the machine and not an alarm: it has its own
threshold and the same delays, is never latched and needs no acknowledgement.

While the sound is not evaluated (a gap, an outage, a dead channel) and while the machine is
idle an alarm neither rises nor clears.  A gap restarts every delay.  An idle pause suspends
them: both delays count running time only, since a machine on a short duty cycle never runs for
a whole delay at a stretch.

Time is the sample index of the newest sample that a score knows.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum, StrEnum, auto

from asd_monitor.records import MachineState, Thresholds


class Condition(StrEnum):
    """Where an alarm stands between rising and being done with."""

    NORMAL = "normal"
    UNACKNOWLEDGED = "unacknowledged"
    ACKNOWLEDGED = "acknowledged"
    LATCHED = "latched"
    RETURNED = "returned"


class Signal(Enum):
    """What moves an alarm from one condition to another."""

    RISE = auto()
    FALL = auto()
    HOLD = auto()
    ACKNOWLEDGE = auto()


TRANSITIONS: dict[tuple[Condition, Signal], Condition] = {
    (Condition.NORMAL, Signal.RISE): Condition.UNACKNOWLEDGED,  # a new alarm
    (Condition.UNACKNOWLEDGED, Signal.ACKNOWLEDGE): Condition.ACKNOWLEDGED,
    (Condition.UNACKNOWLEDGED, Signal.HOLD): Condition.LATCHED,
    (Condition.UNACKNOWLEDGED, Signal.FALL): Condition.RETURNED,
    (Condition.LATCHED, Signal.RISE): Condition.UNACKNOWLEDGED,  # still the same alarm
    (Condition.LATCHED, Signal.ACKNOWLEDGE): Condition.ACKNOWLEDGED,  # FALL follows at once
    (Condition.LATCHED, Signal.FALL): Condition.RETURNED,  # the latch was configured away
    (Condition.ACKNOWLEDGED, Signal.FALL): Condition.NORMAL,
    (Condition.ACKNOWLEDGED, Signal.HOLD): Condition.NORMAL,
    (Condition.RETURNED, Signal.ACKNOWLEDGE): Condition.NORMAL,
    (Condition.RETURNED, Signal.RISE): Condition.UNACKNOWLEDGED,  # a new alarm
}
"""A signal without an entry changes nothing."""

ACTIVE = frozenset({Condition.UNACKNOWLEDGED, Condition.ACKNOWLEDGED, Condition.LATCHED})
UNSEEN = frozenset({Condition.UNACKNOWLEDGED, Condition.LATCHED, Condition.RETURNED})


class TransitionKind(StrEnum):
    """What changed."""

    STATE = "state"  # of the machine: MachineState
    ALARM = "alarm"  # its alarm: Condition
    MICROPHONE = "microphone"  # MicrophoneState: a dead channel and its end


@dataclass(frozen=True, slots=True)
class AlarmRule:
    """The rule of one machine, in the units of its detector."""

    thresholds: Thresholds
    hop_s: float  # from window to window
    on_delay_s: float = 3.0
    off_delay_s: float = 10.0
    latch: bool = True


@dataclass(frozen=True, slots=True)
class Alarm:
    """One alarm of one machine, as it stands.

    ``number`` counts the machine's alarms from 1; whoever stores them keeps their names.  Sample
    indices are None where an earlier run of the program saw them.
    """

    number: int
    condition: Condition
    peak_score: float  # greatest alarm score, the on-delay included
    raised: int | None = None
    cleared: int | None = None

    @property
    def active(self) -> bool:
        """Whether it stands: the sound is wrong, or the latch holds it."""
        return self.condition in ACTIVE

    @property
    def acknowledged(self) -> bool:
        """Whether somebody has seen it."""
        return self.condition not in UNSEEN

    @property
    def latched(self) -> bool:
        """Whether only the latch holds it: the sound is calm again."""
        return self.condition is Condition.LATCHED


@dataclass(frozen=True, slots=True)
class Transition:
    """Something changed; ``before`` and ``after`` are values of the enum of its kind."""

    sample: int
    kind: TransitionKind
    before: str
    after: str
    why: str
    who: str | None = None  # None: the sound itself
    alarm: Alarm | None = None  # for kind ALARM: the alarm after the change


class _Span:
    """For how long something has been so without a break; ``at`` is in samples."""

    def __init__(self) -> None:
        self._since: int | None = None

    def update(self, *, so: bool, at: int) -> None:
        if not so:
            self._since = None
        elif self._since is None:
            self._since = at

    def lasts(self, samples: int, *, at: int) -> bool:
        return self._since is not None and at - self._since >= samples


class AlarmMachine:
    """The alarm of one machine; each method returns what changed, in order."""

    def __init__(self, rule: AlarmRule, rate_hz: int, standing: Alarm | None = None) -> None:
        self.rule = rule
        self._on_delay = round(rule.on_delay_s * rate_hz)
        self._off_delay = round(rule.off_delay_s * rate_hz)
        self._alarm = standing or Alarm(0, Condition.NORMAL, 0.0)
        self._warning = False
        self._idle = False
        self._excess_peak = 0.0
        self._calm = False  # the off-delay was over at the last score, and that still counts
        self._idle_for = _Span()
        self._newest = 0  # sample index of the newest window
        self._paused = 0  # samples in which the machine was idle
        self._forget()
        self._state = self._current_state()

    @property
    def alarm(self) -> Alarm | None:
        """The newest alarm; None before the first."""
        return self._alarm if self._alarm.number else None

    @property
    def state(self) -> MachineState:
        """`alarm` while an alarm is active, whatever else holds."""
        return self._state

    def observe(self, at: int, score: float, *, settled: bool = True) -> tuple[Transition, ...]:
        """Take the alarm score of a machine that runs.

        While ``settled`` is false a low score proves nothing and starts no off-delay.
        """
        self._idle = False
        self._idle_for.update(so=False, at=at)
        self._newest = at
        running = at - self._paused
        thresholds = self.rule.thresholds
        self._excess.update(so=score >= thresholds.alarm, at=running)
        self._warm.update(so=score >= thresholds.warning, at=running)
        self._cool.update(so=settled and score < thresholds.warning, at=running)

        if self._warm.lasts(self._on_delay, at=running):
            self._warning = True
        elif self._cool.lasts(self._off_delay, at=running):
            self._warning = False

        changes: list[Transition] = []
        self._calm = self._cool.lasts(self._off_delay, at=running)
        self._excess_peak = max(self._excess_peak, score) if score >= thresholds.alarm else 0.0
        if self._excess.lasts(self._on_delay, at=running):
            why = f"alarm score at least {thresholds.alarm:.2f} for {self.rule.on_delay_s:g} s"
            changes += self._signal(Signal.RISE, at, why)
        elif self._calm:
            changes += self._fall(at)
        if self._alarm.active:
            peak = max(self._alarm.peak_score, self._excess_peak, score)
            self._alarm = replace(self._alarm, peak_score=peak)
        return (*changes, *self._changed_state(at))

    def rest(self, at: int) -> tuple[Transition, ...]:
        """Take a window in which the machine was off; the delays are suspended.

        The state becomes `idle` when it was off for the on-delay, so that it does not
        flicker at the edge.
        """
        self._paused += at - self._newest
        self._newest = at
        self._calm = False  # an acknowledgement clears nothing before the machine runs again
        self._idle_for.update(so=True, at=at)
        self._idle = self._idle or self._idle_for.lasts(self._on_delay, at=at)
        return self._changed_state(at)

    def interrupt(self) -> None:
        """Restart every delay with the next score: the sound is not evaluated until then."""
        self._forget()
        self._idle_for = _Span()

    def acknowledge(self, at: int, number: int, who: str, why: str) -> tuple[Transition, ...]:
        """Acknowledge the alarm of that number; an older one or a seen one changes nothing."""
        if number != self._alarm.number:
            return ()
        changes = self._signal(Signal.ACKNOWLEDGE, at, why, who)
        if changes and self._calm:
            changes += self._fall(at)
        return (*changes, *self._changed_state(at))

    def _forget(self) -> None:
        self._excess, self._warm, self._cool = _Span(), _Span(), _Span()
        self._calm = False
        self._excess_peak = 0.0

    def _fall(self, at: int) -> list[Transition]:
        signal = Signal.HOLD if self.rule.latch else Signal.FALL
        why = (
            f"alarm score below {self.rule.thresholds.warning:.2f} for {self.rule.off_delay_s:g} s"
        )
        return self._signal(signal, at, why)

    def _signal(
        self, signal: Signal, at: int, why: str, who: str | None = None
    ) -> list[Transition]:
        before = self._alarm
        after = TRANSITIONS.get((before.condition, signal))
        if after is None:
            return []
        if after in ACTIVE and not before.active:
            self._alarm = Alarm(before.number + 1, after, self._excess_peak, raised=at)
        else:
            cleared = at if before.active and after not in ACTIVE else before.cleared
            self._alarm = replace(before, condition=after, cleared=cleared)
        return [
            Transition(
                at, TransitionKind.ALARM, before.condition, after, why, who, alarm=self._alarm
            )
        ]

    def _current_state(self) -> MachineState:
        if self._alarm.active:
            return MachineState.ALARM
        if self._idle:
            return MachineState.IDLE
        return MachineState.WARNING if self._warning else MachineState.NORMAL

    def _changed_state(self, at: int) -> tuple[Transition, ...]:
        before, after = self._state, self._current_state()
        if before is after:
            return ()
        self._state = after
        why = {
            MachineState.ALARM: "an alarm is active",
            MachineState.IDLE: f"the machine is off for {self.rule.on_delay_s:g} s",
            MachineState.WARNING: f"alarm score at least {self.rule.thresholds.warning:.2f}",
            MachineState.NORMAL: "the sound is normal",
        }[after]
        return (Transition(at, TransitionKind.STATE, before, after, why),)
