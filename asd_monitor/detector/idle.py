"""Where the normals show that a machine is off: a region of level, or none.

Off is the lowest cluster of levels when an almost empty valley separates it from the rest.
Where there is no such valley there is no region: a machine that falls quiet is not excused.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

VALLEY_DB = 6.0  # at least this wide
VALLEY_SHARE = 0.03  # at most this share of the windows within it
OFF_SHARE = 0.05  # at least this share of the windows below it
RUNNING_SHARE = 0.2  # at least this share above it
ABOVE_DB = 2.0  # the region reaches so far above the loudest off window
BELOW_DB = 10.0  # and so far below the quietest: nights are quieter than days


def idle_region(levels_dbfs: npt.ArrayLike) -> tuple[float, float] | None:
    """Return the levels (low, high) in dBFS at which the machine is off, or None.

    ``levels_dbfs`` (n,) are those of the normals' windows.
    """
    levels = np.sort(np.asarray(levels_dbfs, np.float64))
    n = len(levels)
    first, last = int(np.ceil(OFF_SHARE * n)), int(n - np.ceil(RUNNING_SHARE * n))
    for top in range(max(1, first), last):  # levels[:top] would be off
        floor = levels[top - 1]
        inside = int(np.searchsorted(levels, floor + VALLEY_DB)) - top
        if inside <= VALLEY_SHARE * n:
            return float(levels[0] - BELOW_DB), float(floor + ABOVE_DB)
    return None
