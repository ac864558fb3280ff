"""Five ways to say how far a feature vector lies from the normals; high is far.

Each is fitted once on the vectors of the normals and is nothing but arrays afterwards,
which is what a bundle stores.  Those of many machines are asked together: what numpy costs
a call is shared, and only the large arrays, which differ, are gone through one by one.

Axes: m machines, q windows of each, d numbers of a vector.

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
from collections.abc import Mapping, Sequence
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
# dB: what a microphone's place, its age and the weather change anyway
DENSITY_WIDTH = np.float32(1.0)
MAD_TO_SIGMA = 1.4826


@dataclass(frozen=True, slots=True, eq=False)
class BackEnd(ABC):
    """A fitted back end: arrays, float32, and a score."""

    kind: ClassVar[str]

    @classmethod
    @abstractmethod
    def fit(cls, reference: Vectors, spans: Spans) -> Self:
        """Fit on the vectors of normals (n, d), n ≥ 2, and where in the sound each lies."""

    @classmethod
    @abstractmethod
    def score_each(cls, machines: Sequence[Self], vectors: Vectors) -> Vectors:
        """Return each machine's scores (m, q) of its own vectors (m, q, d); each ≥ 0."""

    def score(self, vectors: Vectors) -> Vectors:
        """Return the scores (k,) of vectors (k, d)."""
        return np.asarray(type(self).score_each([self], vectors[None])[0])

    def arrays(self) -> dict[str, Vectors]:
        """Return what a bundle stores."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def restore(cls, arrays: Mapping[str, Vectors]) -> Self:
        """Make it anew from the arrays of a bundle; raises KeyError when one is missing."""
        return cls(**{field.name: arrays[field.name] for field in fields(cls)})

    @classmethod
    def made_of(cls, *arrays: Floats) -> Self:
        """Make it of arrays in the order of its fields."""
        return cls(*(np.ascontiguousarray(array, np.float32) for array in arrays))


@dataclass(frozen=True, slots=True, eq=False)
class Mahalanobis(BackEnd):
    """Distance in units of the normals' spread, correlations taken into account."""

    kind = "mahalanobis"
    mean: Vectors
    whitening: Vectors  # (d, d): (x − mean) @ whitening has the identity as covariance

    @classmethod
    @override
    def fit(cls, reference: Vectors, spans: Spans) -> Self:
        x = reference.astype(np.float64)
        mean = x.mean(0)
        values, vectors = np.linalg.eigh(ledoit_wolf(x - mean))
        return cls.made_of(mean, vectors / np.sqrt(np.maximum(values, 1e-12)))

    @classmethod
    @override
    def score_each(cls, machines: Sequence[Self], vectors: Vectors) -> Vectors:
        off = vectors - of_each([one.mean for one in machines])
        return _rms(products(off, [one.whitening for one in machines]))


@dataclass(frozen=True, slots=True, eq=False)
class LocalDensityKNN(BackEnd):
    """Distance to the nearest normal against how dense the normals lie there."""

    kind = "neighbour"
    centre: Vectors
    scale: Vectors
    bank: Vectors
    """(d + 2, k): a vector z, its mean square and a one, times this, are the squared distances.

    Each in units of how far that normal lies from its nearest that shares no sound with it.
    """

    @classmethod
    @override
    def fit(cls, reference: Vectors, spans: Spans) -> Self:
        x = reference.astype(np.float64)
        keep = np.unique(np.linspace(0, len(x) - 1, min(len(x), BANK_SIZE)).round().astype(int))
        centre, scale = x.mean(0), x.std(0) + 1e-6
        bank = (x[keep] - centre) / scale
        between = distances(bank, bank)
        between[spans.take(keep).sharing()] = np.inf
        spacing = between.min(1)
        usable = np.isfinite(spacing)
        fallback = np.median(spacing[usable]) if usable.any() else 1.0
        spacing = np.where(usable, spacing, fallback) + 1e-6
        rows = np.vstack([-2.0 / bank.shape[1] * bank.T, np.ones(len(bank)), (bank**2).mean(1)])
        return cls.made_of(centre, scale, rows * spacing**-2.0)

    @classmethod
    @override
    def score_each(cls, machines: Sequence[Self], vectors: Vectors) -> Vectors:
        size = vectors.shape[2]
        z = np.empty((*vectors.shape[:2], size + 2), np.float32)
        np.subtract(vectors, of_each([one.centre for one in machines]), out=z[..., :size])
        z[..., :size] /= of_each([one.scale for one in machines])
        z[..., size] = np.einsum("mqd,mqd->mq", z[..., :size], z[..., :size]) / np.float32(size)
        z[..., size + 1] = 1.0
        nearest = np.empty(vectors.shape[:2], np.float32)
        for row, one in enumerate(machines):
            np.minimum.reduce(z[row] @ one.bank, 1, out=nearest[row])
        return np.sqrt(np.maximum(nearest, np.float32(0.0)))


