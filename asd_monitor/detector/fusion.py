"""The views' scores → one.

Each is already −log10 of a probability among the normals, so they can be compared.  Their
cubic mean counts the views that stand out for more than those that see nothing: a fault that
only one view can hear is not drowned by nine others, as in a mean, and one unlucky view does
not decide alone, as with the maximum.
"""

from __future__ import annotations

import numpy as np

from asd_monitor.detector.backends import Floats

POWER = 3


def fuse(scores: Floats, power: int = POWER) -> Floats:
    """Return the fused scores (n,) of the views' scores (n, views), the power mean."""
    return np.asarray(np.mean(scores**power, axis=1) ** (1.0 / power))
