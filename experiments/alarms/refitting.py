"""Refits of a model in its first days, as `asd_monitor.model_training.refit` makes them.

The blocks are longer and fewer here: one segment an hour.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from asd_monitor.detector.fit import BLOCK_S, FittedDetector, fit_detector
from asd_monitor.model_training.admission import Admission, BlockVectors, admit, block_deviations
from experiments.alarms.feature_extraction import FRONT_END, encoders
from experiments.alarms.plant_sound import RATE_HZ
from experiments.alarms.segments import DAY_S, HOUR_S, Floats, Segments

COMMISSIONING_DAYS = 7.0
REFIT_AT_H = 3.0
STEP = 4
"""Every fourth window is kept; they do not overlap."""
_SESSION_BEFORE_S = 3600.0
_MIN_SPREAD_SHARE = 1e-3  # of the median coordinate's


@dataclass(frozen=True, slots=True, eq=False)
class Refit:
    """An extended model."""

    fitted: FittedDetector
    admission: Admission  # of the n live segments
    learned: npt.NDArray[np.bool_]  # (n,)


def first_model(training: Segments) -> FittedDetector:
    """Return the model of the training sound alone, one segment."""
    return fit_detector([training.windows(0)], FRONT_END, RATE_HZ, encoders())


def refitted(training: Segments, live: Segments) -> Refit:
    """Return the model of the training sound and the live segments that are admitted.

    Args:
        training: the training sound, one segment.
        live: the live segments so far, in order.  Those after the days of commissioning are
            evidence of what returned, and are not learned.

    """
    begin_s, times_s = float(training.times_s[0]), live.times_s
    admission = admit(deviations(training, live), times_s)
    in_time = times_s < begin_s + COMMISSIONING_DAYS * DAY_S
    learned = admission.learned & in_time
    numbers = np.flatnonzero(learned)
    pieces = [training.windows(0, STEP), *(live.windows(int(number), STEP) for number in numbers)]
    begins_s = [float(times_s[0]) - _SESSION_BEFORE_S, *times_s[numbers]]
    left_out = int(np.count_nonzero(in_time)) - len(numbers)
    blocks = round(live.starts[-1] / RATE_HZ / BLOCK_S)  # of a segment
    fitted = fit_detector(
        pieces,
        FRONT_END,
        RATE_HZ,
        encoders(),
        begins_s=begins_s,
        censored=left_out * blocks,
    )
    return Refit(fitted, admission, learned)


def deviations(training: Segments, live: Segments) -> Floats:
    """Return how far the blocks of the training sound and the live segments lie from each other.

    The blocks of ten seconds of the training sound are first.
    """
    block = (training.starts - training.starts[0]) // round(BLOCK_S * RATE_HZ)
    count = int(block.max()) + 1
    views = []
    for name, rows in training.features.items():
        vectors = rows[0].astype(np.float32)
        means = np.stack([vectors[block == number][::STEP].mean(0) for number in range(count)])
        variances = [vectors[block == number].var(0) for number in range(count)]
        spreads = np.sqrt(np.mean(variances, axis=0))
        spreads = np.maximum(spreads, _MIN_SPREAD_SHARE * float(np.median(spreads)) + 1e-6)
        live_means = live.features[name][:, ::STEP].astype(np.float32).mean(1)
        views.append(BlockVectors(np.concatenate([means, live_means]), spreads))
    return block_deviations(views, count)


def refit_times_s(begin_s: float) -> Sequence[float]:
    """Return when a model that was trained at this local time is refitted.

    After the first hour and the first day, then each day at `REFIT_AT_H`, for the last time when
    the days of commissioning are over.
    """
    end_s = begin_s + COMMISSIONING_DAYS * DAY_S
    first_s = begin_s + DAY_S
    times = [begin_s + HOUR_S, first_s]
    daily_s = np.floor(first_s / DAY_S) * DAY_S + REFIT_AT_H * HOUR_S
    while times[-1] < end_s:
        if daily_s > first_s:
            times.append(float(daily_s))
        daily_s += DAY_S
    return times
