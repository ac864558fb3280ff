"""When the sound of an acknowledged alarm is worse than the person has seen.

ISA-18.2 lets an acknowledged alarm go back to unacknowledged where its severity has worsened
(C → B).  The sound is worse where

* the alarm score of a time scale up to the one at which the alarm was known is `STEP` above its
  highest value up to the acknowledgement, or
* it reaches the alarm threshold at a shorter time scale than was known then.

A longer scale says nothing: it reaches the threshold by the same sound lasting.

`STEP` is 2: sound that is 100 times rarer.  The highest value up to the acknowledgement includes
the fluctuation of the score, so that the same sound does not reach it again; the budgets of 1 per
month and 1 per day differ by 1.5.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from asd_monitor.alarm.state import Alarm, AlarmCondition
from asd_monitor.wording import named_period

STEP = 2.0
"""By how much the alarm score has to rise."""


class ScoreAtScale(NamedTuple):
    """An alarm score and the time scale that it is of."""

    score: float
    time_scale_s: float


def reason_of_worse(
    alarm: Alarm, scores: Sequence[ScoreAtScale], alarm_threshold: float
) -> str | None:
    """Return why the sound is worse than was acknowledged; None: it is not.

    Args:
        alarm: The alarm.
        scores: The alarm scores of the newest window, of each time scale.
        alarm_threshold: On their scale.

    """
    if alarm.condition is not AlarmCondition.ACKNOWLEDGED:
        return None
    known_s, before = alarm.shortest_scale_s, alarm.score_at_acknowledgement
    for score, scale_s in scores:
        if score < alarm_threshold:
            continue
        if known_s is not None and scale_s < known_s:
            return (
                f"alarm score at least {alarm_threshold:.2f} over {named_period(scale_s)}, a"
                f" shorter time than when it was acknowledged ({named_period(known_s)})"
            )
        is_longer = known_s is not None and scale_s > known_s
        if before is not None and not is_longer and score >= before + STEP:
            return (
                f"alarm score at least {before + STEP:.2f}: {STEP:g} above its highest value up to"
                " the acknowledgement"
            )
    return None


def shortest_scale_s(
    known_s: float | None, scores: Sequence[ScoreAtScale], alarm_threshold: float
) -> float | None:
    """Return the shortest time scale that is known or at the alarm threshold now."""
    reached = [each.time_scale_s for each in scores if each.score >= alarm_threshold]
    return min(reached if known_s is None else [known_s, *reached], default=None)
