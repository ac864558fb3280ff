"""Raw scores → probability of a score at least as high among the normals.

The bulk is counted; the tail is a generalised Pareto distribution fitted to the peaks over
a high threshold (Pickands 1975; Siffer et al., KDD 2017, for its use on streams), so that
it goes on beyond the highest normal ever heard.  Few peaks cannot tell the tail's shape:
it is drawn towards a slightly heavy one, and never let below the exponential, whose
bounded cousins would call a score just past the normals impossible.

The tails of views have shapes that are given.  What views say is put together, so they must
count alike, and where the sound of a machine wanders off what minutes have shown, raw scores of
tens of scales are common: a light tail calls them all impossible, and no order is left.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

HIGHEST = 12.0  # −log10 p; beyond it no fit means anything
TAIL_SHARE = 0.1
PRIOR_SHAPE, PRIOR_PEAKS = 0.1, 30.0  # as if 30 peaks had shown this shape
SHAPE_LIMIT = 0.5
_TINY = 1e-200
_DECADES = 1.0 / np.log(10.0)
KNOTS = 19  # of the counted part
LEAST_SHAPE = 1e-9  # below it the tail is as good as exponential


@dataclass(frozen=True, slots=True)
class Tail:
    """Survival function of the normals' scores."""

    knots: tuple[float, ...]  # scores at survival 1 … TAIL_SHARE, evenly in probability
    shape: float  # γ ≥ 0
    scale: float  # σ > 0

    @classmethod
    def fit(cls, scores: npt.ArrayLike, least_scale: float = 0.0) -> Self:
        """Fit to held-out scores of normals (n,), n ≥ 10; the scale is at least this."""
        peaks, shape = _peaks(scores)[1], PRIOR_SHAPE
        if len(peaks) > 1:
            mean, variance = float(peaks.mean()), float(peaks.var(ddof=1))
            by_moments = 0.5 * (1.0 - mean**2 / max(variance, 1e-300))
            weight = len(peaks) / (len(peaks) + PRIOR_PEAKS)
            shape = weight * by_moments + (1.0 - weight) * PRIOR_SHAPE
        return cls.of_shape(scores, min(SHAPE_LIMIT, max(0.0, shape)), least_scale)

    @classmethod
    def of_shape(cls, scores: npt.ArrayLike, shape: float, least_scale: float = 0.0) -> Self:
        """Fit the scale alone, to held-out scores of normals (n,), n ≥ 10."""
        knots, peaks = _peaks(scores)
        spread = max(float(np.ptp(np.asarray(scores, np.float64))), 1e-9)
        # E[peak] = σ / (1 − γ)
        scale = float(peaks.mean()) * (1.0 - shape) if len(peaks) > 1 else spread / 3
        return cls(tuple(knots.tolist()), shape, max(scale, 1e-3 * spread, least_scale))

    def score(self, raw: npt.ArrayLike) -> Floats:
        """Return −log10 P(a normal scores at least this), 0 … 12."""
        return np.asarray(Tails.of([self]).score(np.asarray(raw, np.float64)[..., None])[..., 0])

    def raw_at(self, score: float) -> float:
        """Return the raw score that a normal reaches with probability 10^−score; score ≥ 1."""
        decades = max(0.0, score - 1.0) * np.log(10.0)
        shape = max(self.shape, LEAST_SHAPE)
        beyond = np.expm1(shape * decades) / shape
        return float(self.knots[-1] + self.scale * beyond)

    def to_json(self) -> dict[str, Any]:
        """Return the parameters for a manifest."""
        return asdict(self)

    @classmethod
    def from_json(cls, parameters: dict[str, Any]) -> Self:
        """Make it anew; raises KeyError or ValueError on parameters that are none."""
        knots = tuple(float(knot) for knot in parameters["knots"])
        shape, scale = float(parameters["shape"]), float(parameters["scale"])
        ordered = len(knots) > 1 and list(knots) == sorted(knots)
        if not (ordered and shape >= 0 and scale > 0 and np.isfinite([*knots, shape, scale]).all()):
            raise ValueError("not the parameters of a tail")
        return cls(knots, shape, scale)


@dataclass(frozen=True, slots=True, eq=False)
class Tails:
    """Tails side by side, to be asked together; leading axes may be machines'."""

    knots: Floats  # (…, v, KNOTS − 1): all but the last
    steps: Floats  # (…, v, KNOTS − 1): to the next one; where knots coincide next to nothing
    last: Floats  # (…, v)
    shape: Floats  # (…, v), ≥ LEAST_SHAPE
    scale: Floats  # (…, v)

    @staticmethod
    def of(tails: Sequence[Tail]) -> Tails:
        """Put tails with as many knots side by side."""
        knots = np.array([tail.knots for tail in tails], np.float64).reshape(len(tails), -1)
        return Tails(
            knots[:, :-1],
            np.maximum(np.diff(knots, axis=1), _TINY),
            knots[:, -1],
            np.array([max(tail.shape, LEAST_SHAPE) for tail in tails]),
            np.array([tail.scale for tail in tails]),
        )

    @staticmethod
    def of_machines(machines: Sequence[Tails]) -> Tails:
        """Put machines' tails into a stack whose axes are (m, 1, v)."""
        return Tails(
            _side_by_side([one.knots for one in machines]),
            _side_by_side([one.steps for one in machines]),
            _side_by_side([one.last for one in machines]),
            _side_by_side([one.shape for one in machines]),
            _side_by_side([one.scale for one in machines]),
        )

    def score(self, raw: Floats) -> Floats:
        """Return −log10 P(a normal scores at least this) of raw scores (…, v), 0 … 12."""
        # how much of each step lies below; where knots coincide, all of it or nothing
        below = (raw[..., None] - self.knots + _TINY) / self.steps
        np.maximum(below, 0.0, out=below)
        np.minimum(below, 1.0, out=below)
        survival = np.add.reduce(below, -1)
        survival *= (TAIL_SHARE - 1.0) / self.steps.shape[-1]
        survival += 1.0
        beyond = np.maximum(raw - self.last, 0.0) * (self.shape / self.scale)
        score = np.log1p(beyond) / self.shape
        score -= np.log(survival)
        score *= _DECADES
        return np.minimum(HIGHEST, score, out=score)


def _side_by_side(arrays: Sequence[Floats]) -> Floats:
    joined = arrays[0] if len(arrays) == 1 else np.concatenate(arrays)
    return joined.reshape(len(arrays), 1, *arrays[0].shape)


def _peaks(scores: npt.ArrayLike) -> tuple[Floats, Floats]:
    """Return the knots of the counted part, and how far the scores above the last one reach."""
    ordered = np.asarray(scores, np.float64)
    knots = np.quantile(ordered, np.linspace(0.0, 1.0 - TAIL_SHARE, KNOTS))
    return knots, ordered[ordered > knots[-1]] - knots[-1]