@dataclass(frozen=True, slots=True, eq=False)
class PCAReconstructionError(BackEnd):
    """What remains after the normals' principal components are taken away."""

    kind = "residual"
    centre: Vectors
    scale: Vectors
    components: Vectors  # (d, k), orthonormal columns

    @classmethod
    @override
    def fit(cls, reference: Vectors, spans: Spans) -> Self:
        x = reference.astype(np.float64)
        centre, scale = x.mean(0), x.std(0) + 1e-6
        _, values, components = np.linalg.svd((x - centre) / scale, full_matrices=False)
        explained = np.cumsum(values**2) / max(float(np.sum(values**2)), 1e-12)
        count = min(int(np.searchsorted(explained, RESIDUAL_EXPLAINED)) + 1, len(x) // 3)
        return cls.made_of(centre, scale, components[:count].T)

    @classmethod
    @override
    def score_each(cls, machines: Sequence[Self], vectors: Vectors) -> Vectors:
        z = vectors - of_each([one.centre for one in machines])
        z /= of_each([one.scale for one in machines])
        explained = products(z, [one.components for one in machines])
        rest = np.einsum("mqd,mqd->mq", z, z) - np.einsum("mqk,mqk->mq", explained, explained)
        return np.asarray(np.sqrt(np.maximum(rest, np.float32(0.0)) / np.float32(z.shape[2])))


@dataclass(frozen=True, slots=True, eq=False)
class TopKRobustZ(BackEnd):
    """The mean of the largest robust z-scores."""

    kind = "largest"
    centre: Vectors
    scale: Vectors

    @classmethod
    @override
    def fit(cls, reference: Vectors, spans: Spans) -> Self:
        x = reference.astype(np.float64)
        centre = np.median(x, axis=0)
        scale = MAD_TO_SIGMA * np.median(np.abs(x - centre), axis=0)
        # A coordinate that hardly moves in the normals must not decide alone.
        return cls.made_of(centre, scale + 0.1 * np.median(scale) + 1e-6)

    @classmethod
    @override
    def score_each(cls, machines: Sequence[Self], vectors: Vectors) -> Vectors:
        z = vectors - of_each([one.centre for one in machines])
        z /= of_each([one.scale for one in machines])
        np.abs(z, out=z)
        count = max(1, round(LARGEST_SHARE * z.shape[2]))
        z.partition(z.shape[2] - count, axis=2)
        return np.asarray(np.add.reduce(z[:, :, -count:], 2) / np.float32(count))


@dataclass(frozen=True, slots=True, eq=False)
class KernelDensity(BackEnd):
    """Distance of a number from the normals' gatherings, in that number's unit."""

    kind = "density"
    points: Vectors  # quantiles of the normals
    highest: Vectors  # (1,): log density where it is highest

    @classmethod
    @override
    def fit(cls, reference: Vectors, spans: Spans) -> Self:
        share = np.linspace(0.005, 0.995, DENSITY_POINTS)
        points = np.quantile(reference[:, 0].astype(np.float64), share)
        of_points = _log_density(points.astype(np.float32)[:, None], points.astype(np.float32))
        return cls.made_of(points, of_points.max(keepdims=True))

    @classmethod
    @override
    def score_each(cls, machines: Sequence[Self], vectors: Vectors) -> Vectors:
        found = _log_density(vectors, of_each([one.points for one in machines]))
        below = of_each([one.highest for one in machines])[:, :, 0] - found
        return np.asarray(np.sqrt(2 * np.maximum(below, np.float32(0.0))) * DENSITY_WIDTH)


def _log_density(numbers: Vectors, points: Vectors) -> Vectors:
    """Return the log density (…,) at numbers (…, 1), of points (…, p) of equal weight."""
    off = (numbers - points) * np.float32(1.0 / DENSITY_WIDTH)
    exponents = off * off * np.float32(-0.5)
    highest = exponents.max(-1, keepdims=True)
    return np.asarray(highest[..., 0] + np.log(np.exp(exponents - highest).mean(-1)))


def of_each(arrays: Sequence[Vectors]) -> Vectors:
    """Return the machines' arrays (d,) as one (m, 1, d)."""
    return np.concatenate(arrays).reshape(len(arrays), 1, -1)


def products(vectors: Vectors, weights: Sequence[Vectors]) -> Vectors:
    """Return each machine's vectors (m, q, d) times its own weights (d, k): (m, q, most k).

    Where another machine's k is larger, zeros follow.
    """
    found = np.zeros((*vectors.shape[:2], max(each.shape[1] for each in weights)), np.float32)
    for row, each in enumerate(weights):
        np.matmul(vectors[row], each, out=found[row, :, : each.shape[1]])
    return found


def _rms(vectors: Vectors) -> Vectors:
    squares = np.einsum("mqd,mqd->mq", vectors, vectors)
    return np.asarray(np.sqrt(squares / np.float32(vectors.shape[2])))


BACK_ENDS: dict[str, type[BackEnd]] = {
    back_end.kind: back_end
    for back_end in (
        Mahalanobis,
        LocalDensityKNN,
        PCAReconstructionError,
        TopKRobustZ,
        KernelDensity,
    )
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
