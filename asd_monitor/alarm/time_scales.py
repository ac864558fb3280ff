"""The time scales of the evidence, and the alarm score of each.

One budget of false alarms is shared by all time scales.  The alarm score of a scale is −log10 of
the rate at which normal sound exceeds its evidence, per ten seconds, divided by the scale's share::

    −log10( P · κ · 10 s / T / share )

P is the probability of the evidence (`asd_monitor.alarm.scale_tail`).  A mean over the last T
seconds that is updated every ten seconds crosses a level more often than the non-overlapping
means, of which there is one every T: κ is that factor.

This rate is one of high levels.  A mean over a day is above its location half of the time and yet
rises above it once in days, so that by the rate alone normal sound would have an alarm score of 3
for days.  Below `ORDINARY` standard deviations the score therefore falls to 0 at the location.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

from asd_monitor.alarm.scale_tail import ScaleTail

STEP_S = 10.0
"""Interval at which the means of the longer scales are updated, and the shortest scale."""
MAX_ALARM_SCORE = 12.0
ORDINARY = 2.0
"""Evidence of fewer standard deviations above the location is frequent in normal sound."""


@dataclass(frozen=True, slots=True)
class TimeScale:
    """A time scale of the evidence."""

    seconds: float
    share: float  # of the budget


TIME_SCALES = (
    TimeScale(10.0, 0.2),
    TimeScale(30.0, 0.4),
    TimeScale(600.0, 0.2),
    TimeScale(3600.0, 0.1),
    TimeScale(86400.0, 0.1),
)
"""The shortest first; the shares add up to 1."""

SHARES = {scale.seconds: scale.share for scale in TIME_SCALES}


def upcrossing_factor(normal_equivalent: float, seconds: float) -> float:
    """Return κ: how many times as often as a non-overlapping mean a running one exceeds a level.

    For a stationary normal process with the autocorrelation of a running mean, 1 − |τ|/T, rises
    above a high level u begin at the rate u φ(u) / T (D. Slepian, "First passage time for a
    particular Gaussian process", Annals of Mathematical Statistics 32 (1961); D. Aldous,
    "Probability Approximations via the Poisson Clumping Heuristic", 1989), which is about
    (1 + u²) P / T.  It is at most the number of updates in T.

    Args:
        normal_equivalent: the level u > 0, in standard deviations.
        seconds: the time scale T.

    """
    return max(1.0, min(1.0 + normal_equivalent**2, seconds / STEP_S))


def scale_score(tail: ScaleTail, evidence: float) -> float:
    """Return the alarm score of one scale, 0 … MAX_ALARM_SCORE.

    Args:
        tail: the distribution of the evidence at this scale; its scale is one of `TIME_SCALES`.
        evidence: median or mean of the evidence at this scale; −inf gives 0.

    """
    if evidence == -math.inf:
        return 0.0
    above = tail.normal_equivalent(evidence)
    if above <= 0:
        return 0.0
    rate = upcrossing_factor(above, tail.seconds) * STEP_S / tail.seconds / SHARES[tail.seconds]
    score = (tail.score(evidence) - math.log10(rate)) * min(1.0, above / ORDINARY)
    return max(0.0, min(MAX_ALARM_SCORE, score))


@lru_cache(maxsize=256)  # trials and restarts ask again for the tails of one model
def evidence_at(tail: ScaleTail, score: float) -> float:
    """Return the evidence of a scale that has this alarm score, the inverse of `scale_score`.

    It is the lowest such evidence for a score of 0 … MAX_ALARM_SCORE, and is limited to these.
    """
    wanted = max(0.0, min(MAX_ALARM_SCORE, score))
    low, high = 0.0, 1.0  # above the location, in units of the tail's scale
    while scale_score(tail, tail.location + high * tail.scale) < wanted:
        low, high = high, 2.0 * high
    for _ in range(60):
        middle = 0.5 * (low + high)
        if scale_score(tail, tail.location + middle * tail.scale) < wanted:
            low = middle
        else:
            high = middle
    return tail.location + high * tail.scale
