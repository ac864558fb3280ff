"""Covariance shrinkage."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

_REGULARISATION = 1e-12  # keeps the covariance of constant vectors invertible


def ledoit_wolf(centred: Floats) -> Floats:
    """Return the Ledoit-Wolf covariance (d, d) of centred vectors (n, d).

    The sample covariance S is shrunk towards a multiple of the identity with the intensity
    that minimises the expected squared error::

        Σ = (1 − ρ) S + ρ μ I,    μ = tr(S) / d,    ρ = min(1, b² / δ²)

    where δ² = ‖S − μI‖² / d and b² estimates the error of S: O. Ledoit & M. Wolf, "A
    well-conditioned estimator for large-dimensional covariance matrices", Journal of
    Multivariate Analysis 88 (2004), section 3.
    """
    n, d = centred.shape
    sample = centred.T @ centred / n
    mu = np.trace(sample) / d
    dispersion = float(np.sum(sample**2)) / d - mu**2
    error = (float(np.mean(np.sum(centred**2, 1) ** 2)) - float(np.sum(sample**2))) / (n * d)
    intensity = 1.0 if dispersion <= 0 else min(1.0, max(0.0, error / dispersion))
    shrunk = (1 - intensity) * sample
    shrunk[np.diag_indices(d)] += intensity * mu + _REGULARISATION
    return np.asarray(shrunk)
