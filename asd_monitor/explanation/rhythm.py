"""The rhythm of strokes: their period in the autocorrelation of the level."""

from __future__ import annotations

import numpy as np

from asd_monitor.explanation.band_layout import RHYTHM_STEP_S
from asd_monitor.explanation.comparison import Comparison, interpolated, local_peaks, widened
from asd_monitor.explanation.findings import Finding, FindingKind

MIN_REGULARITY = 0.3
"""Lowest autocorrelation in training at the period of a machine that has a clear rhythm."""
MIN_LOSS = 0.3
"""Of the autocorrelation below its lowest value in training, in Fisher's z."""
_SHORTEST_S = 0.3
_SAME = 0.03  # of the period
_UNIT = 0.2
_AS_CLEAR = 0.9
_LIMIT = 0.995


def rhythm_finding(comparison: Comparison) -> Finding | None:
    """Return the change of a rhythm that is clear in the training sound; None: there is none."""
    lags_s = comparison.layout.lags_s
    training, now = comparison.training("rhythm"), comparison.sound.rhythm
    if comparison.sound.seconds < 2.0 * _SHORTEST_S:
        return None
    shortest = round(_SHORTEST_S / RHYTHM_STEP_S)
    usable = lags_s <= comparison.sound.seconds / 2.0
    clear = np.where((np.arange(len(lags_s)) >= shortest) & usable, training.low, -1.0)
    peaks = local_peaks(clear, MIN_REGULARITY)
    if not peaks:
        return None
    at = min(k for k in peaks if training.low[k] >= _AS_CLEAR * training.low[peaks[0]])
    usual_s = float(RHYTHM_STEP_S * (interpolated(training.usual, at) + 1.0))
    reach = np.maximum(1.0, np.ceil(_SAME * np.arange(len(now))))
    loss = _fisher(float(training.low[at])) - _fisher(float(widened(now, reach)[at]))
    if loss < MIN_LOSS:
        return None
    change = None
    others = [
        k
        for k in local_peaks(now, 0.75 * float(training.low[at]))
        if 0.6 <= lags_s[k] / usual_s <= 1.8 and usable[k]
    ]
    if others:
        now_s = RHYTHM_STEP_S * (interpolated(now, others[0]) + 1.0)
        shift = 100.0 * (usual_s / now_s - 1.0)
        change = shift if abs(shift) >= 100.0 * _SAME else None
    return Finding(
        FindingKind.RHYTHM,
        strength=loss / _UNIT,
        from_hz=float(comparison.layout.lines_hz[0]),
        to_hz=float(comparison.layout.lines_hz[-1]),
        rate_hz=1.0 / usual_s,
        change_percent=change,
    )


def _fisher(correlation: float) -> float:
    return float(np.arctanh(min(_LIMIT, max(-_LIMIT, correlation))))
