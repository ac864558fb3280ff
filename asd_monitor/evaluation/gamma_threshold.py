"""Decision threshold: the 90th percentile of a gamma distribution fitted to normal scores.

As in the challenge's baselines (2021 and later).  Those of 2023 and later fit it to scores of
mini-batches of frames, and all of them to clips that the model was trained on; here it is fitted
to out-of-fold scores of whole clips.

The special functions are written out because SciPy is no dependency of the package; the tests
compare them with SciPy.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

SHARE = 0.9
_SMALLEST = 1e-12


def gamma_threshold(scores: Sequence[float], share: float = SHARE) -> float:
    """Return the score below which this share of normal clips lies.

    ``scores`` (n,) are positive; the fit is by maximum likelihood, with the location fixed at 0.
    Raises ValueError where there are none.
    """
    values = np.maximum(np.asarray(scores, np.float64), _SMALLEST)
    if not len(values):
        raise ValueError("no score of a normal clip")
    mean = float(values.mean())
    spread = math.log(mean) - float(np.log(values).mean())
    if spread < 1e-9:  # all equal
        return mean
    shape = fit_shape(spread)
    return gamma_quantile(share, shape) * mean / shape


def fit_shape(spread: float) -> float:
    """Return the shape k for which log k − ψ(k) = spread.

    By Newton's method; T. P. Minka, "Estimating a gamma distribution", 2002.
    """
    shape = (3 - spread + math.sqrt((spread - 3) ** 2 + 24 * spread)) / (12 * spread)
    for _ in range(50):
        error = math.log(shape) - digamma(shape) - spread
        step = error / (1 / shape - trigamma(shape))
        shape = shape / 2 if step >= shape else shape - step
        if abs(step) < 1e-12 * shape:
            break
    return shape


def digamma(x: float) -> float:
    """Return ψ(x) for x > 0: recurrence to x ≥ 8, then the asymptotic series (A&S 6.3.18)."""
    below = 0.0
    while x < 8:
        below -= 1 / x
        x += 1
    y = 1 / (x * x)
    return below + math.log(x) - 0.5 / x - y * (1 / 12 - y * (1 / 120 - y * (1 / 252 - y / 240)))


def trigamma(x: float) -> float:
    """Return ψ′(x) for x > 0, likewise (A&S 6.4.12)."""
    below = 0.0
    while x < 8:
        below += 1 / (x * x)
        x += 1
    y = 1 / (x * x)
    return below + 1 / x + y / 2 + y / x * (1 / 6 - y * (1 / 30 - y * (1 / 42 - y / 30)))


def gamma_quantile(share: float, shape: float) -> float:
    """Return the quantile of the gamma distribution of this shape and scale 1, by bisection."""
    low, high = 0.0, shape + 1.0
    while gamma_share(high, shape) < share:
        low, high = high, 2 * high
    for _ in range(200):
        middle = 0.5 * (low + high)
        if gamma_share(middle, shape) < share:
            low = middle
        else:
            high = middle
        if high - low <= 1e-14 * high:
            break
    return 0.5 * (low + high)


def gamma_share(x: float, shape: float) -> float:
    """Return the share below ``x``: the regularised lower incomplete gamma function.

    By its series, and above the mean by the continued fraction of its complement (M. Abramowitz
    & I. A. Stegun, "Handbook of Mathematical Functions", 6.5.29 and 6.5.31).
    """
    if x <= 0:
        return 0.0
    scale = math.exp(shape * math.log(x) - x - math.lgamma(shape))
    if x < shape + 1:
        term = total = 1 / shape
        order = shape
        while abs(term) > 1e-17 * total:
            order += 1
            term *= x / order
            total += term
        return min(1.0, scale * total)
    tiny = 1e-300
    b = x + 1 - shape
    c, d = 1 / tiny, 1 / b
    fraction = d
    for n in range(1, 10_000):
        a = -n * (n - shape)
        b += 2
        d = 1 / (a * d + b or tiny)
        c = b + a / c or tiny
        fraction *= c * d
        if abs(c * d - 1) < 1e-15:
            break
    return 1 - scale * fraction
