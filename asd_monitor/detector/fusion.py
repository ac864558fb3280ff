"""Fusion of the views' deviations to one score."""

from __future__ import annotations

import numpy as np

from asd_monitor.detector.back_end import Floats


def fuse(deviations: Floats) -> Floats:
    """Return the root mean square (…,) of the positive deviations of the views (…, v).

    A deviation below 0 is an ordinary one and counts as 0.  Squares weight the high deviations more
    than an arithmetic mean, in which a fault that only one view responds to would be averaged out,
    and less than the maximum, which a single outlying view would determine.
    """
    positive = np.maximum(deviations, 0.0)
    return np.asarray(np.sqrt(np.vecdot(positive, positive) / positive.shape[-1]))
