"""The state machine of a machine's alarm: on-delay, off-delay, dead band, latch.

An alarm is raised when the alarm score was at or above the alarm threshold in every window for
the on-delay.  It returns to normal when the score was below the warning threshold in every
window for the off-delay.

While the sound is not evaluated (gap, capture interrupted, dead channel) and while the machine is
idle an alarm is neither raised nor cleared.  A gap restarts both delays.  An idle pause suspends
them: delays count running time, since a machine with a short duty cycle never runs for a whole
delay at a stretch.

Sound that is far quieter than ever in training is no running sound either.  By the rule it is an
idle pause, a warning, or an alarm; its own scores count for none of them, since they are high
whatever the cause.  An alarm does not clear by it.

While a signal from outside says that the machine is off, nothing is evaluated: `suspend` suspends
the delays as an idle pause does, and leaves the state as it is.

While a fault of the microphone is suspected, an alarm that is due is held for up to `MAX_HOLD_S`.
It is raised when the suspicion is over or the time is up, also where the sound has returned to
normal meanwhile: a suspicion delays an alarm and never suppresses one.  The time goes on while the
machine is off.  A fault of the microphone that is recognised meanwhile discards it, and so does an
interruption of the sound: what led to it may be the crackle of a connector, so the sound that
returns decides.  An alarm that is due in it is held for the rest of the time only, so that
repeated interruptions do not suppress one.  The next state machine of the stream takes up what is
held, and at the end of the stream it is raised.

After `LONGEST_PAUSE_S` without running sound a new run begins: the sound before says nothing about
the machine as it is now.  A warning ends then, the delays restart and the span of the alarm score
is emptied; an alarm stays as it is.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from asd_monitor.alarm.state import (
    ACTIVE,
    TRANSITIONS,
    Alarm,
    AlarmCondition,
    AlarmRule,
    Transition,
    TransitionKind,
    Trigger,
)
from asd_monitor.alarm.time_scales import STEP_S
from asd_monitor.records import MachineState, WhenQuiet
from asd_monitor.wording import named_period

_QUIET = "the sound is far quieter than ever in training"

LONGEST_PAUSE_S = 3600.0
"""Longest pause within a duty cycle.

