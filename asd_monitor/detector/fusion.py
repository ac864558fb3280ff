"""Fusion of the views' scores to one."""

from __future__ import annotations

import numpy as np

from asd_monitor.detector.back_end import Floats


def fuse(scores: Floats) -> Floats:
    """Return the cubic mean (…,) of the calibrated scores of the views (…, v).

    The power mean of order 3 weights the high scores more than an arithmetic mean, in which
    a fault that only one view responds to would be averaged out, and less than the maximum,
    which a single outlying view would determine.
    """
    cubes = scores * scores * scores
    return np.asarray(np.cbrt(np.add.reduce(cubes, -1) / cubes.shape[-1]))
