"""The alarm logic of one machine: window scores → alarm score and transitions.

All that an alarm depends on besides the next window is held here: the evidence at each time scale,
the delays, and the newest alarm.

An impact beside an idle machine lifts every window that covers it above the idle region, as a run
of a few windows between idle ones.  They would fill the span of the alarm score impact by impact,
although the machine never ran.  So the first windows after idle ones are held back as long as one
impact, not longer than a hop, can explain them all: if the run goes on they are processed, with
the sample indices of their own ends, and otherwise they are part of the pause.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from asd_monitor.alarm.alarm_hold import HeldAlarm
from asd_monitor.alarm.alarm_score import AlarmScore, ScoreLevel
from asd_monitor.alarm.block_means import BlockMean
from asd_monitor.alarm.re_alarm import ScoreAtScale
from asd_monitor.alarm.state import Alarm, AlarmRule, Transition, Trigger
from asd_monitor.alarm.state_machine import AlarmStateMachine
from asd_monitor.records import MachineState, WindowScore


class EvaluatedWindow(NamedTuple):
    """What a window has led to."""

    alarm_score: float  # 0 for an idle window and one that is held back
    time_scale_s: float | None  # of the alarm score; None for such a window
    transitions: tuple[Transition, ...]  # in order


class AlarmLogic:
    """Alarm score and state machine of one machine."""

    def __init__(
        self,
        rule: AlarmRule,
        rate_hz: int,
        standing: Alarm | None = None,
        history: Iterable[BlockMean] = (),
        held: HeldAlarm | None = None,
        *,
        in_service: bool = True,
    ) -> None:
        """Begin with an empty span.

        Args:
            rule: the alarm rule.
            rate_hz: sampling rate of the windows' sample indices.
            standing: the newest alarm of an earlier alarm logic of this machine.
            history: the block means of an earlier one with the same model, the oldest first.
            held: `held` of an earlier one of the same stream.
            in_service: whether the machine is in service.

        """
        self.rule = rule
        self._rate_hz = rate_hz
        self._score = AlarmScore(rule, rate_hz, history)
        self._machine = AlarmStateMachine(rule, rate_hz, standing, held, in_service=in_service)
        self._hop = rule.hop_s * rate_hz
        self._impact = (rule.window_s + rule.hop_s) * rate_hz
        self._newest_end = 0  # of the windows, idle or running
        self._after_idle = False  # the machine was idle, and no run has been recognised since
        self._first_of_run: list[WindowScore] = []
        self._suspended = False  # since the newest window
        self._out_since = -math.inf  # when the machine was taken out of service: not known

    @property
    def alarm(self) -> Alarm | None:
        """The newest alarm; None before the first."""
        return self._machine.alarm

    def take_up(self, standing: Alarm) -> None:
        """Take up the newest alarm of an earlier alarm logic, where none was raised here."""
        self._machine.take_up(standing)

    @property
    def held(self) -> HeldAlarm | None:
        """The alarm that is delayed by a suspicion of the microphone."""
        return self._machine.hold.held

    def raise_held(self) -> tuple[Transition, ...]:
        """Raise the alarm that is held: no more sound is evaluated."""
        return self._machine.raise_held()

    @property
    def state(self) -> MachineState:
        """State of the machine at the newest window."""
        return self._machine.state

    @property
    def quiet(self) -> bool:
        """Whether the sound has been far quieter than ever in training for the on-delay."""
        return self._machine.quiet

    @property
    def block_means(self) -> list[BlockMean]:
        """The block means of the evidence, the oldest first."""
        return self._score.blocks

    @property
    def levels(self) -> Sequence[ScoreLevel]:
        """The level of the evidence at each of the longer time scales."""
        return self._score.levels(self._newest_end)

    def push(self, window: WindowScore, *, suspected: bool = False) -> EvaluatedWindow:
        """Process the next window; a suspected fault of the microphone delays an alarm.

        The alarm score is 0 for an idle window, which changes neither the evidence nor the delays,
        and for the first windows after idle ones.  That of a window far quieter than ever in
        training follows from the rule; it is no evidence.  Windows lost before this one count as
        missing, also around an idle pause.  A new run begins with an empty span.
        """
        hops = round((window.end - self._newest_end) / self._hop)
        if self._suspended:  # the first window begins where the evaluation begins again
            hops = window.hops + round((window.start - self._newest_end) / self._hop)
            self._suspended = False
        missing = max(0, hops - window.hops)
        if missing:
            self._first_of_run.clear()
            self._score.push_missing(missing, round(window.end - window.hops * self._hop))
        self._newest_end = window.end
        if window.idle or window.quiet:
            self._first_of_run.clear()
            self._after_idle = True
        if window.idle:
            return EvaluatedWindow(0.0, None, self._machine.pause(window.end, suspected=suspected))
        if window.quiet:
            score, transitions = self._machine.observe_quiet(window.end, suspected=suspected)
            return EvaluatedWindow(score, None, transitions)
        if not self._after_idle:
            return self._evaluate([window], suspected=suspected)
        self._first_of_run.append(window)
        if window.end - self._first_of_run[0].end < self._impact:
            return EvaluatedWindow(0.0, None, ())
        run, self._first_of_run, self._after_idle = self._first_of_run, [], False
        return self._evaluate(run, suspected=suspected)

    def _evaluate(self, run: Sequence[WindowScore], *, suspected: bool) -> EvaluatedWindow:
        """Process running windows and return what the last has led to, with all transitions."""
        transitions: list[Transition] = []
        newest = ScoreAtScale(0.0, 0.0)
        for window in run:
            if self._machine.begins_run(window.end):
                self._score.interrupt()
            newest = self._score.push(window.evidence, window.end, window.hops)
            transitions += self._machine.observe(
                window.end,
                newest.score,
                time_scale_s=newest.time_scale_s,
                scores=self._score.scores,
                conclusive=self._score.full,
                suspected=suspected,
            )
        return EvaluatedWindow(newest.score, newest.time_scale_s, tuple(transitions))

    def replace_rule(self, rule: AlarmRule) -> None:
        """Decide by the rule of another model of the same hop; alarm and delays are kept.

        The evidence begins anew, since that of the two models does not compare.
        """
        self.rule = rule
        self._score = AlarmScore(rule, self._rate_hz)
        self._machine.replace_rule(rule)

    def suspend(self, at: int) -> tuple[Transition, ...]:
        """Process sound up to this sample index that is not evaluated: the machine is off.

        It changes neither the span nor the delays, like an idle window, and not the state.
        Windows that are held back are part of the pause.
        """
        self._first_of_run.clear()
        return self.leave_out(at)

    def leave_out(self, at: int) -> tuple[Transition, ...]:
        """Process a window up to this sample index that says nothing of the machine.

        It changes neither the span nor the delays, nor the state.
        """
        self._newest_end, self._suspended = at, True
        return self._machine.suspend(at)

    def release_held(self, at: int) -> tuple[Transition, ...]:
        """Raise an alarm that a suspicion has held for long enough at this sample index."""
        return self._machine.release_held(at)

    def interrupt(self) -> None:
        """Process a gap in the sound: the delays restart with the next window.

        An alarm that is held is discarded, and the span emptied with it.
        """
        if self.held is not None:
            self._score.interrupt()
        self._first_of_run.clear()
        self._machine.interrupt()

    def reset(self) -> None:
        """Process an interrupted capture: the delays restart and the span is emptied.

        An alarm that is held is discarded.
        """
        self._score.interrupt()
        self.interrupt()

    def discard_since(self, sample: int) -> None:
        """Process a fault of the microphone that has begun at this sample index.

        What the sound has led to since then is forgotten, except for an alarm that was raised.
        """
        self._first_of_run.clear()
        self._machine.restart_delays()
        self._machine.hold.discard(sample)
        self._score.discard_since(sample)

    def change(
        self, trigger: Trigger, at: int, number: int, who: str | None, why: str
    ) -> tuple[Transition, ...]:
        """Change the newest alarm by a person's trigger, or by the end of its shelving."""
        return self._machine.change(trigger, at, number, who, why)

    @property
    def in_service(self) -> bool:
        """Whether the machine is in service."""
        return self._machine.occurrence.in_service

    def change_service(
        self, at: int, who: str, why: str, *, in_service: bool
    ) -> tuple[Transition, ...]:
        """Hide the newest alarm and raise none, or show it and raise them from the next window.

        The longer time scales forget the sound of the work, at the return.
        """
        if in_service and not self.in_service:
            self._score.forget_means_since(self._out_since)
        elif not in_service and self.in_service:
            self._out_since = self._newest_end
        return self._machine.change_service(at, who, why, in_service=in_service)
