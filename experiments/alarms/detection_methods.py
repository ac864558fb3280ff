"""Ways to alarm, each applied to the same simulated sound: ours, and what it is compared with."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from asd_monitor.alarm.time_scales import TIME_SCALES
from experiments.alarms.alarm_counting import (
    STEPS_PER_HOUR,
    Evidence,
    Mask,
    exceedances,
    sustained_peaks,
)
from experiments.alarms.growing_faults import Course
from experiments.alarms.life_history import LifeModel
from experiments.alarms.segments import Floats, Integers, Segments

RMS_LIMIT, MEAN_AND_DEVIATIONS = "fixed RMS limit", "mean + kσ"
COMMISSIONED, PROVISIONAL, BEFORE = "commissioned", "provisional", "version before"
ALONE = {f"{scale.seconds:g} s alone": number for number, scale in enumerate(TIME_SCALES)}


@dataclass(frozen=True, slots=True, eq=False)
class ModelMethod:
    """Our alarm rule with one model."""

    evidence: Mapping[str, Evidence]  # by the name of segments
    limits: Floats  # of each time scale

    @staticmethod
    def of(model: LifeModel, limits: Floats) -> ModelMethod:
        """Return the method of a model with these limits."""
        found = {name: Evidence.of(scores.evidence) for name, scores in model.scores.items()}
        return ModelMethod(found, limits)

    def exceeding(self, course: Course, rng: np.random.Generator) -> Mask:
        """Return which steps of the course exceed, (n, scales)."""
        parts = [
            self.evidence[name].take(np.array([number]))
            for name, number in zip(course.names, course.numbers.tolist(), strict=True)
        ]
        hours = np.arange(len(parts), dtype=np.int64)[:, None]
        return exceedances(hours, Evidence.joined(parts), self.limits, rng)


def level_peaks(segments: Mapping[str, Segments], training: Segments) -> dict[str, Floats]:
    """Return the level that each segment sustains, in dB above that of the training."""
    mean = float(training.levels_dbfs.mean())
    return {name: sustained_peaks(own.levels_dbfs) - mean for name, own in segments.items()}


def deviation_peaks(model: LifeModel) -> dict[str, Floats]:
    """Return the fused score that each segment sustains, in standard deviations above the mean."""
    facts = model.facts
    return {
        name: (sustained_peaks(scores.fused) - facts.fused_mean) / facts.fused_deviation
        for name, scores in model.scores.items()
    }


def alarming(peaks: Mapping[str, Floats], limit: float, course: Course) -> Mask:
    """Return in which steps (n,) of a course the segments' peaks are at a limit."""
    reached = [
        peaks[name][number] >= limit
        for name, number in zip(course.names, course.numbers.tolist(), strict=True)
    ]
    return np.repeat(np.array(reached, np.bool_), STEPS_PER_HOUR)


def delay_h(exceeding: Mask, onset: int) -> float | None:
    """Return the hours from the onset hour to the first exceeding step (n,) after it."""
    steps = np.flatnonzero(exceeding[onset * STEPS_PER_HOUR :])
    return float(steps[0]) / STEPS_PER_HOUR if len(steps) else None


def limit_for(
    total: int, peaks: Sequence[Floats], hours: Sequence[Integers], count: Callable[..., int]
) -> float:
    """Return the lowest limit at which all machines have this total of false alarms, or fewer.

    Args:
        total: of all machines.
        peaks: of the normal segments of each machine, (n,).
        hours: the segments in each hour of each machine's simulated months.
        count: alarms where each segment exceeds or does not, as `count_of_segments`.

    """
    candidates = np.unique(np.concatenate(peaks))
    low, high = 0, len(candidates)
    while low < high:
        middle = (low + high) // 2
        alarms = sum(
            count(own >= candidates[middle], each) for own, each in zip(peaks, hours, strict=True)
        )
        if alarms <= total:
            high = middle
        else:
            low = middle + 1
    return float(candidates[low]) if low < len(candidates) else float(candidates[-1]) + 1e-6
