"""The linear trend within a training recording.

A machine that runs in, or a hall that warms up, drifts while it is recorded.  Blocks at the beginning
and at the end then differ by the drift, and a spread estimated between them says nothing of how much
the sound fluctuates.  So the trend is removed before the spread is estimated; the detector itself is
fitted to the windows as they are.
"""

from __future__ import annotations

import numpy as np

from asd_monitor.detector.back_end import Floats, Vectors


def without_trend(vectors: Vectors) -> Vectors:
    """Return vectors (n, d) in order of time without their linear trend; the mean is kept."""
    time = np.arange(len(vectors), dtype=np.float64)
    time -= time.mean()
    norm = float(time @ time)
    if norm == 0:
        return vectors
    slope = time @ (vectors.astype(np.float64) - vectors.mean(0)) / norm
    return (vectors - np.outer(time, slope)).astype(np.float32)


def trend_of(values: Floats) -> tuple[float, float]:
    """Return the change of values (n,) from the first to the last by their linear trend.

    The second number is the share of their variance that the trend explains.
    """
    time = np.linspace(-0.5, 0.5, len(values))
    centred = values - values.mean()
    slope = float(time @ centred / (time @ time))
    total = float(centred @ centred)
    return slope, (slope**2 * float(time @ time) / total if total > 0 else 0.0)
