"""How often normal sound has an alarm score, beside the rate that the score promises.

On distinct sound alone, without resampling: ten seconds of each half of a segment, the segment as
its hour, and the mean of a day's segments.  An alarm score s of a time scale promises its share of
10⁻ˢ exceedances in ten seconds, as up-crossings of a running mean; stretches that do not overlap
exceed it no more often than 10⁻ˢ · share · T / 10 s, limited to all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from asd_monitor.alarm.scale_tail import ScaleTail
from asd_monitor.alarm.span_median import max_outliers, span_windows
from asd_monitor.alarm.time_scales import SHARES, STEP_S, evidence_at
from experiments.alarms.alarm_counting import HOP_S, step_means
from experiments.alarms.segments import DAY_S, HOUR_S, Floats, Integers

SCORES = (1.0, 2.0, 3.0)
SCALES_S = (STEP_S, HOUR_S, DAY_S)
RESAMPLES = 2000


@dataclass(frozen=True, slots=True, eq=False)
class Exceedances:
    """How many of a machine's stretches reach each of `SCORES`, by time scale."""

    stretches: Integers  # (scales,)
    exceeding: Integers  # (scales, scores)


def exceedances_of(
    evidence: Floats, day: Integers, tails: Sequence[ScaleTail], effect_bound: float
) -> Exceedances:
    """Return the exceedances of normal segments.

    Args:
        evidence: of the windows of n segments, one each hour, (n, w).
        day: of each segment, (n,).
        tails: of the time scales, `SCALES_S` among them.
        effect_bound: evidence of ten seconds that is an alarm.

    """
    hours = step_means(evidence).mean(1)
    days = np.array([hours[day == each].mean() for each in np.unique(day)])
    by_scale = {STEP_S: _medians(evidence), HOUR_S: hours, DAY_S: days}
    of_scale = {tail.seconds: tail for tail in tails}
    rows = []
    for seconds in SCALES_S:
        bound = effect_bound if seconds == STEP_S else np.inf
        limits = [min(bound, evidence_at(of_scale[seconds], score)) for score in SCORES]
        rows.append([int((by_scale[seconds] >= limit).sum()) for limit in limits])
    return Exceedances(np.array([by_scale[s].size for s in SCALES_S]), np.array(rows))


def _medians(evidence: Floats) -> Floats:
    """Return the lower medians (n, 2) of the windows that begin in each half of the segments."""
    half = (evidence.shape[1] + 1) // 2
    at = max_outliers(min(half, span_windows(HOP_S)))
    halves = (evidence[:, :half], evidence[:, -half:])
    return np.stack([np.sort(each, axis=1)[:, at] for each in halves], axis=1)


def promised(seconds: float, score: float) -> float:
    """Return the share of stretches of a time scale that a score promises at most."""
    return float(min(1.0, 10.0**-score * SHARES[seconds] * seconds / STEP_S))


@dataclass(frozen=True, slots=True)
class Rate:
    """An observed share and its interval of 95 %, beside what is promised."""

    seconds: float
    score: float
    observed: float
    low: float
    high: float
    promised: float
    stretches: int


def rates(machines: Sequence[Exceedances], rng: np.random.Generator) -> list[Rate]:
    """Return the rates over all machines; the intervals are bootstrapped over the machines."""
    stretches = np.stack([machine.stretches for machine in machines])
    exceeding = np.stack([machine.exceeding for machine in machines])
    chosen = rng.integers(0, len(machines), (RESAMPLES, len(machines)))
    found = []
    for scale, seconds in enumerate(SCALES_S):
        for number, score in enumerate(SCORES):
            of, reach = stretches[:, scale], exceeding[:, scale, number]
            resampled = reach[chosen].sum(1) / of[chosen].sum(1)
            low, high = np.quantile(resampled, [0.025, 0.975])
            observed = float(reach.sum() / of.sum())
            expected = promised(seconds, score)
            found.append(
                Rate(seconds, score, observed, float(low), float(high), expected, int(of.sum()))
            )
    return found
