"""Moments of the normals that hardly belong to them: listened to by a person, not removed.

Judged by held-out scores against an exponential tail through their quantiles, because a
tail fitted to all of them would count the outliers in and call them likely.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from asd_monitor.model_training.reference import SoundFile
from asd_monitor.wording import clock

BULK, HIGH = 0.8, 0.95  # quantiles that give the tail
RARE = 100.0  # one recording of this length in so many would hold a window like it


@dataclass(frozen=True, slots=True)
class WindowPosition:
    """Where a window lies."""

    file: SoundFile
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class Outlier:
    """A stretch of unlikely windows."""

    file: SoundFile
    start_s: float
    end_s: float
    excess: float  # in units of the tail's scale above the least that counts
    view: str  # that stands out most

    def in_words(self) -> str:
        """Tell a person where to listen."""
        when = f"{clock(self.start_s)} to {clock(self.end_s)}"
        return f"{self.file.path.name}, {when} (by its {self.view})"


def find_outliers(
    fused: npt.ArrayLike,
    by_view: npt.ArrayLike,
    names: Sequence[str],
    moments: Sequence[WindowPosition],
) -> list[Outlier]:
    """Return the outliers among held-out scores (n,), the greatest first.

    ``by_view`` (n, views) are the calibrated scores of the views, called ``names``.
    """
    fused, by_view = np.asarray(fused, np.float64), np.asarray(by_view, np.float64)
    bulk, high = np.quantile(fused, [BULK, HIGH])
    scale = max((high - bulk) / np.log((1 - BULK) / (1 - HIGH)), 1e-9)
    limit = bulk + scale * np.log((1 - BULK) * len(fused) * RARE)
    found: list[Outlier] = []
    for row in np.flatnonzero(fused > limit).tolist():
        moment = moments[row]
        excess = float((fused[row] - limit) / scale)
        view = names[int(np.argmax(by_view[row]))]
        last = found[-1] if found else None
        if last and last.file is moment.file and moment.start_s <= last.end_s:
            louder = excess > last.excess
            found[-1] = Outlier(
                last.file,
                last.start_s,
                moment.end_s,
                max(excess, last.excess),
                view if louder else last.view,
            )
        else:
            found.append(Outlier(moment.file, moment.start_s, moment.end_s, excess, view))
    return sorted(found, key=lambda outlier: -outlier.excess)
