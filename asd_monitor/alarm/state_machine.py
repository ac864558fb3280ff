"""The state machine of a machine's alarm: delays, dead band, latch, and what people change.

An alarm is raised when the alarm score was at or above the alarm threshold in every window for
the on-delay.  It returns to normal when the score was below the warning threshold in every
window for the off-delay.

While the sound is not evaluated (gap, capture interrupted, dead channel) and while the machine is
idle an alarm is neither raised nor cleared.  A gap restarts both delays, and an idle pause suspends
them (`asd_monitor.alarm.delays`).

Sound that is far quieter than ever in training is no running sound either.  By the rule it is an
idle pause, a warning, or an alarm; its own scores count for none of them, since they are high
whatever the cause.  An alarm does not clear by it.

While a signal from outside says that the machine is off, nothing is evaluated: `suspend` suspends
the delays as an idle pause does, and leaves the state as it is.

While a fault of the microphone is suspected, an alarm that is due is held
(`asd_monitor.alarm.alarm_hold`).  The next state machine of the stream takes up what is held, and
at the end of the stream it is raised.

An acknowledged alarm is unacknowledged again where its sound gets worse
(`asd_monitor.alarm.re_alarm`).  While the machine is out of service no alarm is raised, and its
state is what the sound is below the alarm: `warning` at most.

After `delays.LONGEST_PAUSE_S` without running sound a new run begins: a warning ends then, the
delays restart and the span of the alarm score is emptied; an alarm stays as it is.
"""

from __future__ import annotations

from collections.abc import Sequence

from asd_monitor.alarm.alarm_hold import AlarmHold, HeldAlarm
from asd_monitor.alarm.delays import Delays
from asd_monitor.alarm.machine_state import state_of, state_transition
from asd_monitor.alarm.occurrence import Occurrence
from asd_monitor.alarm.re_alarm import ScoreAtScale
from asd_monitor.alarm.state import Alarm, AlarmRule, Transition, Trigger
from asd_monitor.alarm.window_level import WindowLevel, level_of_quiet, level_of_score
from asd_monitor.records import MachineState, WhenQuiet


