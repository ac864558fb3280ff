"""Levels at which the machine is off, and levels far below those of the training recordings.

The machine is taken to be off in the lowest cluster of levels if an almost empty valley
separates it from the rest.  Without such a valley no level counts as off, so that a machine
that becomes quieter is scored.

Below all levels of training, at the same distance for both, lies what the recordings say nothing
about: there the user decides whether the machine may be off (`asd_monitor.records.WhenQuiet`).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

VALLEY_DB = 6.0  # least width of the valley
VALLEY_SHARE = 0.03  # largest share of the windows in the valley
OFF_SHARE = 0.05  # least share of the windows below it
RUNNING_SHARE = 0.2  # least share of the windows above it
MARGIN_ABOVE_DB = 2.0  # from the loudest off window to the upper limit
MARGIN_BELOW_DB = 10.0  # from the quietest to the lower limit: nights are quieter than days
"""Sound this far below the quietest training window is far quieter than ever in training.

It has a tenth of the power: more than operating points and days differ by, and less than most
machines differ from their hall."""


def idle_region(levels_dbfs: npt.ArrayLike) -> tuple[float, float] | None:
    """Return the lowest and highest level in dBFS at which the machine is off, or None.

    Args:
        levels_dbfs: levels of the training windows, (n,).

    """
    levels = np.sort(np.asarray(levels_dbfs, np.float64))
    n = len(levels)
    first, last = int(np.ceil(OFF_SHARE * n)), int(n - np.ceil(RUNNING_SHARE * n))
    for count in range(max(1, first), last):  # levels[:count] are taken to be off
        loudest_off = levels[count - 1]
        in_valley = int(np.searchsorted(levels, loudest_off + VALLEY_DB)) - count
        if in_valley <= VALLEY_SHARE * n:
            return float(levels[0] - MARGIN_BELOW_DB), float(loudest_off + MARGIN_ABOVE_DB)
    return None
