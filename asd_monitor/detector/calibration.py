"""Calibration: raw scores → −log10 of their probability in normal sound.

The distribution of the held-out training scores is modelled piecewise: an empirical body and,
above its 90 % quantile u, a generalised Pareto tail (peaks over threshold; J. Pickands,
"Statistical inference using extreme order statistics", Annals of Statistics 3 (1975); for
streams A. Siffer et al., "Anomaly detection in streams with extreme value theory", KDD 2017)::

    P(X ≥ u + y) = P(X ≥ u) · (1 + γ y / σ)^(−1/γ),    y ≥ 0, γ ≥ 0, σ > 0

So the score does not saturate at the highest training score.

The shape γ is estimated by the method of moments (J. R. M. Hosking & J. R. Wallis, "Parameter
and quantile estimation for the generalized Pareto distribution", Technometrics 29 (1987))::

    γ = ½ (1 − m² / s²),    σ = m (1 − γ),    m, s²: mean and variance of the excesses y

and, since few excesses do not determine it, shrunk towards a slightly heavy tail.  Negative
shapes are excluded: such a tail has a finite end point, and a score just above the highest
training score would have probability 0.

The calibrations of views have a given shape and only their scale is fitted.  The scores of
the views are fused, so that they must be comparable.  Where the sound drifts away from what
minutes of training recordings contain, raw scores of tens of scales are common; a light
tail would map them all to the maximum and lose their order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

MAX_SCORE = 12.0
"""Scores are limited to this −log10 p; no extrapolation is meaningful beyond it."""

TAIL_PROBABILITY = 0.1
"""P(X ≥ u): the share of the training scores that the tail is fitted to."""

KNOT_COUNT = 19
PRIOR_SHAPE, PRIOR_EXCESSES = 0.1, 30.0
"""The prior of the shape γ, and its weight as a number of excesses."""

MAX_SHAPE = 0.5
_MIN_SHAPE = 1e-9  # numerically an exponential tail, γ → 0
_MIN_STEP = 1e-200  # between knots that coincide
_MIN_SPREAD, _MIN_RELATIVE_SPREAD = 1e-9, 1e-5  # of equal scores, which are rounded to float32
_LOG10_E = 1.0 / np.log(10.0)


@dataclass(frozen=True, slots=True)
class ParetoTail:
    """Distribution of normal scores: empirical body with a generalised Pareto tail."""

    knots: tuple[float, ...]
    """Scores whose survival probabilities are evenly spaced from 1 to TAIL_PROBABILITY."""
    shape: float  # γ ≥ 0
    scale: float  # σ > 0, in units of the raw score

    @classmethod
    def fit(cls, scores: npt.ArrayLike, min_scale: float = 0.0) -> Self:
        """Fit shape and scale.

        Args:
            scores: held-out raw scores of training windows, (n,), n ≥ 10.
            min_scale: lower limit of the scale σ, in units of the raw score.

        """
        excesses, shape = _body_and_excesses(scores)[1], PRIOR_SHAPE
        if len(excesses) > 1:
            mean, variance = float(excesses.mean()), float(excesses.var(ddof=1))
            by_moments = 0.5 * (1.0 - mean**2 / max(variance, 1e-300))
            weight = len(excesses) / (len(excesses) + PRIOR_EXCESSES)
            shape = weight * by_moments + (1.0 - weight) * PRIOR_SHAPE
        return cls.fit_scale(scores, min(MAX_SHAPE, max(0.0, shape)), min_scale)

    @classmethod
    def fit_scale(cls, scores: npt.ArrayLike, shape: float, min_scale: float = 0.0) -> Self:
        """Fit the scale for a given shape γ; the other arguments are those of `fit`."""
        knots, excesses = _body_and_excesses(scores)
        values = np.asarray(scores, np.float64)
        largest = float(np.abs(values).max())
        spread = max(float(np.ptp(values)), _MIN_SPREAD, _MIN_RELATIVE_SPREAD * largest)
        # E[excess] = σ / (1 − γ)
        scale = float(excesses.mean()) * (1.0 - shape) if len(excesses) > 1 else spread / 3
        return cls(tuple(knots.tolist()), shape, max(scale, 1e-3 * spread, min_scale))

    def score(self, raw: npt.ArrayLike) -> Floats:
        """Return −log10 P(X ≥ raw) for raw scores of any shape, float64, 0 … MAX_SCORE."""
        stack = ParetoTailStack.of([self])
        return np.asarray(stack.score(np.asarray(raw, np.float64)[..., None])[..., 0])

    def raw_score(self, score: float) -> float:
        """Return the raw score that has this calibrated score, the inverse of `score` above 1.

        That of 1 and below is the threshold of the tail.
        """
        log_ratio = max(0.0, score - 1.0) * np.log(10.0)  # ln(P(X ≥ u) / P(X ≥ u + y))
        shape = max(self.shape, _MIN_SHAPE)
        excess = np.expm1(shape * log_ratio) / shape
        return float(self.knots[-1] + self.scale * excess)

    def to_json(self) -> dict[str, Any]:
        """Return the parameters for a manifest."""
        return asdict(self)

    @classmethod
    def from_json(cls, parameters: dict[str, Any]) -> Self:
        """Return the distribution with these parameters.

        Raises:
            KeyError, ValueError: a parameter is missing or out of range.

        """
        knots = tuple(float(knot) for knot in parameters["knots"])
        shape, scale = float(parameters["shape"]), float(parameters["scale"])
        ordered = len(knots) > 1 and list(knots) == sorted(knots)
        if not (ordered and shape >= 0 and scale > 0 and np.isfinite([*knots, shape, scale]).all()):
            raise ValueError("invalid parameters of a Pareto tail")
        return cls(knots, shape, scale)


@dataclass(frozen=True, slots=True, eq=False)
class ParetoTailStack:
    """The distributions of v scores, evaluated in one call; leading axes can be machines."""

    parameters: Floats
    """(…, v, 2 · (KNOT_COUNT − 1) + 3), one array so that machines are stacked in one call: all
    knots but the last; the steps to the next knot, at least _MIN_STEP; the last knot u, where the
    tail begins; the shape γ, at least _MIN_SHAPE; and γ / σ."""

    @staticmethod
    def of(tails: Sequence[ParetoTail]) -> ParetoTailStack:
        """Stack distributions that have the same number of knots."""
        knots = np.array([tail.knots for tail in tails], np.float64).reshape(len(tails), -1)
        steps = np.maximum(np.diff(knots, axis=1), _MIN_STEP)
        shape = np.array([max(tail.shape, _MIN_SHAPE) for tail in tails])
        rate = shape / np.array([tail.scale for tail in tails])
        return ParetoTailStack(np.column_stack([knots[:, :-1], steps, knots[:, -1], shape, rate]))

    @staticmethod
    def of_machines(machines: Sequence[ParetoTailStack]) -> ParetoTailStack:
        """Stack the distributions of m machines; the axes are (m, 1, v)."""
        joined = np.concatenate([each.parameters for each in machines])
        return ParetoTailStack(joined.reshape(len(machines), 1, *machines[0].parameters.shape))

    def score(self, raw: Floats) -> Floats:
        """Return −log10 P(X ≥ raw) for raw scores (…, v), float64, 0 … MAX_SCORE."""
        parameters = self.parameters
        count = parameters.shape[-1] // 2 - 1
        threshold, shape, rate = (parameters[..., number] for number in (-3, -2, -1))
        # The share of each step that lies below.  Equal training scores make knots coincide: 0 at
        # their value, which P(X ≥ raw) includes, and 1 above it.
        below = raw[..., None] - parameters[..., :count]
        below /= parameters[..., count : 2 * count]
        np.maximum(below, 0.0, out=below)
        np.minimum(below, 1.0, out=below)
        survival = np.add.reduce(below, -1)
        survival *= (TAIL_PROBABILITY - 1.0) / count
        survival += 1.0
        excess = np.maximum(raw - threshold, 0.0)
        excess *= rate
        score = np.log1p(excess, out=excess)
        score /= shape
        score -= np.log(survival, out=survival)
        score *= _LOG10_E
        return np.minimum(MAX_SCORE, score, out=score)


def _body_and_excesses(scores: npt.ArrayLike) -> tuple[Floats, Floats]:
    """Return the knots of the empirical body, and the excesses over the last one."""
    values = np.asarray(scores, np.float64)
    knots = np.quantile(values, np.linspace(0.0, 1.0 - TAIL_PROBABILITY, KNOT_COUNT))
    return knots, values[values > knots[-1]] - knots[-1]
