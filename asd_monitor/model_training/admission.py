"""Which blocks of live sound a model is extended by in its first days.

A condition is learned if the sound that was known before it returns: a neighbour's machine, another
load, the night.  What stays, or grows, is not: it may be a fault.  Blocks are taken in order of
time.  A block that is close to an anchor is known, and so is one that the first model finds
ordinary: ten minutes of training sound lie closer together than any two hours of a machine.  One
that is not is novel; it is admitted, and becomes an anchor, if known sound has returned since.
Known blocks do not become anchors, so that a change that grows by small steps is not followed.
Sound that a person has marked as normal is an anchor.

Where sound of the same time of day was known before a novel block, it must return at that time of
day: a fault that is audible in the quiet of the night alone must not be admitted because the days
mask it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from asd_monitor.detector.back_end import Floats, Vectors
from asd_monitor.detector.calibration import MIN_SPREAD, upper_spread
from asd_monitor.detector.fusion import fuse

CLOSE = 4.0
"""Deviation, by all views together, up to which a block resembles another."""
RETURN_RATIO = 0.6
"""Sound has returned where it is closer to the anchors than the novel block by this factor: a
change that grows past `CLOSE` does not return because it fluctuates."""
RETURN_SHARE = 0.02
"""Least share of the later blocks that must be known sound again…"""
RETURN_S = 3 * 86400.0
"""…within this time."""
SETTLE_S = 3600.0
"""Sound within this time of a novel block may be the same event and is not a return."""
SHARE_OF_BEFORE = 0.1
"""Least share of known sound at a time of day, in terms of the highest of a day before."""
TIME_OF_DAY_S = 0.75 * 3600.0
"""Blocks within this time of each other on two days are of the same time of day."""
DAY_S = 86400.0
_MIN_SPREAD_SHARE = 1e-3  # of the median coordinate's, for one that does not vary

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class BlockVectors:
    """The mean and the spread of one view's vectors in each of b blocks."""

    means: Vectors  # (b, d)
    spreads: Vectors  # (d,): standard deviation within blocks

    @classmethod
    def of(cls, means: Vectors, variances: Sequence[Vectors]) -> Self:
        """Return the means (b, d), with the spread of the variances (d,) within blocks."""
        spreads = np.sqrt(np.mean(variances, axis=0))
        least = _MIN_SPREAD_SHARE * float(np.median(spreads)) + 1e-6
        return cls(means, np.maximum(spreads, least))


def block_deviations(views: Sequence[BlockVectors], training: int) -> Floats:
    """Return how far each block lies from each other one, (b, b), by all views together.

    A view's distance is the root mean square of the differences of the mean vectors, in units of
    the spread within blocks.  Its deviation is the robust z-score of the log distance among those
    of each training block to its nearest; the first ``training`` blocks are those of training.

    Raises:
        ValueError: there are fewer than two training blocks.

    """
    if training < 2:
        raise ValueError(f"the training sound has {training} blocks of ten seconds")
    deviations = []
    for view in views:
        scaled = view.means.astype(np.float64) / view.spreads
        squares = np.square(scaled).sum(1)
        distances = squares[:, None] + squares - 2.0 * (scaled @ scaled.T)
        distances = np.sqrt(np.maximum(distances, 0.0) / scaled.shape[1])
        np.fill_diagonal(distances, np.inf)
        logs = np.log(np.maximum(distances, 1e-9))
        nearest = logs[:training, :training].min(1)
        unit = max(MIN_SPREAD, upper_spread(nearest))
        deviations.append((logs - np.median(nearest)) / unit)
    result = fuse(np.minimum(np.stack(deviations, -1), 1e6))
    np.fill_diagonal(result, 0.0)
    return result


@dataclass(frozen=True, slots=True, eq=False)
class Admission:
    """What became of n live blocks."""

    known: Mask  # (n,): close to an anchor, or ordinary
    admitted: Mask  # (n,): novel, but known sound has returned since

    @property
    def learned(self) -> Mask:
        """Which blocks the model is extended by, (n,)."""
        return self.known | self.admitted


def admit(
    between: Floats,
    times_s: Floats,
    ordinary: Mask,
    close: float = CLOSE,
    *,
    marked: Mask | None = None,
) -> Admission:
    """Return which live blocks a model is extended by.

    Args:
        between: deviations of all blocks from each other, (b, b); the training blocks first.
        times_s: local time of the n live blocks, which are the last, in order, (n,).
        ordinary: which of them the first model finds ordinary, (n,).
        close: deviation up to which a block resembles another.
        marked: which of them a person has marked as normal, (n,): they are anchors.

    """
    n, training = len(times_s), len(between) - len(times_s)
    live = between[training:, training:]
    to_anchor = between[training:, :training].min(1)  # of each live block, to the nearest anchor
    if marked is not None and marked.any():
        to_anchor = np.minimum(to_anchor, live[:, marked].min(1))
    to_anchor[ordinary] = 0.0
    known, admitted = np.zeros(n, bool), np.zeros(n, bool)
    for number in range(n):
        if to_anchor[number] <= close:
            known[number] = True
        elif _returned(number, to_anchor <= min(close, RETURN_RATIO * to_anchor[number]), times_s):
            admitted[number] = True
            to_anchor = np.minimum(to_anchor, live[number])
    return Admission(known, admitted)


def _returned(number: int, is_known: Mask, times_s: Floats) -> bool:
    """Return whether known sound has returned since a novel block."""
    since = times_s - times_s[number]
    later = (since > SETTLE_S) & (since <= RETURN_S)
    least = RETURN_SHARE
    of_day = np.abs((since + DAY_S / 2) % DAY_S - DAY_S / 2) <= TIME_OF_DAY_S
    earlier = of_day & (since < -DAY_S / 2)
    if is_known[earlier].any():
        later &= of_day & (since > DAY_S / 2)
        least = max(least, SHARE_OF_BEFORE * _highest_share(is_known[earlier], since[earlier]))
    return bool(later.any()) and float(is_known[later].mean()) >= least


def _highest_share(is_known: Mask, times_s: Floats) -> float:
    """Return the highest share of known sound in one of the days."""
    day = np.round(times_s / DAY_S)
    return max(float(is_known[day == each].mean()) for each in np.unique(day))
