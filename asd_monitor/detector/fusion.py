"""The views' scores → one.

Each is already −log10 of a probability among the normals, so they can be compared.  Their
cubic mean counts the views that stand out for more than those that see nothing: a fault that
only one view can hear is not drowned by nine others, as in a mean, and one unlucky view does
not decide alone, as with the maximum.
"""

from __future__ import annotations

import numpy as np

from asd_monitor.detector.estimators import Floats


def fuse(scores: Floats) -> Floats:
    """Return the fused scores (…,) of the views' scores (…, views), their cubic mean."""
    return np.asarray(np.cbrt(np.mean(scores * scores * scores, axis=-1)))
