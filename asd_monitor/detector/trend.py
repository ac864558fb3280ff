"""The linear trend within a training recording.

The sound of a machine that runs in, or of a hall that warms up, drifts while it is recorded.
Blocks at the beginning and at the end then differ by the drift, and a spread estimated between them
is not that of the fluctuation.  So the trend is removed before the spread is estimated; the
detector itself is fitted to the windows as they are.
"""

from __future__ import annotations

import numpy as np

from asd_monitor.detector.back_end import Floats, Vectors


def without_trend(vectors: Vectors, times_s: Floats) -> Vectors:
    """Return vectors (n, d) of these times (n,) without their linear trend; the mean is kept."""
    time = times_s - times_s.mean()
    norm = float(time @ time)
    if norm == 0:
        return vectors
    slope = time @ vectors.astype(np.float64) / norm
    return (vectors - np.outer(time, slope)).astype(np.float32)


def trend_of(values: Floats) -> tuple[float, float]:
    """Return the linear trend of values (n,) that are evenly spaced in time, n ≥ 2.

    Returns:
        The change from the first value to the last, and the share of their variance that the trend
        explains, 0 … 1.

    """
    time = np.linspace(-0.5, 0.5, len(values))
    norm = float(time @ time)
    centred = values - values.mean()
    change = float(time @ centred) / norm
    total = float(centred @ centred)
    return change, (change**2 * norm / total if total > 0 else 0.0)
