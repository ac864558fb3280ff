"""Refits of a model in its first days, as the product makes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from asd_monitor.detector.back_end import Vectors
from asd_monitor.detector.fit import BLOCK_S, FittedDetector, fit_detector
from asd_monitor.dsp.front_end import FrontEnd, front_end_for
from asd_monitor.encoders.encoder import Encoder
from asd_monitor.encoders.encoder_loading import shipped_encoder
from asd_monitor.model_training.admission import Admission, BlockVectors, admit, block_deviations
from experiments.alarms.plant_sound import RATE_HZ
from experiments.alarms.segments import DAY_S, HOUR_S, Floats, Segments

COMMISSIONING_DAYS = 7.0
REFIT_AT_H = 3.0
STEP = 4
"""Every fourth window is kept; they do not overlap."""
_SPREAD_FLOOR = 1e-3  # of the median over the dimensions

FRONT_END: FrontEnd = front_end_for(RATE_HZ)


@dataclass(frozen=True, slots=True, eq=False)
class Refit:
    """An extended model."""

    fitted: FittedDetector
    admission: Admission  # of the n live segments
    learned: npt.NDArray[np.bool_]  # (n,)


@cache
def encoders() -> tuple[Encoder, ...]:
    """Return the shipped encoder, if there is one."""
    shipped = shipped_encoder()
    return () if shipped is None else (shipped,)


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
    begin_s = float(training.times_s[0])
    times_s = live.times_s
    admission = admit(deviations(training, live), times_s)
    learned = admission.learned & (times_s < begin_s + COMMISSIONING_DAYS * DAY_S)
    numbers = np.flatnonzero(learned)
    pieces = [training.windows(0, STEP), *(live.windows(int(number), STEP) for number in numbers)]
    begins_s = [begin_s - _length_s(training), *times_s[numbers]]
    fitted = fit_detector(pieces, FRONT_END, RATE_HZ, encoders(), begins_s)
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
        spreads: Vectors = np.sqrt(np.mean(variances, axis=0))
        spreads += _SPREAD_FLOOR * np.median(spreads) + 1e-6
        live_means = live.features[name][:, ::STEP].astype(np.float32).mean(1)
        views.append(BlockVectors(np.concatenate([means, live_means]), spreads))
    return block_deviations(views, count)


def _length_s(segment: Segments) -> float:
    return float(segment.starts[-1] + segment.window) / RATE_HZ


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