class AlarmStateMachine:
    """The alarm of one machine; each method returns the transitions in order."""

    def __init__(
        self,
        rule: AlarmRule,
        rate_hz: int,
        standing: Alarm | None = None,
        held: HeldAlarm | None = None,
        *,
        in_service: bool = True,
    ) -> None:
        """Begin with the ``standing`` alarm of an earlier one, and what it ``held`` in this stream.

        ``rate_hz`` is that of the sample indices, ``in_service`` whether the machine is.
        """
        self.rule = rule
        self._delays = Delays(rule, rate_hz, 0 if held is None else held.since)
        self.hold = AlarmHold(rate_hz, held)
        """Has the alarm that is delayed by a suspicion of the microphone."""
        self.occurrence = Occurrence(standing, rate_hz)
        """The newest alarm, and whether the machine is in service."""
        self.occurrence.in_service = in_service
        self._returned = False  # the off-delay was over at the newest score
        self._peak = 0.0  # of the alarm score since it reached the alarm threshold
        self._warning = False
        self._state = self._current_state()

    @property
    def alarm(self) -> Alarm | None:
        """The newest alarm; None before the first."""
        alarm = self.occurrence.alarm
        return alarm if alarm.number else None

    def take_up(self, standing: Alarm) -> None:
        """Take up the newest alarm of an earlier state machine, where none was raised here.

        The next method that returns transitions returns that of the state as well.
        """
        if not self.occurrence.alarm.number:
            self.occurrence.alarm = standing

    @property
    def state(self) -> MachineState:
        """State of the machine; `alarm` as long as an alarm is active and it is in service."""
        return self._state

    def replace_rule(self, rule: AlarmRule) -> None:
        """Decide by another rule from the next score on."""
        self.rule = rule
        self._delays.replace_rule(rule)

    @property
    def quiet(self) -> bool:
        """Whether the sound has been far quieter than ever in training for the on-delay."""
        return self._delays.quiet

    def begins_run(self, at: int) -> bool:
        """Return whether a running window at this sample index begins a new run."""
        return self._delays.begins_run(at)

    def observe(
        self,
        at: int,
        score: float,
        *,
        time_scale_s: float | None = None,
        scores: Sequence[ScoreAtScale] = (),
        conclusive: bool = True,
        suspected: bool = False,
    ) -> tuple[Transition, ...]:
        """Process the alarm score of a running machine.

        Args:
            at: sample index one past the newest sample of the score.
            score: alarm score.
            time_scale_s: its time scale.
            scores: the alarm scores of each time scale, of which it is the highest.
            conclusive: false if the score spans too little sound for a low one to prove a return
                to normal; the off-delay does not start then.
            suspected: whether a fault of the microphone is suspected.

        """
        if self.begins_run(at):
            self._warning = False
            self.restart_delays()
        self._delays.run_end = at
        self._delays.note_quiet(at, quiet=False)
        level = level_of_score(
            self.rule, score, time_scale_s=time_scale_s, scores=scores, conclusive=conclusive
        )
        return self._judge(at, level, suspected=suspected)

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
        self._delays.note_quiet(at, quiet=True)
        if self.rule.when_quiet is WhenQuiet.IDLE:
            return 0.0, self._pause(at, suspected=suspected)
        level = level_of_quiet(self.rule)
        return level.score, self._judge(at, level, suspected=suspected)

    def _judge(self, at: int, level: WindowLevel, *, suspected: bool) -> tuple[Transition, ...]:
        """Advance the delays by a window, and raise or clear what is due by it."""
        delays, occurrence = self._delays, self.occurrence
        occurrence.observe(at, level.scores)
        worse = occurrence.reason_of_worse(self.rule.thresholds.alarm)
        delays.run(
            at,
            above_alarm=level.above_alarm,
            above_warning=level.above_warning,
            below_warning=level.below_warning,
            worse=worse is not None,
        )
        self._returned = delays.has_returned
        if delays.is_warning_due:
            self._warning = True
        elif self._returned:
            self._warning = False
        self._peak = max(self._peak, level.score) if level.above_alarm else 0.0
        if level.below_warning:
            self.hold.restore_time()
        trigger, why = None, level.why
        if worse is not None and delays.is_re_alarm_due:
            trigger, why = Trigger.RE_ALARM, f"{worse}, for {self.rule.on_delay_s:g} s"
        elif delays.is_alarm_due:
            trigger = Trigger.ALARM
        changes = self._raise_due(at, trigger, why, level.time_scale_s, suspected=suspected)
        occurrence.note_scores(max(self._peak, level.score), self.rule.thresholds.alarm)
        return (*changes, *self._state_change(at))

    def _raise_due(
        self,
        at: int,
        trigger: Trigger | None,
        why: str,
        time_scale_s: float | None,
        *,
        suspected: bool,
    ) -> list[Transition]:
        """Raise or hold the alarm that is due by this trigger, or return to normal."""
        if trigger is not None and suspected and self.occurrence.can_fire(trigger):
            self.hold.hold(trigger, at, why, time_scale_s=time_scale_s, peak=self._peak)
        if self.hold.held is not None:
            return self._release(at, suspected=suspected)
        if trigger is not None:
            return self.occurrence.fire(
                trigger, at, why, peak=self._peak, time_scale_s=time_scale_s
            )
        return self._return_to_normal(at) if self._returned else []

    def pause(self, at: int, *, suspected: bool = False) -> tuple[Transition, ...]:
        """Process a window in which the machine is off; the delays are suspended.

        The state becomes `idle` after the on-delay, so that it does not chatter.
        """
        self._delays.note_quiet(at, quiet=False)
        return self._pause(at, suspected=suspected)

    def suspend(self, at: int) -> tuple[Transition, ...]:
        """Process sound that is not evaluated since the machine is off; the state is kept."""
        self._delays.suspend(at)
        self._returned = False
        self._delays.end_idle_time()
        return self.release_held(at)

    def release_held(self, at: int) -> tuple[Transition, ...]:
        """Raise an alarm whose time was up before ``at``, when that was."""
        held = self.hold.held
        if held is None or at < held.until:
            return ()
        return (*self._release(held.until, suspected=False), *self._state_change(held.until))

    def _pause(self, at: int, *, suspected: bool) -> tuple[Transition, ...]:
        self._delays.pause(at)
        self._returned = False  # an acknowledgement does not clear before the machine runs again
        return (*self._release(at, suspected=suspected), *self._state_change(at))

    def interrupt(self) -> None:
        """Restart the delays, and discard what is held: there is no sound until the next score."""
        self.hold.interrupt(self._delays.newest)
        self.restart_delays()

    def restart_delays(self) -> None:
        """Restart the delays: the sound is not evaluated until the next score."""
        self._delays.restart()
        self._returned = False
        self._peak = 0.0

    def raise_held(self) -> tuple[Transition, ...]:
        """Raise the alarm that is held, whatever is suspected: no more sound is evaluated."""
        at = self._delays.newest
        return (*self._release(at, suspected=False), *self._state_change(at))

    def _release(self, at: int, *, suspected: bool) -> list[Transition]:
        """Raise the alarm that was held, unless the suspicion lasts and the time is not up."""
        held = self.hold.release(at, suspected=suspected)
        if held is None:
            return []
        self._peak = max(self._peak, held.peak)
        return self.occurrence.fire(
            held.trigger, at, held.why, peak=self._peak, time_scale_s=held.time_scale_s
        )

    def change(
        self, trigger: Trigger, at: int, number: int, who: str | None, why: str
    ) -> tuple[Transition, ...]:
        """Change the newest alarm by a person's trigger, or by the end of its shelving.

        Another number, or a trigger that its condition does not know, changes nothing.  A latched
        alarm that is acknowledged returns to normal as well, if the off-delay was over at the
        newest score.
        """
        if number != self.occurrence.alarm.number:
            return ()
        changes = self.occurrence.fire(trigger, at, why, who=who)
        if changes and self._returned:
            changes += self._return_to_normal(at)
        return (*changes, *self._state_change(at))

    def change_service(
        self, at: int, who: str, why: str, *, in_service: bool
    ) -> tuple[Transition, ...]:
        """Hide the newest alarm and raise none, or show it and raise them from the next window."""
        self.occurrence.in_service = in_service
        self.hold.discard(0)
        trigger = Trigger.RETURN_TO_SERVICE if in_service else Trigger.TAKE_OUT_OF_SERVICE
        changes = self.occurrence.fire(trigger, at, why, who=who)
        return (*changes, *self._state_change(at))

    def _return_to_normal(self, at: int) -> list[Transition]:
        latch = self.rule.latch
        trigger = Trigger.RETURN_TO_NORMAL_LATCHED if latch else Trigger.RETURN_TO_NORMAL
        why = (
            f"alarm score below {self.rule.thresholds.warning:.2f} for {self.rule.off_delay_s:g} s"
        )
        return self.occurrence.fire(trigger, at, why)

    def _current_state(self) -> MachineState:
        return state_of(self.occurrence.alarm, self._delays, warning=self._warning)

    def _state_change(self, at: int) -> tuple[Transition, ...]:
        before, after = self._state, self._current_state()
        if before is after:
            return ()
        self._state = after
        return (state_transition(at, before, after, self.rule, quiet=self.quiet),)
