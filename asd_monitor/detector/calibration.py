"""Calibration: distances → deviations, and fused scores → −log10 of their probability.

A distance of a view is positive and skewed, and where a machine drifts away from what minutes of
recordings contain it is tens of times as large.  So its logarithm is used: the **deviation** of a
window is the robust z-score of the log distance (P. J. Rousseeuw & C. Croux, "Alternatives to the
median absolute deviation", Journal of the American Statistical Association 88 (1993)), with the
spread of its upper half.  It is 0 at the median of the held-out training windows, unbounded, and
keeps its order and its meaning far outside their range, with six blocks of sound as with six hours.

The probability of a fused score is that of the predictive distribution of the next value, a located
and scaled Student t (A. Gelman et al., Bayesian Data Analysis, 3rd ed., section 3.2).  Its variance
is that of the held-out training windows plus that between hours, which one session of recording
cannot show and which is known beforehand (`asd_monitor.detector.prior`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from asd_monitor.detector.back_end import Floats
from asd_monitor.detector.prior import HourPrior

MAX_SCORE = 12.0
"""Scores are limited to this −log10 p; no extrapolation is meaningful beyond it."""

MIN_DISTANCE, MAX_DISTANCE = 0.01, 1e30
"""Limits of a distance.  Smaller ones, of a constant sound, are rounding errors: distances of the
level are in dB, those of the other views about 1 in training sound.  Larger ones overflowed."""

MIN_SPREAD = 0.02
"""Lower limit of the spread of a log distance or a fused score: a constant sound has none."""

_UPPER_QUANTILES = ((0.9, 1.2816), (0.98, 2.0537))
"""Shares of the values, and the quantiles of a standard normal variable there."""
_FEW = 20  # values, of which such quantiles would be the largest alone
_LN_2 = math.log(2.0)
_LOG10_E = 1.0 / math.log(10.0)
_SQRT_HALF = math.sqrt(0.5)


@dataclass(frozen=True, slots=True)
class _Parameters:
    """Base of calibrations: finite parameters, of which all but the first are positive."""

    def __post_init__(self) -> None:
        """Raise ValueError for parameters that are out of range."""
        first, *others = (float(getattr(self, field.name)) for field in fields(self))
        if not np.isfinite([first, *others]).all() or min(others) <= 0:
            raise ValueError("invalid parameters of a calibration")

    def to_json(self) -> dict[str, Any]:
        """Return the parameters for a manifest."""
        return asdict(self)

    @classmethod
    def from_json(cls, parameters: dict[str, Any]) -> Self:
        """Return the calibration with these parameters.

        Raises:
            KeyError, ValueError: a parameter is missing or out of range.

        """
        return cls(*(float(parameters[field.name]) for field in fields(cls)))


@dataclass(frozen=True, slots=True)
class ViewCalibration(_Parameters):
    """Distances of a view → deviations."""

    centre: float  # median of the log distances of held-out windows
    unit: float  # of a deviation, in log distance

    @classmethod
    def fit(cls, distances: npt.ArrayLike, prior: HourPrior) -> Self:
        """Fit the calibration of a view.

        Args:
            distances: held-out distances of training windows, (n,).
            prior: the variation of the log distance between hours.

        Raises:
            ValueError: a distance is not a number.

        """
        logs = _log_distances(np.asarray(distances, np.float64))
        spread = max(MIN_SPREAD, upper_spread(logs))
        return cls(float(np.median(logs)), math.hypot(spread, prior.in_unit))

    def deviation(self, distances: npt.ArrayLike) -> Floats:
        """Return the deviations (…,) of distances (…,), float64."""
        stack = ViewCalibrationStack.of([self])
        return stack.deviations(np.asarray(distances, np.float64)[..., None])[..., 0]


@dataclass(frozen=True, slots=True, eq=False)
class ViewCalibrationStack:
    """The calibrations of v views, evaluated in one call; leading axes can be machines."""

    parameters: Floats
    """(…, v, 2): the centre, and the inverse of the unit."""

    @staticmethod
    def of(views: Sequence[ViewCalibration]) -> ViewCalibrationStack:
        """Stack calibrations."""
        rows = [(each.centre, 1.0 / each.unit) for each in views]
        return ViewCalibrationStack(np.array(rows, np.float64).reshape(len(rows), 2))

    @staticmethod
    def of_machines(machines: Sequence[ViewCalibrationStack]) -> ViewCalibrationStack:
        """Stack the calibrations of m machines; the axes are (m, 1, v)."""
        joined = np.concatenate([each.parameters for each in machines])
        return ViewCalibrationStack(joined.reshape(len(machines), 1, *machines[0].parameters.shape))

    def deviations(self, distances: Floats) -> Floats:
        """Return the deviations (…, v) of distances (…, v), float64."""
        above = _log_distances(distances)
        above -= self.parameters[..., 0]
        above *= self.parameters[..., 1]
        return above


@dataclass(frozen=True, slots=True)
class FusedCalibration(_Parameters):
    """Predictive distribution of the fused score of a normal window."""

    location: float
    scale: float
    dof: float

    @classmethod
    def fit(
        cls, fused: npt.ArrayLike, prior: HourPrior, *, hours: int, days: int, blocks: int
    ) -> Self:
        """Fit the distribution to held-out fused scores.

        Args:
            fused: held-out fused scores of training windows, (n,).
            prior: the variation of the fused score between hours.
            hours: hours that the training windows are from.
            days: days that they are from.
            blocks: independent blocks of time that they are from.

        """
        values = np.asarray(fused, np.float64)
        spread = max(MIN_SPREAD, upper_spread(values))
        scale, dof = prior.predictive(spread, hours=hours, days=days, blocks=blocks)
        return cls(float(np.median(values)), scale, dof)

    def score(self, fused: npt.ArrayLike) -> Floats:
        """Return −log10 P(normal sound has at least this fused score), (…,), 0 … MAX_SCORE."""
        above = np.asarray(fused, np.float64) - self.location
        return student_score(above / self.scale, self.dof)


def upper_spread(values: Floats, higher: int = 0) -> float:
    """Return the spread of the values (n,) above their median.

    It is the standard deviation of a normal variable with the same median and the same upper
    quantiles, the larger of two; where the values are few, their standard deviation.

    Args:
        values: n values.
        higher: number of further values, of which only is known that they are not lower than the
            highest of these.  They count in the highest quantile alone, or as one value where
            the values are few: they never narrow the spread, however many they are.

    """
    if not len(values):
        return 0.0
    known = np.append(values, np.full(higher, values.max()))
    if len(values) < _FEW:
        few = (values, known[: len(values) + 1])
        return max(float(np.std(each, ddof=1)) if len(each) > 1 else 0.0 for each in few)
    median = float(np.median(values))
    (share, sigmas), (highest, most_sigmas) = _UPPER_QUANTILES
    return max(
        (float(np.quantile(values, share)) - median) / sigmas,
        (float(np.quantile(known, highest)) - median) / most_sigmas,
    )


def student_score(t: npt.ArrayLike, dof: npt.ArrayLike) -> Floats:
    """Return −log10 P(T ≥ t) of Student's t with these degrees of freedom, 0 … MAX_SCORE.

    By the normal approximation of `asd_monitor.alarm.scale_tail`, where its error is given, and
    erfc in the approximation of W. H. Press et al., Numerical Recipes, section 6.2, whose relative
    error is 1.2e-7 however small the probability is.

    Args:
        t: values, (…,), finite.
        dof: degrees of freedom, > 0, of a shape that can be broadcast.

    """
    t, dof = np.asarray(t, np.float64), np.asarray(dof, np.float64)
    w = np.sqrt(dof * np.log1p(t * t / dof)) * ((8.0 * dof + 1.0) / (8.0 * dof + 3.0))
    log_erfc = _log_erfc(w * _SQRT_HALF)
    # P = erfc(w / √2) / 2 above t = 0, 1 − that below it
    score = np.asarray(_LN_2 - np.where(t >= 0, log_erfc, np.log(2.0 - np.exp(log_erfc))))
    score *= _LOG10_E
    return np.minimum(MAX_SCORE, np.maximum(score, 0.0, out=score), out=score)


def _log_distances(distances: Floats) -> Floats:
    logs = np.maximum(distances, MIN_DISTANCE)
    np.minimum(logs, MAX_DISTANCE, out=logs)
    return np.log(logs, out=logs)


_ERFC = (
    -1.26551223,
    1.00002368,
    0.37409196,
    0.09678418,
    -0.18628806,
    0.27886807,
    -1.13520398,
    1.48851587,
    -0.82215223,
    0.17087277,
)
"""Coefficients of the polynomial in `_log_erfc`, the constant one first."""


def _log_erfc(x: Floats) -> Floats:
    """Return ln erfc(x) for x ≥ 0."""
    t = 1.0 / (1.0 + 0.5 * x)
    polynomial = np.full_like(t, _ERFC[-1])
    for coefficient in _ERFC[-2::-1]:
        polynomial *= t
        polynomial += coefficient
    return np.asarray(np.log(t) - x * x + polynomial)
