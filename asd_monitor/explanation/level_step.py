"""An abrupt, lasting change of the level within a piece of sound: what follows it is explained.

Means over both sides of it show impacts and drops of the level that neither side has.  The cycles
and pauses of a machine are no such change: they are in the ranges of the training sound, of which a
part of a cycle alone is outside.
"""

from __future__ import annotations

import numpy as np

from asd_monitor.explanation.band_layout import RHYTHM_STEP_S
from asd_monitor.explanation.comparison import Comparison
from asd_monitor.explanation.envelopes import level_steps_db

MIN_AFTER_S = 3.0
"""Least sound after a change: shorter sound shows no slow rates."""
_PART_S = 0.5
_LEAST_BEFORE = 2  # parts
_MIN_STEP_DB = 5.0
_MIN_EXCESS_DB = 0.3
"""Excess of the impulsiveness of a band: a step within it adds 0.5 dB at least."""


def step_time_s(comparison: Comparison) -> float | None:
    """Return the time after which the level of a band has changed for good; None: it has not.

    All levels of half a second after it are above all those before it, or all below, by
    `_MIN_STEP_DB` in one band at least whose level varies more than in the training sound.

    Args:
        comparison: all of the sound.

    """
    sound, training = comparison.sound, comparison.training("impulsiveness")
    varying = sound.impulsiveness > training.high + _MIN_EXCESS_DB
    if not varying.any():
        return None
    steps_db = level_steps_db(sound.envelopes[varying])
    length = round(_PART_S / RHYTHM_STEP_S)
    count = steps_db.shape[1] // length
    parts = np.median(steps_db[:, : count * length].reshape(len(steps_db), count, length), axis=2)
    found, largest_db = None, _MIN_STEP_DB
    for at in range(_LEAST_BEFORE, count - round(MIN_AFTER_S / _PART_S)):
        before, after = parts[:, :at], parts[:, at + 1 :]  # the change is within the part between
        rise = after.min(1) - before.max(1)
        fall = before.min(1) - after.max(1)
        step_db = float(np.maximum(rise, fall).max())
        if step_db >= largest_db:
            found, largest_db = (at + 1) * _PART_S, step_db
    return found
