"""The views' scores → one.

Each is already −log10 of a probability among the normals, so they can be compared.
"""

from __future__ import annotations

import numpy as np

from asd_monitor.detector.backends import Floats


def fuse(scores: Floats) -> Floats:
    """Return the fused scores (n,) of the views' scores (n, views): mean of the higher half."""
    count = (scores.shape[1] + 1) // 2
    return np.asarray(np.sort(scores, axis=1)[:, -count:].mean(1))
