"""Single events in the training recordings, such as a knock or a voice.

A loud event of a second among minutes of sound widens covariances and standard deviations so much
that no fault is far from them.  So the back ends are fitted without the windows of one or two such
events.  More than two recur: they are part of the machine's sound.
"""

from __future__ import annotations

import numpy as np

from asd_monitor.detector.back_end import Floats
from asd_monitor.detector.calibration import MIN_SPREAD
from asd_monitor.detector.spans import Mask, Spans

PEAK_SPREADS = 8.0
"""Least highest fused score of an event, in spreads above the median."""
EDGE_SPREADS = 4.0
"""Least fused score of each of its windows."""
MAX_EVENTS = 2
MAX_SHARE = 0.1  # of the windows
_QUARTILE_OF_NORMAL = 0.6745


def find_events(fused: Floats, spans: Spans) -> Mask:
    """Return which training windows (n,) belong to one or two short events unlike the rest.

    The spread is that from the median to the upper quartile, which events do not widen.

    Args:
        fused: out-of-fold fused scores, (n,).
        spans: positions of the windows.

    """
    median, quartile = np.quantile(fused, [0.5, 0.75])
    height = (fused - median) / max(MIN_SPREAD, (quartile - median) / _QUARTILE_OF_NORMAL)
    is_high = height >= EDGE_SPREADS
    continues = is_high[:-1] & is_high[1:] & (spans.segment[:-1] == spans.segment[1:])
    run = np.cumsum(np.concatenate([[True], ~continues])) - 1  # number of the run of each window
    peaks = np.zeros(run[-1] + 1)
    np.maximum.at(peaks, run, height)
    is_event = peaks >= PEAK_SPREADS
    events = np.asarray(is_event[run])
    if np.count_nonzero(is_event) > MAX_EVENTS or events.mean() > MAX_SHARE:
        return np.zeros(len(fused), bool)
    return events
