"""The five back ends: distances of a feature vector from the training vectors.

Notation: x a vector of d coordinates, ‖·‖ the Euclidean norm divided by √d, so that scores
do not grow with the number of coordinates.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Self

import numpy as np
from typing_extensions import override

from asd_monitor.detector.back_end import (
    BackEnd,
    Floats,
    Vectors,
    products,
    root_mean_square,
    stack_rows,
)
from asd_monitor.detector.covariance import ledoit_wolf
from asd_monitor.detector.spans import Spans

BANK_SIZE = 1500  # training vectors kept for the neighbour search
EXPLAINED_VARIANCE = 0.9  # share that the principal components keep
TOP_SHARE = 0.05  # of the coordinates
QUANTILES = 100
BANDWIDTH = np.float32(1.0)
"""In units of the feature, dB for the level: what the microphone's position, its ageing and
the weather change in any case."""

MAD_TO_SIGMA = 1.4826
"""Standard deviation of a normal distribution in units of its median absolute deviation."""


@dataclass(frozen=True, slots=True, eq=False)
class Mahalanobis(BackEnd):
    """Mahalanobis distance with a shrunk covariance.

    ``s(x) = ‖Σ^(−½) (x − μ)‖`` with the mean μ and the Ledoit-Wolf covariance Σ of the
    training vectors (`ledoit_wolf`): P. C. Mahalanobis, "On the generalised distance in
    statistics", Proc. National Institute of Sciences of India 2 (1936).
    """

    kind = "mahalanobis"
    shapes = MappingProxyType({"mean": ("d",), "whitening": ("d", "d")})
    mean: Vectors
    whitening: Vectors  # (d, d): (x − mean) @ whitening has the identity as covariance

    @classmethod
    @override
    def fit(cls, reference: Vectors, spans: Spans) -> Self:
        x = reference.astype(np.float64)
        mean = x.mean(0)
        values, vectors = np.linalg.eigh(ledoit_wolf(x - mean))
        return cls.in_single_precision(mean, vectors / np.sqrt(np.maximum(values, 1e-12)))

    @classmethod
    @override
    def score_each(cls, machines: Sequence[Self], vectors: Vectors) -> Vectors:
        centred = vectors - stack_rows([one.mean for one in machines])
        return root_mean_square(products(centred, [one.whitening for one in machines]))


@dataclass(frozen=True, slots=True, eq=False)
class LocalDensityKNN(BackEnd):
    """Distance to the nearest training vector, normalised by the local density there.

    ``s(x) = min_i ‖z − b_i‖ / r_i`` for the standardised vector z of x, where r_i is the
    distance of the training vector b_i from its own nearest neighbour: K. Wilkinghoff et al.,
    "Local density-based anomaly score normalization for domain generalization", arXiv
    2509.10951.  Vectors of overlapping windows are not counted as neighbours of each other.
    """

    kind = "neighbour"
    shapes = MappingProxyType({"centre": ("d",), "scale": ("d",), "bank": ("d + 2", "k")})
    centre: Vectors
    scale: Vectors
    bank: Vectors
    """(d + 2, k): for z with its mean square and a one appended, ``z @ bank`` are the squared
    normalised distances to the k training vectors."""

    @classmethod
    @override
    def fit(cls, reference: Vectors, spans: Spans) -> Self:
        x = reference.astype(np.float64)
        keep = np.unique(np.linspace(0, len(x) - 1, min(len(x), BANK_SIZE)).round().astype(int))
        centre, scale = x.mean(0), x.std(0) + 1e-6
        bank = (x[keep] - centre) / scale
        between = distances(bank, bank)
        between[spans.take(keep).overlapping_pairs()] = np.inf
        spacing = between.min(1)
        usable = np.isfinite(spacing)
        fallback = np.median(spacing[usable]) if usable.any() else 1.0
        spacing = np.where(usable, spacing, fallback) + 1e-6
        rows = np.vstack([-2.0 / bank.shape[1] * bank.T, np.ones(len(bank)), (bank**2).mean(1)])
        return cls.in_single_precision(centre, scale, rows * spacing**-2.0)

    @classmethod
    @override
    def score_each(cls, machines: Sequence[Self], vectors: Vectors) -> Vectors:
        size = vectors.shape[2]
        z = np.empty((*vectors.shape[:2], size + 2), np.float32)
        np.subtract(vectors, stack_rows([one.centre for one in machines]), out=z[..., :size])
        z[..., :size] /= stack_rows([one.scale for one in machines])
        z[..., size] = np.einsum("mqd,mqd->mq", z[..., :size], z[..., :size]) / np.float32(size)
        z[..., size + 1] = 1.0
        nearest = np.empty(vectors.shape[:2], np.float32)
        for row, one in enumerate(machines):
            np.minimum.reduce(z[row].dot(one.bank), 1, out=nearest[row])
        np.maximum(nearest, np.float32(0.0), out=nearest)
        return np.sqrt(nearest, out=nearest)


@dataclass(frozen=True, slots=True, eq=False)
class PCAReconstructionError(BackEnd):
    """Reconstruction error of a principal component analysis (Q statistic).

    ``s(x) = ‖z − C Cᵀ z‖`` for the standardised vector z of x, where the columns of C are the
    first principal components of the training vectors, as many as explain 90 % of their
    variance: J. E. Jackson & G. S. Mudholkar, "Control procedures for residuals associated
    with principal component analysis", Technometrics 21 (1979).
    """

    kind = "residual"
    shapes = MappingProxyType({"centre": ("d",), "scale": ("d",), "components": ("d", "k")})
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
        count = min(int(np.searchsorted(explained, EXPLAINED_VARIANCE)) + 1, len(x) // 3)
        return cls.in_single_precision(centre, scale, components[:count].T)

    @classmethod
    @override
    def score_each(cls, machines: Sequence[Self], vectors: Vectors) -> Vectors:
        z = vectors - stack_rows([one.centre for one in machines])
        z /= stack_rows([one.scale for one in machines])
        projected = products(z, [one.components for one in machines])
        error = np.einsum("mqd,mqd->mq", z, z)
        error -= np.einsum("mqk,mqk->mq", projected, projected)
        np.maximum(error, np.float32(0.0), out=error)
        error /= np.float32(z.shape[2])
        return np.asarray(np.sqrt(error, out=error))


@dataclass(frozen=True, slots=True, eq=False)
class TopKRobustZ(BackEnd):
    """Mean of the largest 5 % of the absolute robust z-scores.

    ``z_i = |x_i − median_i| / σ_i`` with σ_i = 1.4826 MAD_i, the median absolute deviation:
    P. J. Rousseeuw & C. Croux, "Alternatives to the median absolute deviation", Journal of the
    American Statistical Association 88 (1993).  It responds to a change in few of many
    coordinates, which a mean over all of them would average out.
    """

    kind = "largest"
    shapes = MappingProxyType({"centre": ("d",), "scale": ("d",)})
    centre: Vectors
    scale: Vectors

    @classmethod
    @override
    def fit(cls, reference: Vectors, spans: Spans) -> Self:
        x = reference.astype(np.float64)
        centre = np.median(x, axis=0)
        scale = MAD_TO_SIGMA * np.median(np.abs(x - centre), axis=0)
        # a lower limit, so that a coordinate that is almost constant does not dominate
        return cls.in_single_precision(centre, scale + 0.1 * np.median(scale) + 1e-6)

    @classmethod
    @override
    def score_each(cls, machines: Sequence[Self], vectors: Vectors) -> Vectors:
        z = vectors - stack_rows([one.centre for one in machines])
        z /= stack_rows([one.scale for one in machines])
        np.abs(z, out=z)
        count = max(1, round(TOP_SHARE * z.shape[2]))
        z.partition(z.shape[2] - count, axis=2)
        return np.asarray(np.add.reduce(z[:, :, -count:], 2) / np.float32(count))


@dataclass(frozen=True, slots=True, eq=False)
class KernelDensity(BackEnd):
    """Distance of a scalar feature from the modes of its kernel density estimate.

    ``s(x) = h √(2 (max ln p − ln p(x)))`` where p is the density with a Gaussian kernel of
    bandwidth h over quantiles of the training values: E. Parzen, "On estimation of a
    probability density function and mode", Annals of Mathematical Statistics 33 (1962).  For
    a single value it is the distance from it in the unit of the feature; the density may have
    several modes, for a machine with several operating points.
    """

    kind = "density"
    shapes = MappingProxyType({"points": (QUANTILES,), "highest": (1,)})
    points: Vectors  # (QUANTILES,): quantiles of the training values
    highest: Vectors  # (1,): largest log density at these points

    @classmethod
    @override
    def fit(cls, reference: Vectors, spans: Spans) -> Self:
        share = np.linspace(0.005, 0.995, QUANTILES)
        points = np.quantile(reference[:, 0].astype(np.float64), share)
        of_points = _log_density(points.astype(np.float32)[:, None], points.astype(np.float32))
        return cls.in_single_precision(points, of_points.max(keepdims=True))

    @classmethod
    @override
    def score_each(cls, machines: Sequence[Self], vectors: Vectors) -> Vectors:
        density = _log_density(vectors, stack_rows([one.points for one in machines]))
        below = stack_rows([one.highest for one in machines])[:, :, 0] - density
        return np.asarray(np.sqrt(2 * np.maximum(below, np.float32(0.0))) * BANDWIDTH)


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
    """Return ‖a_i − b_j‖ of vectors (n, d) and (k, d) as (n, k)."""
    squares = np.sum(a**2, 1)[:, None] + np.sum(b**2, 1) - 2.0 * (a @ b.T)
    return np.asarray(np.sqrt(np.maximum(squares, 0.0) / a.shape[1]))


def _log_density(numbers: Vectors, points: Vectors) -> Vectors:
    """Return the log density (…,) at numbers (…, 1) for equally weighted points (…, p)."""
    exponents = numbers - points
    exponents *= np.float32(1.0 / BANDWIDTH)
    np.square(exponents, out=exponents)
    exponents *= np.float32(-0.5)
    highest = np.maximum.reduce(exponents, -1)
    exponents -= highest[..., None]
    sums = np.add.reduce(np.exp(exponents, out=exponents), -1)
    return np.asarray(highest + np.log(sums / np.float32(points.shape[-1])))