A machine that runs for less than the span of the alarm score at a time needs the runs of before;
a warning of the evening must not be shown for a machine that was repaired at night.
"""


MAX_HOLD_S = 30.0
"""Longest time for which a suspicion of the microphone delays an alarm."""
_HOLD_RESERVE_S = 5.0  # it ends with a window: one of many, or the first after an impact in a pause


@dataclass(frozen=True, slots=True)
class HeldAlarm:
    """An alarm that is due while a fault of the microphone is suspected."""

    since: int  # sample index
    until: int  # sample index at which it is raised, whatever is suspected
    why: str
    time_scale_s: float | None
    peak: float


class _Timer:
    """Measures for how long a predicate has held without interruption, in samples."""

    def __init__(self) -> None:
        self._since: int | None = None

    def reset(self) -> None:
        self._since = None

    def update(self, *, holds: bool, at: int) -> None:
        if not holds:
            self.reset()
        elif self._since is None:
            self._since = at

    def reached(self, delay: int, *, at: int) -> bool:
        """Return whether it has held for at least this delay."""
        return self._since is not None and at - self._since >= delay


class AlarmStateMachine:
    """The alarm of one machine; each method returns the transitions in order."""

    def __init__(
        self,
        rule: AlarmRule,
        rate_hz: int,
        standing: Alarm | None = None,
        held: HeldAlarm | None = None,
    ) -> None:
        """Begin with the alarms of an earlier state machine.

        Args:
            rule: the alarm rule.
            rate_hz: sampling rate of the sample indices.
            standing: its `alarm`.
            held: its `held`, where its stream goes on.

        """
        self._rate_hz = rate_hz
        self.replace_rule(rule)
        self._longest_hold = round((MAX_HOLD_S - _HOLD_RESERVE_S) * rate_hz)
        self._held = held
        self._earlier_hold = 0  # samples for which alarms were held that interruptions discarded
        self._longest_pause = round(LONGEST_PAUSE_S * rate_hz)
        self._alarm = standing or Alarm(0, AlarmCondition.NORMAL, 0.0)
        self._above_alarm, self._above_warning, self._below_warning = _Timer(), _Timer(), _Timer()
        self._returned = False  # the off-delay was over at the newest score
        self._peak = 0.0  # of the alarm score since it reached the alarm threshold
        self._warning = False
        self._idle_time, self._quiet_time = _Timer(), _Timer()
        self._idle = False
        self._newest = 0 if held is None else held.since  # sample index of the newest window
        self._run_end: int | None = None  # sample index of the newest running window
        self._idle_samples = 0
        self._state = self._current_state()

    @property
    def alarm(self) -> Alarm | None:
        """The newest alarm; None before the first."""
        return self._alarm if self._alarm.number else None

    def take_up(self, standing: Alarm) -> None:
        """Take up the newest alarm of an earlier state machine, where none was raised here.

        The next method that returns transitions returns that of the state as well.
        """
        if not self._alarm.number:
            self._alarm = standing

    @property
    def state(self) -> MachineState:
        """State of the machine; `alarm` as long as an alarm is active."""
        return self._state

    def replace_rule(self, rule: AlarmRule) -> None:
        """Decide by another rule from the next score on."""
        self.rule = rule
        self._on_delay = round(rule.on_delay_s * self._rate_hz)
        self._off_delay = round(rule.off_delay_s * self._rate_hz)

    @property
    def quiet(self) -> bool:
        """Whether the sound has been far quieter than ever in training for the on-delay."""
        return self._quiet_time.reached(self._on_delay, at=self._newest)

    def begins_run(self, at: int) -> bool:
        """Return whether a running window at this sample index begins a new run."""
        return self._run_end is not None and at - self._run_end > self._longest_pause

    def observe(
        self,
        at: int,
        score: float,
        *,
        time_scale_s: float | None = None,
        conclusive: bool = True,
        suspected: bool = False,
    ) -> tuple[Transition, ...]:
        """Process the alarm score of a running machine.

        Args:
            at: sample index one past the newest sample of the score.
            score: alarm score.
            time_scale_s: its time scale.
            conclusive: false if the score spans too little sound for a low one to prove a return
                to normal; the off-delay does not start then.
            suspected: whether a fault of the microphone is suspected.

        """
        if self.begins_run(at):
            self._forget_run()
        self._run_end = at
        self._quiet_time.update(holds=False, at=at)
        thresholds = self.rule.thresholds
        why = f"alarm score at least {thresholds.alarm:.2f} for {self.rule.on_delay_s:g} s"
        if time_scale_s is not None and time_scale_s > STEP_S:
            why += f", in the mean over {named_period(time_scale_s)}"
        return self._judge(
            at,
            score,
            above_alarm=score >= thresholds.alarm,
            above_warning=score >= thresholds.warning,
            below_warning=conclusive and score < thresholds.warning,
            why=why,
            time_scale_s=time_scale_s,
            suspected=suspected,
        )

    def observe_quiet(
        self, at: int, *, suspected: bool = False
    ) -> tuple[float, tuple[Transition, ...]]:
        """Process a window that is far quieter than ever in training.

        Args:
            at: sample index one past the newest sample.
            suspected: whether a fault of the microphone is suspected.

        Returns:
            The alarm score that the rule gives it (0: it is an idle pause), and the transitions.

        """
        self._quiet_time.update(holds=True, at=at)
        must_run = self.rule.when_quiet is WhenQuiet.ALARM
        if self.rule.when_quiet is WhenQuiet.IDLE:
            return 0.0, self._pause(at, suspected=suspected)
        score = self.rule.thresholds.alarm if must_run else self.rule.thresholds.warning
        changes = self._judge(
            at,
            score,
            above_alarm=must_run,
            above_warning=True,
            below_warning=False,
            why=f"{_QUIET}, and the machine has to run",
            suspected=suspected,
        )
        return score, changes

    def _judge(
        self,
        at: int,
        score: float,
        *,
        above_alarm: bool,
        above_warning: bool,
        below_warning: bool,
        why: str,
        suspected: bool,
        time_scale_s: float | None = None,
    ) -> tuple[Transition, ...]:
        """Advance the delays; ``why`` is the reason for an alarm that is raised now."""
        self._idle = False
        self._idle_time.update(holds=False, at=at)
        self._newest = at
        running = at - self._idle_samples
        self._above_alarm.update(holds=above_alarm, at=running)
        self._above_warning.update(holds=above_warning, at=running)
        self._below_warning.update(holds=below_warning, at=running)

        self._returned = self._below_warning.reached(self._off_delay, at=running)
        if self._above_warning.reached(self._on_delay, at=running):
            self._warning = True
        elif self._returned:
            self._warning = False

        changes: list[Transition] = []
        self._peak = max(self._peak, score) if above_alarm else 0.0
        is_due = self._above_alarm.reached(self._on_delay, at=running)
        if is_due and suspected and self._held is None and self._can_fire:
            until = at + max(0, self._longest_hold - self._earlier_hold)
            self._held = HeldAlarm(at, until, why, time_scale_s, self._peak)
        if below_warning and self._held is None:
            self._earlier_hold = 0
        if self._held is not None:
            changes += self._release(at, suspected=suspected)
        elif is_due:
            changes += self._fire(Trigger.ALARM, at, why, time_scale_s=time_scale_s)
        elif self._returned:
            changes += self._return_to_normal(at)
        if self._alarm.active:
            peak = max(self._alarm.peak_score, self._peak, score)
            self._alarm = replace(self._alarm, peak_score=peak)
        return (*changes, *self._state_change(at))

    def pause(self, at: int, *, suspected: bool = False) -> tuple[Transition, ...]:
        """Process a window in which the machine is off; the delays are suspended.

        The state becomes `idle` after the on-delay, so that it does not chatter.
        """
        self._quiet_time.update(holds=False, at=at)
        return self._pause(at, suspected=suspected)

    def suspend(self, at: int) -> tuple[Transition, ...]:
        """Process sound that is not evaluated since the machine is off; the state is kept."""
        self._suspend_delays(at)
        self._idle_time.reset()
        self._quiet_time.reset()
        return self.release_held(at)

    def release_held(self, at: int) -> tuple[Transition, ...]:
        """Raise an alarm whose time was up before ``at``, when that was."""
        if self._held is None or at < self._held.until:
            return ()
        due = self._held.until
        return (*self._release(due, suspected=False), *self._state_change(due))

    def _pause(self, at: int, *, suspected: bool) -> tuple[Transition, ...]:
        self._suspend_delays(at)
        self._idle_time.update(holds=True, at=at)
        self._idle = self._idle or self._idle_time.reached(self._on_delay, at=at)
        released = [] if self._held is None else self._release(at, suspected=suspected)
        return (*released, *self._state_change(at))

    def _suspend_delays(self, at: int) -> None:
        self._idle_samples += at - self._newest
        self._newest = at
        self._returned = False  # an acknowledgement does not clear before the machine runs again

    def interrupt(self) -> None:
        """Restart the delays, and discard what is held: there is no sound until the next score."""
        if self._held is not None:
            self._earlier_hold += self._newest - self._held.since
            self._held = None
        self.restart_delays()

    def restart_delays(self) -> None:
        """Restart the delays: the sound is not evaluated until the next score."""
        for timer in (
            self._above_alarm,
            self._above_warning,
            self._below_warning,
            self._idle_time,
            self._quiet_time,
        ):
            timer.reset()
        self._returned = False
        self._peak = 0.0

    @property
    def held(self) -> HeldAlarm | None:
        """The alarm that is delayed by a suspicion of the microphone."""
        return self._held

    def raise_held(self) -> tuple[Transition, ...]:
        """Raise the alarm that is held, whatever is suspected: no more sound is evaluated."""
        at = self._newest
        return (*self._release(at, suspected=False), *self._state_change(at))

    def discard_held(self, since: int) -> None:
        """Discard an alarm that a suspicion has delayed, where it was due ``since`` then.

        It was of the microphone.
        """
        if self._held is not None and self._held.since >= since:
            self._held = None

    @property
    def _can_fire(self) -> bool:
        return (self._alarm.condition, Trigger.ALARM) in TRANSITIONS

    def _release(self, at: int, *, suspected: bool) -> list[Transition]:
        """Raise the alarm that was held, unless the suspicion lasts and the time is not up."""
        held = self._held
        if held is None:
            return []
        if suspected and at < held.until:
            return []
        self._held, self._earlier_hold = None, 0
        self._peak = max(self._peak, held.peak)
        return self._fire(Trigger.ALARM, at, held.why, time_scale_s=held.time_scale_s)

    def _forget_run(self) -> None:
        self._warning = False
        self.restart_delays()

    def acknowledge(self, at: int, number: int, who: str, why: str) -> tuple[Transition, ...]:
        """Acknowledge the newest alarm; another number or a second time changes nothing.

        A latched alarm returns to normal as well, if the off-delay was over at the newest score.
        """
        if number != self._alarm.number:
            return ()
        changes = self._fire(Trigger.ACKNOWLEDGE, at, why, who)
        if changes and self._returned:
            changes += self._return_to_normal(at)
        return (*changes, *self._state_change(at))

    def _return_to_normal(self, at: int) -> list[Transition]:
        latch = self.rule.latch
        trigger = Trigger.RETURN_TO_NORMAL_LATCHED if latch else Trigger.RETURN_TO_NORMAL
        why = (
            f"alarm score below {self.rule.thresholds.warning:.2f} for {self.rule.off_delay_s:g} s"
        )
        return self._fire(trigger, at, why)

    def _fire(
        self,
        trigger: Trigger,
        at: int,
        why: str,
        who: str | None = None,
        time_scale_s: float | None = None,
    ) -> list[Transition]:
        before = self._alarm
        after = TRANSITIONS.get((before.condition, trigger))
        if after is None:
            return []
        if after in ACTIVE and not before.active:
            self._alarm = Alarm(before.number + 1, after, self._peak, time_scale_s, raised=at)
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

    def _state_change(self, at: int) -> tuple[Transition, ...]:
        before, after = self._state, self._current_state()
        if before is after:
            return ()
        self._state = after
        off_s, warning = self.rule.on_delay_s, self.rule.thresholds.warning
        why = {
            MachineState.ALARM: "an alarm is active",
            MachineState.IDLE: f"{_QUIET}: taken to be off"
            if self.quiet
            else f"the machine is off for {off_s:g} s",
            MachineState.WARNING: _QUIET if self.quiet else f"alarm score at least {warning:.2f}",
            MachineState.NORMAL: "the sound is normal",
        }[after]
        return (Transition(at, TransitionKind.STATE, before, after, why),)
