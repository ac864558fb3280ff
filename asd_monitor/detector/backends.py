"""Five ways to say how far a feature vector lies from the normals; high is far.

Each is fitted once on the vectors of the normals and is nothing but arrays afterwards,
which is what a bundle stores.

- **Mahalanobis** with a shrunk covariance: Ledoit & Wolf, "A well-conditioned estimator
  for large-dimensional covariance matrices", J. Multivariate Analysis 88 (2004), §3.
- **Neighbour**: distance to the nearest normal, divided by how far that one lies from its
  own nearest: Wilkinghoff et al., "Local density-based anomaly score normalization for
  domain generalization", arXiv 2509.10951.
- **Residual** of a principal component analysis: what the normals' main ways of varying
  do not explain.
- **Largest**: the mean of the largest 5 % of the robust z-scores: a change in few of many
  coordinates, which sums over all of them would drown.
- **Density** of a single number, smoothed: how far it lies from where the normals gather,
  in its own unit, however many gatherings there are.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import ClassVar, Self

import numpy as np
import numpy.typing as npt
from typing_extensions import override

from asd_monitor.detector.spans import Spans

Vectors = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]

BANK_SIZE = 1500  # normals that a neighbour search keeps; more cost time and add little
RESIDUAL_EXPLAINED = 0.9
LARGEST_SHARE = 0.05
DENSITY_POINTS = 100
DENSITY_WIDTH = 1.0  # dB: what a microphone's place, its age and the weather change anyway
MAD_TO_SIGMA = 1.4826


@dataclass(frozen=True, slots=True, eq=False)
class BackEnd(ABC):
    """A fitted back end: arrays and a score."""

    kind: ClassVar[str]

    @classmethod
    @abstractmethod
    def fit(cls, normals: Vectors, spans: Spans) -> Self:
        """Fit on the vectors of normals (n, d), n ≥ 2, and where in the sound each lies."""

    @abstractmethod
    def score(self, vectors: Vectors) -> Floats:
        """Return the scores (k,) of vectors (k, d); each ≥ 0."""

    def arrays(self) -> dict[str, Floats]:
        """Return what a bundle stores."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def restore(cls, arrays: Mapping[str, Floats]) -> Self:
        """Make it anew from the arrays of a bundle; raises KeyError when one is missing."""
        return cls(**{field.name: arrays[field.name] for field in fields(cls)})


@dataclass(frozen=True, slots=True, eq=False)
class Mahalanobis(BackEnd):
    """Distance in units of the normals' spread, correlations taken into account."""

    kind = "mahalanobis"
    mean: Floats
    whitening: Floats  # (d, d): (x − mean) @ whitening has the identity as covariance

    @classmethod
    @override
    def fit(cls, normals: Vectors, spans: Spans) -> Self:
        x = normals.astype(np.float64)
        mean = x.mean(0)
        values, vectors = np.linalg.eigh(ledoit_wolf(x - mean))
        return cls(mean, vectors / np.sqrt(np.maximum(values, 1e-12)))

    @override
    def score(self, vectors: Vectors) -> Floats:
        whitened = (vectors - self.mean) @ self.whitening
        return np.asarray(np.sqrt(np.mean(whitened**2, axis=1)))


@dataclass(frozen=True, slots=True, eq=False)
class Neighbour(BackEnd):
    """Distance to the nearest normal against how dense the normals lie there."""

    kind = "neighbour"
    centre: Floats
    scale: Floats
    bank: Floats  # (m, d), scaled
    spacing: Floats  # (m,): from each of the bank to its nearest that shares no sound with it

    @classmethod
    @override
    def fit(cls, normals: Vectors, spans: Spans) -> Self:
        x = normals.astype(np.float64)
        keep = np.unique(np.linspace(0, len(x) - 1, min(len(x), BANK_SIZE)).round().astype(int))
        centre, scale = x.mean(0), x.std(0) + 1e-6
        bank = (x[keep] - centre) / scale
        between = distances(bank, bank)
        between[spans.take(keep).sharing()] = np.inf
        spacing = between.min(1)
        usable = np.isfinite(spacing)
        fallback = np.median(spacing[usable]) if usable.any() else 1.0
        return cls(centre, scale, bank, np.where(usable, spacing, fallback) + 1e-6)

    @override
    def score(self, vectors: Vectors) -> Floats:
        between = distances((vectors - self.centre) / self.scale, self.bank)
        return np.asarray((between / self.spacing).min(1))


