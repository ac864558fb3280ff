"""When the sound of an acknowledged alarm is worse than the person has seen.

ISA-18.2 lets an acknowledged alarm go back to unacknowledged where its severity has worsened
(C → B).  The sound is worse where the alarm score of a time scale is at the alarm threshold, and
`STEP` above the highest value of the same time scale up to the acknowledgement.

The time scales do not compare with each other: sound that lasts raises the means of the longer ones
for as long as they cover.  A scale longer than the shortest that has reached the alarm threshold up
to the acknowledgement says nothing, and one of more than ten seconds not before it contains the
sound of the alarm alone, which is after twice its time; until then its highest value is noted, also
after the acknowledgement.

`STEP` is 2: sound that is 100 times rarer.  The highest value up to the acknowledgement includes
the fluctuation of the score, so that the same sound does not reach it again; the budgets of 1 per
month and 1 per day differ by 1.5.  An alarm score ends at `time_scales.MAX_ALARM_SCORE`, 12: sound
above 10 cannot get worse in this sense.  It is far beyond any budget, and what the tails say of
rarer sound still is not known.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from asd_monitor.alarm.state import Alarm, AlarmCondition
from asd_monitor.alarm.time_scales import STEP_S
from asd_monitor.wording import named_period

STEP = 2.0
"""By how much the alarm score has to rise."""


class ScoreAtScale(NamedTuple):
    """An alarm score and the time scale that it is of."""

    score: float
    time_scale_s: float


def reason_of_worse(
    alarm: Alarm, scores: Iterable[ScoreAtScale], alarm_threshold: float
) -> str | None:
    """Return why the sound is worse than was acknowledged; None: it is not.

    Args:
        alarm: The alarm.
        scores: The alarm scores of the newest window, of each time scale that is not filling.
        alarm_threshold: On their scale.

    """
    if alarm.condition is not AlarmCondition.ACKNOWLEDGED or alarm.scale_peaks is None:
        return None
    longest_s = alarm.shortest_scale_s
    for score, scale_s in scores:
        if longest_s is not None and scale_s > longest_s:
            continue
        before = alarm.scale_peaks.get(scale_s, 0.0)
        worse = max(alarm_threshold, before + STEP)
        if score >= worse:
            return (
                f"alarm score at least {worse:.2f} over {named_period(scale_s)}, at most"
                f" {before:.2f} up to the acknowledgement"
            )
    return None


def is_filling(time_scale_s: float, since_s: float) -> bool:
    """Return whether a time scale contains sound from before an alarm that began so long ago.

    A mean over T is of T of running time in up to 2 T (`asd_monitor.alarm.running_means`).  The
    ten seconds are filled when an alarm is raised, but for what the on-delay is shorter.
    """
    return time_scale_s > STEP_S and since_s < 2.0 * time_scale_s


def with_scores(
    peaks: Mapping[float, float] | None, scores: Iterable[ScoreAtScale]
) -> Mapping[float, float] | None:
    """Return the highest alarm score of each time scale; the same object where none has risen."""
    known = peaks or {}
    higher = {scale_s: score for score, scale_s in scores if score > known.get(scale_s, 0.0)}
    return {**known, **higher} if higher else peaks


def shortest_scale_s(
    known_s: float | None, scores: Sequence[ScoreAtScale], alarm_threshold: float
) -> float | None:
    """Return the shortest time scale that is known or at the alarm threshold now."""
    reached = [each.time_scale_s for each in scores if each.score >= alarm_threshold]
    return min(reached if known_s is None else [known_s, *reached], default=None)
