"""The newest alarm of one machine, and what changes its condition."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from asd_monitor.alarm.re_alarm import ScoreAtScale, shortest_scale_s
from asd_monitor.alarm.state import (
    NEW_ALARM,
    TRANSITIONS,
    Alarm,
    AlarmCondition,
    Transition,
    TransitionKind,
    Trigger,
)


class Occurrence:
    """The newest alarm of one machine; `NORMAL` and of number 0 before the first.

    Args:
        alarm: The newest alarm of an earlier one.

    """

    def __init__(self, alarm: Alarm | None) -> None:
        self.alarm = alarm or Alarm(0, AlarmCondition.NORMAL, 0.0)
        self.in_service = True
        """Whether the machine is in service: otherwise no alarm is raised."""

    def can_fire(self, trigger: Trigger) -> bool:
        """Return whether a trigger changes the condition."""
        condition = self.alarm.condition
        if trigger is Trigger.ALARM and condition in NEW_ALARM and not self.in_service:
            return False
        return (condition, trigger) in TRANSITIONS

    def fire(
        self,
        trigger: Trigger,
        at: int,
        why: str,
        *,
        who: str | None = None,
        peak: float = 0.0,
        time_scale_s: float | None = None,
    ) -> list[Transition]:
        """Change the condition; return the transition, where there is one.

        ``peak`` and ``time_scale_s`` are those of the score that raises an alarm.
        """
        if not self.can_fire(trigger):
            return []
        before = self.alarm
        after = TRANSITIONS[before.condition, trigger]
        if trigger is Trigger.ALARM and before.condition in NEW_ALARM:
            self.alarm = Alarm(
                before.number + 1,
                after,
                peak,
                time_scale_s,
                raised=at,
                shortest_scale_s=time_scale_s,
            )
        else:
            self.alarm = replace(before, condition=after)
            if self.alarm.active:
                self.alarm = replace(self.alarm, cleared=None)
            elif before.active:
                self.alarm = replace(self.alarm, cleared=at)
        if after is AlarmCondition.ACKNOWLEDGED:
            peak_score = self.alarm.peak_score
            self.alarm = replace(self.alarm, score_at_acknowledgement=peak_score)
        return [
            Transition(
                at, TransitionKind.ALARM, before.condition, after, why, who, alarm=self.alarm
            )
        ]

    def note_scores(
        self, score: float, scores: Sequence[ScoreAtScale], alarm_threshold: float
    ) -> None:
        """Note the highest score and the scores of each time scale, for an alarm that is active."""
        alarm = self.alarm
        if not alarm.active:
            return
        shortest_s = alarm.shortest_scale_s
        if alarm.condition is not AlarmCondition.ACKNOWLEDGED:
            shortest_s = shortest_scale_s(shortest_s, scores, alarm_threshold)
        if score > alarm.peak_score or shortest_s != alarm.shortest_scale_s:
            peak = max(score, alarm.peak_score)
            self.alarm = replace(alarm, peak_score=peak, shortest_scale_s=shortest_s)
