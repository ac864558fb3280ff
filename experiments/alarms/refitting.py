"""Refits of a model in its first days, by `asd_monitor.model_training.extension`.

The blocks are longer and fewer here: one segment an hour.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from asd_monitor.detector.detector import Detector
from asd_monitor.detector.fit import BLOCK_S, FittedDetector, fit_detector
from asd_monitor.model_training.admission import BlockVectors, block_deviations
from asd_monitor.model_training.extension import (
    Extension,
    LiveSound,
    TrainingSound,
    extend,
    ordinary_pieces,
)
from experiments.alarms.feature_extraction import FRONT_END, encoders
from experiments.alarms.plant_sound import RATE_HZ
from experiments.alarms.segments import DAY_S, HOUR_S, Floats, Segments

COMMISSIONING_DAYS = 7.0
REFIT_AT_H = 3.0
STEP = 4
"""Every fourth window is kept; they do not overlap."""


def first_model(training: Segments) -> FittedDetector:
    """Return the model of the training sound alone, one segment."""
    return fit_detector([training.windows(0)], FRONT_END, RATE_HZ, encoders())


def refitted(first: Detector, training: Segments, live: Segments) -> Extension:
    """Return the model of the training sound and the live segments that are admitted.

    Args:
        first: the model of the training sound alone.
        training: the training sound, one segment.
        live: the live segments so far, in order.  Those after the days of commissioning are
            evidence of what returned, and are not learned.

    """
    end_s = float(training.times_s[0]) + COMMISSIONING_DAYS * DAY_S
    pieces = [live.windows(number, STEP) for number in range(len(live.times_s))]
    sound = LiveSound(
        pieces,
        live.times_s,
        ordinary_pieces(first, pieces),
        live.times_s < end_s,
        over=float(live.times_s.max(initial=0.0)) + HOUR_S > end_s,
        blocks=round(live.starts[-1] / RATE_HZ / BLOCK_S),
    )
    trained = TrainingSound([training.windows(0, STEP)], [0.0])
    return extend(trained, sound, deviations(training, live), FRONT_END, encoders())


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
        live_means = live.features[name][:, ::STEP].astype(np.float32).mean(1)
        views.append(BlockVectors.of(np.concatenate([means, live_means]), variances))
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
