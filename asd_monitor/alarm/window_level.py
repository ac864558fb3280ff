"""Where one window of a running machine stands: above or below the thresholds, and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from asd_monitor.alarm.re_alarm import ScoreAtScale
from asd_monitor.alarm.state import AlarmRule
from asd_monitor.alarm.time_scales import STEP_S
from asd_monitor.records import WhenQuiet
from asd_monitor.wording import named_period

QUIET = "the sound is far quieter than ever in training"


@dataclass(frozen=True, slots=True)
class WindowLevel:
    """The level of a window."""

    score: float
    above_alarm: bool
    above_warning: bool
    below_warning: bool  # so that it counts for the off-delay
    why: str  # an alarm that is raised by it
    time_scale_s: float | None = None  # of the score
    scores: Sequence[ScoreAtScale] = ()  # of each time scale


def level_of_score(
    rule: AlarmRule,
    score: float,
    *,
    time_scale_s: float | None,
    scores: Sequence[ScoreAtScale],
    conclusive: bool,
) -> WindowLevel:
    """Return the level of an alarm score; ``conclusive`` as in `AlarmStateMachine.observe`."""
    thresholds = rule.thresholds
    why = f"alarm score at least {thresholds.alarm:.2f} for {rule.on_delay_s:g} s"
    if time_scale_s is not None and time_scale_s > STEP_S:
        why += f", in the mean over {named_period(time_scale_s)}"
    return WindowLevel(
        score,
        above_alarm=score >= thresholds.alarm,
        above_warning=score >= thresholds.warning,
        below_warning=conclusive and score < thresholds.warning,
        why=why,
        time_scale_s=time_scale_s,
        scores=scores,
    )


def level_of_quiet(rule: AlarmRule) -> WindowLevel:
    """Return the level of a window that is far quieter than ever in training.

    It is at the threshold of the alarm where the machine must run, else at that of the warning.
    """
    must_run = rule.when_quiet is WhenQuiet.ALARM
    return WindowLevel(
        rule.thresholds.alarm if must_run else rule.thresholds.warning,
        above_alarm=must_run,
        above_warning=True,
        below_warning=False,
        why=f"{QUIET}, and the machine has to run",
    )
