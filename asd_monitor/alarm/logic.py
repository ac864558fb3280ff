"""The alarm logic of one machine: window scores → alarm score and transitions.

All that an alarm depends on besides the next window is held here: the scores in the span of the
alarm score, the delays, and the newest alarm.
"""

from __future__ import annotations

from asd_monitor.alarm.score import AlarmScore
from asd_monitor.alarm.state import Alarm, AlarmRule, Transition
from asd_monitor.alarm.state_machine import AlarmStateMachine
from asd_monitor.records import MachineState, WindowScore


class AlarmLogic:
    """Alarm score and state machine of one machine."""

    def __init__(self, rule: AlarmRule, rate_hz: int, standing: Alarm | None = None) -> None:
        """Begin with an empty span.

        Args:
            rule: the alarm rule.
            rate_hz: sampling rate of the windows' sample indices.
            standing: the newest alarm of an earlier alarm logic of this machine.

        """
        self.rule = rule
        self._score = AlarmScore(rule.hop_s)
        self._machine = AlarmStateMachine(rule, rate_hz, standing)
        self._hop = rule.hop_s * rate_hz
        self._newest_end = 0  # of the windows, idle or running
        self._suspended = False  # since the newest window

    @property
    def alarm(self) -> Alarm | None:
        """The newest alarm; None before the first."""
        return self._machine.alarm

    @property
    def state(self) -> MachineState:
        """State of the machine at the newest window."""
        return self._machine.state

    @property
    def quiet(self) -> bool:
        """Whether the sound has been far quieter than ever in training for the on-delay."""
        return self._machine.quiet

    def push(self, window: WindowScore) -> tuple[float, tuple[Transition, ...]]:
        """Process the next window; return the alarm score and the transitions in order.

        The alarm score is 0 for an idle window, which changes neither the span nor the delays.
        That of a window far quieter than ever in training follows from the rule; it is not part of
        the span.
        Windows lost before this one count as missing, also around an idle pause.  A new run begins
        with an empty span.
        """
        hops = round((window.end - self._newest_end) / self._hop)
        if self._suspended:  # the first window begins where the evaluation begins again
            hops = window.hops + round((window.start - self._newest_end) / self._hop)
            self._suspended = False
        self._score.push_missing(max(0, hops - window.hops))
        self._newest_end = window.end
        if window.idle:
            return 0.0, self._machine.pause(window.end)
        if window.quiet:
            return self._machine.observe_quiet(window.end)
        if self._machine.begins_run(window.end):
            self._score.reset()
        score = self._score.push(window.sustained, window.hops)
        return score, self._machine.observe(window.end, score, conclusive=self._score.full)

    def replace_rule(self, rule: AlarmRule) -> None:
        """Decide by another rule of the same hop; alarm, delays and span are kept."""
        self.rule = rule
        self._machine.replace_rule(rule)

    def suspend(self, at: int) -> None:
        """Process sound up to this sample index that is not evaluated: the machine is off.

        It changes neither the span nor the delays, like an idle window, and not the state.
        """
        self._newest_end, self._suspended = at, True
        self._machine.suspend(at)

    def interrupt(self) -> None:
        """Process a gap in the sound: the delays restart with the next window."""
        self._machine.interrupt()

    def reset(self) -> None:
        """Process an interrupted capture: the delays restart and the span is emptied."""
        self._score.reset()
        self._machine.interrupt()

    def acknowledge(self, at: int, number: int, who: str, why: str) -> tuple[Transition, ...]:
        """Acknowledge the newest alarm; another number or a second time changes nothing."""
        return self._machine.acknowledge(at, number, who, why)
