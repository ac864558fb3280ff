"""Alarms in simulated time: evidence of segments of sound → exceedances → alarms.

An hour is 360 steps of ten seconds.  Each step has the mean evidence of ten seconds of a segment,
and each segment the highest evidence that its alarm span sustains for the on-delay.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from asd_monitor.alarm.block_means import IMPACT_LIMIT
from asd_monitor.alarm.budget import threshold_for
from asd_monitor.alarm.scale_tail import ScaleTail
from asd_monitor.alarm.span_median import max_outliers, span_windows
from asd_monitor.alarm.supported_budget import effective_budget
from asd_monitor.alarm.time_scales import STEP_S, TIME_SCALES, evidence_at
from asd_monitor.records import AlarmCriteria
from experiments.alarms.segments import HOUR_S, Floats, Integers

STEPS_PER_HOUR = round(HOUR_S / STEP_S)
HOP_S = 0.512
ON_DELAY_WINDOWS = 7  # from the first to the one 3 s later
ACKNOWLEDGED_AFTER = STEPS_PER_HOUR
"""Steps after which an alarm is acknowledged, and what lasts is counted as another one."""

Mask = npt.NDArray[np.bool_]


def sustained_peaks(values: Floats) -> Floats:
    """Return the highest value (n,) of each segment (n, w) that the alarm span keeps long enough.

    It is that of the lower median over ten seconds, kept for the on-delay.
    """
    size = span_windows(HOP_S)
    spans = np.lib.stride_tricks.sliding_window_view(values, size, axis=1)
    medians = np.sort(spans, axis=-1)[..., max_outliers(size)]
    kept = np.lib.stride_tricks.sliding_window_view(medians, ON_DELAY_WINDOWS, axis=1).min(-1)
    return np.asarray(kept.max(1), np.float64)


def step_means(values: Floats) -> Floats:
    """Return the means (n, 2) over the ten seconds at the begin and the end of segments (n, w).

    Single impacts are limited in them, as in the product's block means.
    """
    half = (values.shape[1] + 1) // 2
    return np.stack([_limited_mean(values[:, :half]), _limited_mean(values[:, -half:])], axis=1)


def _limited_mean(values: Floats) -> Floats:
    ordered = np.sort(values, axis=1)
    at = max(0, values.shape[1] - 1 - max_outliers(span_windows(HOP_S)))
    return np.asarray(np.minimum(ordered, ordered[:, at, None] + IMPACT_LIMIT).mean(1), np.float64)


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """What alarms depend on in n segments."""

    peaks: Floats  # (n,), sustained for ten seconds and the on-delay
    means: Floats  # (n, 2), of ten seconds each

    @staticmethod
    def of(values: Floats) -> Evidence:
        """Return the evidence of segments from that of their windows (n, w)."""
        return Evidence(sustained_peaks(values), step_means(values))

    def take(self, numbers: Integers) -> Evidence:
        """Return that of the segments with these numbers."""
        return Evidence(self.peaks[numbers], self.means[numbers])

    @staticmethod
    def joined(parts: Sequence[Evidence]) -> Evidence:
        """Return the evidence of parts one after the other."""
        return Evidence(
            np.concatenate([part.peaks for part in parts]),
            np.concatenate([part.means for part in parts]),
        )


def limits_of(
    tails: Sequence[ScaleTail], hours: int, effect_bound: float, period_s: float
) -> Floats:
    """Return the evidence of each time scale that is an alarm, (scales,).

    Args:
        tails: of the time scales.
        hours: that the sound of the model is from; they may support less than the budget.
        effect_bound: evidence of ten seconds that is an alarm.
        period_s: configured time between false alarms.

    """
    criteria = AlarmCriteria(1.0 / period_s, 1.0 / period_s)
    threshold = threshold_for(effective_budget(criteria, hours).false_alarms_hz)
    limits = np.array([evidence_at(tail, threshold) for tail in tails])
    limits[0] = min(limits[0], effect_bound)
    return limits


def exceedances(
    hours: Integers,
    evidence: Evidence,
    limits: Floats,
    rng: np.random.Generator,
    restarts: Mask | None = None,
) -> Mask:
    """Return in which steps the evidence of each time scale is at its limit, (h · 360, scales).

    Args:
        hours: numbers of the segments that sound in each of h hours by turns, (h, k).
        evidence: that of the segments.
        limits: of each time scale, (scales,), or in each hour, (h, scales).
        rng: which ten seconds of a segment sound in each step.
        restarts: in which hours a new model begins, without earlier evidence, (h,).

    """
    count, draws = hours.shape
    steps = np.repeat(hours, STEPS_PER_HOUR // draws, axis=1)
    series = evidence.means[steps.ravel(), rng.integers(0, 2, steps.size)]
    each = np.repeat(np.broadcast_to(limits, (count, limits.shape[-1])), STEPS_PER_HOUR, axis=0)
    found = np.zeros(each.shape, np.bool_)
    found[_peak_steps(count, draws), 0] = True
    found[:, 0] &= evidence.peaks[steps.ravel()] >= each[:, 0]
    series = np.minimum(series, each[:, 0])  # as in the product's alarm score
    now = np.arange(1, steps.size + 1)
    begin = np.zeros(steps.size, np.int64)
    if restarts is not None:
        first = np.flatnonzero(restarts) * STEPS_PER_HOUR
        begin = np.concatenate([[0], first])[np.searchsorted(first, now - 1, side="right")]
    sums = np.concatenate([[0.0], np.cumsum(series)])
    for number, scale in enumerate(TIME_SCALES[1 : each.shape[1]], start=1):
        size = round(scale.seconds / STEP_S)
        low = np.maximum(begin, now - size)
        means = (sums[now] - sums[low]) / (now - low)
        found[:, number] = (means >= each[:, number]) & (2 * (now - low) >= size)
    return found


def _peak_steps(hours: int, draws: int) -> Integers:
    """Return the steps at which the peak of a segment counts: twice an hour, or once a draw."""
    size = STEPS_PER_HOUR // max(2, draws)
    return np.arange(0, hours * STEPS_PER_HOUR, size)


def count_alarms(exceeding: Mask) -> int:
    """Return the alarms of exceeding steps (n,), each acknowledged an hour after it rose."""
    steps = np.flatnonzero(exceeding)
    count, at = 0, 0
    while at < len(steps):
        count += 1
        at = int(np.searchsorted(steps, steps[at] + ACKNOWLEDGED_AFTER))
    return count