@dataclass(frozen=True, slots=True, eq=False)
class Residual(BackEnd):
    """What remains after the normals' principal components are taken away."""

    kind = "residual"
    centre: Floats
    scale: Floats
    components: Floats  # (d, k), orthonormal columns

    @classmethod
    @override
    def fit(cls, normals: Vectors, spans: Spans) -> Self:
        x = normals.astype(np.float64)
        centre, scale = x.mean(0), x.std(0) + 1e-6
        _, values, components = np.linalg.svd((x - centre) / scale, full_matrices=False)
        explained = np.cumsum(values**2) / max(float(np.sum(values**2)), 1e-12)
        count = min(int(np.searchsorted(explained, RESIDUAL_EXPLAINED)) + 1, len(x) // 3)
        return cls(centre, scale, components[:count].T)

    @override
    def score(self, vectors: Vectors) -> Floats:
        z = (vectors - self.centre) / self.scale
        rest = z - (z @ self.components) @ self.components.T
        return np.asarray(np.sqrt(np.mean(rest**2, axis=1)))


@dataclass(frozen=True, slots=True, eq=False)
class Largest(BackEnd):
    """The mean of the largest robust z-scores."""

    kind = "largest"
    centre: Floats
    scale: Floats

    @classmethod
    @override
    def fit(cls, normals: Vectors, spans: Spans) -> Self:
        x = normals.astype(np.float64)
        centre = np.median(x, axis=0)
        scale = MAD_TO_SIGMA * np.median(np.abs(x - centre), axis=0)
        # A coordinate that hardly moves in the normals must not decide alone.
        return cls(centre, scale + 0.1 * np.median(scale) + 1e-6)

    @override
    def score(self, vectors: Vectors) -> Floats:
        z = np.abs((vectors - self.centre) / self.scale)
        count = max(1, round(LARGEST_SHARE * z.shape[1]))
        return np.asarray(np.partition(z, -count, axis=1)[:, -count:].mean(1))


@dataclass(frozen=True, slots=True, eq=False)
class Density(BackEnd):
    """Distance of a number from the normals' gatherings, in that number's unit."""

    kind = "density"
    points: Floats  # quantiles of the normals

    @classmethod
    @override
    def fit(cls, normals: Vectors, spans: Spans) -> Self:
        share = np.linspace(0.005, 0.995, DENSITY_POINTS)
        return cls(np.quantile(normals[:, 0].astype(np.float64), share))

    @override
    def score(self, vectors: Vectors) -> Floats:
        below_peak = self._log_density(self.points).max() - self._log_density(vectors[:, 0])
        return np.asarray(np.sqrt(2.0 * np.maximum(below_peak, 0.0)) * DENSITY_WIDTH)

    def _log_density(self, numbers: npt.ArrayLike) -> Floats:
        off = (np.asarray(numbers, np.float64)[:, None] - self.points) / DENSITY_WIDTH
        exponents = -0.5 * off**2
        highest = exponents.max(1)
        return np.asarray(highest + np.log(np.exp(exponents - highest[:, None]).mean(1)))


BACK_ENDS: dict[str, type[BackEnd]] = {
    back_end.kind: back_end for back_end in (Mahalanobis, Neighbour, Residual, Largest, Density)
}


def distances(a: Floats, b: Floats) -> Floats:
    """Return the Euclidean distances (len(a), len(b)) by root mean square over coordinates."""
    squares = np.sum(a**2, 1)[:, None] + np.sum(b**2, 1) - 2.0 * (a @ b.T)
    return np.asarray(np.sqrt(np.maximum(squares, 0.0) / a.shape[1]))


def ledoit_wolf(centred: Floats) -> Floats:
    """Return the covariance of centred rows (n, d), shrunk towards a multiple of the identity."""
    n, d = centred.shape
    covariance = centred.T @ centred / n
    mu = np.trace(covariance) / d
    spread = float(np.sum(covariance**2)) / d - mu**2
    noise = (float(np.mean(np.sum(centred**2, 1) ** 2)) - float(np.sum(covariance**2))) / (n * d)
    share = 1.0 if spread <= 0 else min(1.0, max(0.0, noise / spread))
    shrunk = (1 - share) * covariance
    shrunk[np.diag_indices(d)] += share * mu + 1e-12
    return np.asarray(shrunk)
