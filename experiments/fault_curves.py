"""Detection as a function of the severity of the fault."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import percentileofscore

BIN = 0.1


@dataclass(frozen=True, slots=True)
class SeverityBin:
    """The faults of a range of severities."""

    low: float  # the range ends before low + BIN
    severity: float  # mean
    auc: float  # mean
    clips: int


def rank_in(normal_scores: npt.ArrayLike, score: float) -> float:
    """Return the share of normal scores (n,) below a score; equal ones count half.

    The mean over anomalous clips is their AUC against these normal clips.
    """
    return float(percentileofscore(np.asarray(normal_scores), score, kind="mean")) / 100.0


def severity_curve(severities: Sequence[float], areas: Sequence[float]) -> list[SeverityBin]:
    """Return the mean of the areas in each range of severities with a clip, in ascending order."""
    severity, area = np.asarray(severities, np.float64), np.asarray(areas, np.float64)
    # 0.3 / 0.1 is 2.9999999999999996
    number = np.floor(severity / BIN + 1e-9).astype(int)
    return [
        SeverityBin(
            float(each * BIN),
            float(severity[number == each].mean()),
            float(area[number == each].mean()),
            int(np.count_nonzero(number == each)),
        )
        for each in np.unique(number)
    ]


def detected_from(curve: Sequence[SeverityBin], auc: float) -> float | None:
    """Return the severity from which on the curve stays at this AUC or above.

    The curve is interpolated linearly.  None if the severest faults are below it; if all are
    above it, the lowest severity, an upper bound.
    """
    below = [number for number, each in enumerate(curve) if each.auc < auc]
    if not below:
        return curve[0].severity if curve else None
    last = below[-1]
    if last == len(curve) - 1:
        return None
    low, high = curve[last], curve[last + 1]
    return float(np.interp(auc, [low.auc, high.auc], [low.severity, high.severity]))
