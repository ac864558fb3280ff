"""Outliers among the training windows: reported for a person to check.

One or two short events are left out of the views (`asd_monitor.detector.events`), and remain in the
tails; all others are learned from.

Out-of-fold scores are compared with an exponential tail through two of their quantiles, because
a tail fitted to all of them would include the outliers and make them look likely.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from asd_monitor.model_training.sound_files import SoundFile

TAIL_QUANTILES = (0.8, 0.95)
RARITY = 100.0
"""The limit is the score expected once in this many recordings of the same length."""


@dataclass(frozen=True, slots=True)
class WindowPosition:
    """Where a window lies."""

    file: SoundFile
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class Outlier:
    """A run of overlapping outlying windows."""

    file: SoundFile
    start_s: float
    end_s: float
    excess: float  # above the limit, in units of the tail's scale
    view: str  # with the highest deviation


def find_outliers(
    fused: npt.ArrayLike,
    by_view: npt.ArrayLike,
    names: Sequence[str],
    positions: Sequence[WindowPosition],
) -> list[Outlier]:
    """Return the outliers among out-of-fold fused scores (n,), the greatest excess first.

    ``by_view`` (n, views) are the deviations of the views, called ``names``.
    """
    fused, by_view = np.asarray(fused, np.float64), np.asarray(by_view, np.float64)
    low, high = TAIL_QUANTILES
    low_score, high_score = np.quantile(fused, TAIL_QUANTILES)
    scale = max((high_score - low_score) / np.log((1 - low) / (1 - high)), 1e-9)
    limit = low_score + scale * np.log((1 - low) * len(fused) * RARITY)
    found: list[Outlier] = []
    for row in np.flatnonzero(fused > limit).tolist():
        position = positions[row]
        excess = float((fused[row] - limit) / scale)
        view = names[int(np.argmax(by_view[row]))]
        last = found[-1] if found else None
        if last and last.file is position.file and position.start_s <= last.end_s:
            found[-1] = Outlier(
                last.file,
                last.start_s,
                position.end_s,
                max(excess, last.excess),
                view if excess > last.excess else last.view,
            )
        else:
            found.append(Outlier(position.file, position.start_s, position.end_s, excess, view))
    return sorted(found, key=lambda outlier: -outlier.excess)
