"""The loudest that each operating mode of a machine is expected to be.

A fault that makes a machine twice as loud must be found by a model of minutes as well, as a plain
limit of the level would.  The views cannot show that: the logarithm of a distance tells apart what
is small, and rises little from 3 dB to 12 dB.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from asd_monitor.detector.back_end import Floats
from asd_monitor.detector.modes import Numbers

RISE_BOUND_DB = 3.0
"""A machine this much louder than is expected is an alarm: twice the power.

In simulated halls it costs no false alarm: `experiments.alarms.budget`, ten seconds alone."""
_MIN_FILL = 0.5  # of the sound of a block, as a share of the fullest


@dataclass(frozen=True, slots=True, eq=False)
class TrainingLevels:
    """Levels of the n training windows in dBFS."""

    measured: Floats  # (n,)
    steady: Floats  # (n,), without the trend of one session
    samples: Numbers | None = None
    """Samples that each window stands for, (n,), where windows overlap differently."""

    def loudest(self, own: Numbers, block: Numbers) -> float:
        """Return the highest level in dBFS that is expected to be sustained for a block.

        It lies as far above the loudest block of these windows as that above the median one: where
        the level varies, the loudest of a few blocks is not the loudest that there is.  The trend
        is left out, but for what it has led to at the end.

        Args:
            own: the numbers of the windows.
            block: the block of each of the n windows, ascending.

        """
        numbers, place = np.unique(block[own], return_inverse=True)
        fill = np.bincount(place, None if self.samples is None else self.samples[own])
        filled = numbers[fill >= _MIN_FILL * fill.max()]
        levels = [_lower_median(self.steady[own[block[own] == each]]) for each in filled]
        expected = 2.0 * max(levels) - float(np.median(levels))
        return max(expected, _lower_median(self.measured[own[block[own] == filled[-1]]]))


def rise(levels_dbfs: Floats, loudest_dbfs: Floats) -> Floats:
    """Return how far levels lie above the loudest ones, as a share of `RISE_BOUND_DB`, 0 … 1."""
    return np.asarray(np.clip((levels_dbfs - loudest_dbfs) / RISE_BOUND_DB, 0.0, 1.0))


def _lower_median(values: Floats) -> float:
    return float(np.sort(values)[(len(values) - 1) // 2])
