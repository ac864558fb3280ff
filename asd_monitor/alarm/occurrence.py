"""The newest alarm of one machine, and what changes its condition."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from asd_monitor.alarm.re_alarm import (
    ScoreAtScale,
    is_filling,
    reason_of_worse,
    shortest_scale_s,
    with_scores,
)
from asd_monitor.alarm.state import (
    NEW_ALARM,
    OUT_OF_SERVICE,
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
        rate_hz: Sampling rate of the sample indices.

    """

    def __init__(self, alarm: Alarm | None, rate_hz: int) -> None:
        self.alarm = alarm or Alarm(0, AlarmCondition.NORMAL, 0.0)
        self._rate_hz = rate_hz
        self._sound_begin: int | None = None  # when its sound began here, or got worse
        self._scores: Sequence[ScoreAtScale] = ()  # of the newest window
        self._since_s = 0.0  # at the newest window, for how long its sound has been known
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
        if trigger in (Trigger.ALARM, Trigger.RE_ALARM):
            self._sound_begin = at
        if trigger is Trigger.ALARM and before.condition in NEW_ALARM:
            self.alarm = Alarm(
                before.number + 1,
                after,
                peak,
                time_scale_s,
                raised=at,
                shortest_scale_s=time_scale_s,
                scale_peaks=with_scores({}, self._scores),
            )
        else:
            self.alarm = replace(before, condition=after)
            if self.alarm.active:
                self.alarm = replace(self.alarm, cleared=None)
            elif before.active:
                self.alarm = replace(self.alarm, cleared=at)
        return [
            Transition(
                at, TransitionKind.ALARM, before.condition, after, why, who, alarm=self.alarm
            )
        ]

    def observe(self, at: int, scores: Sequence[ScoreAtScale]) -> None:
        """Take the alarm scores of the next window, of each time scale."""
        if self._sound_begin is None:
            self._sound_begin = at
        self._scores, self._since_s = scores, (at - self._sound_begin) / self._rate_hz

    def reason_of_worse(self, alarm_threshold: float) -> str | None:
        """Return why the sound is worse than was acknowledged; None: it is not."""
        filled = (each for each in self._scores if not self._is_filling(each))
        return reason_of_worse(self.alarm, filled, alarm_threshold)

    def note_scores(self, score: float, alarm_threshold: float) -> None:
        """Note the highest score and that of each time scale, for an alarm that is active.

        After the acknowledgement those of the time scales that are filling still.  The sound of a
        machine out of service is that of the work at it, and is not noted.
        """
        alarm, noted = self.alarm, self._scores
        if not alarm.active or alarm.condition in OUT_OF_SERVICE:
            return
        shortest_s = alarm.shortest_scale_s
        if alarm.condition is AlarmCondition.ACKNOWLEDGED:
            is_known = alarm.scale_peaks is not None
            noted = [each for each in noted if is_known and self._is_filling(each)]
        else:
            shortest_s = shortest_scale_s(shortest_s, noted, alarm_threshold)
        peak, peaks = max(score, alarm.peak_score), with_scores(alarm.scale_peaks, noted)
        known = (alarm.peak_score, alarm.shortest_scale_s, alarm.scale_peaks)
        if (peak, shortest_s, peaks) != known:
            self.alarm = replace(
                alarm, peak_score=peak, shortest_scale_s=shortest_s, scale_peaks=peaks
            )

    def _is_filling(self, score: ScoreAtScale) -> bool:
        return is_filling(score.time_scale_s, self._since_s)
