"""How detection grows with the severity of a fault, and the severity from which it suffices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

BIN = 0.1


@dataclass(frozen=True, slots=True)
class Step:
    """The faults of one range of severities."""

    low: float  # … low + BIN, without the latter
    severity: float  # mean
    area: float  # mean
    clips: int


def beaten(score: float, reference: npt.ArrayLike) -> float:
    """Return the share of the normals' scores (n,) below this one (ties count half).

    Its mean over anomalous clips is their AUC against these normals.
    """
    scores = np.asarray(reference, np.float64)
    return float(np.mean(scores < score) + np.mean(scores == score) / 2)


def severity_curve(severities: Sequence[float], areas: Sequence[float]) -> list[Step]:
    """Return the mean area of each range of severities that holds a clip, from mild to gross."""
    severity, area = np.asarray(severities, np.float64), np.asarray(areas, np.float64)
    # 0.3 / 0.1 is 2.9999999999999996
    number = np.floor(severity / BIN + 1e-9).astype(int)
    return [
        Step(
            float(which * BIN),
            float(severity[number == which].mean()),
            float(area[number == which].mean()),
            int(np.count_nonzero(number == which)),
        )
        for which in np.unique(number)
    ]


def reached_at(curve: Sequence[Step], area: float) -> float | None:
    """Return the severity from which on the curve stays at this area or above.

    Straight lines join the steps; None where the grossest faults lie below it.  Where all
    lie above it, the severity of the mildest, which is an upper bound.
    """
    below = [at for at, step in enumerate(curve) if step.area < area]
    if not below:
        return curve[0].severity if curve else None
    last = below[-1]
    if last == len(curve) - 1:
        return None
    low, high = curve[last], curve[last + 1]
    share = (area - low.area) / (high.area - low.area)
    return low.severity + share * (high.severity - low.severity)
