"""The decision threshold and its special functions, against SciPy."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special, stats

from asd_monitor.evaluation.gamma_threshold import (
    digamma,
    fit_shape,
    gamma_quantile,
    gamma_share,
    gamma_threshold,
    trigamma,
)


@given(st.floats(1e-3, 1e4))
def test_digamma_and_trigamma_equal_those_of_scipy(x: float) -> None:
    assert digamma(x) == pytest.approx(special.digamma(x), rel=1e-9, abs=1e-9)
    assert trigamma(x) == pytest.approx(special.polygamma(1, x), rel=1e-9)


@given(st.floats(0.01, 1e4))
def test_the_shape_solves_the_likelihood_equation(shape: float) -> None:
    spread = math.log(shape) - float(special.digamma(shape))
    assert fit_shape(spread) == pytest.approx(shape, rel=1e-6)


@given(st.floats(0.05, 200), st.floats(0.01, 0.99))
def test_quantiles_and_shares_equal_those_of_scipy(shape: float, share: float) -> None:
    expected = stats.gamma.ppf(share, shape)
    assert gamma_quantile(share, shape) == pytest.approx(expected, rel=1e-8, abs=1e-290)
    assert gamma_share(expected, shape) == pytest.approx(
        special.gammainc(shape, expected), abs=1e-9
    )


@given(st.floats(0.3, 50), st.floats(0.01, 100), st.integers(5, 200), st.integers(0, 2**32 - 1))
def test_the_threshold_equals_that_of_scipy_s_fit(
    shape: float, scale: float, n: int, seed: int
) -> None:
    scores = np.random.default_rng(seed).gamma(shape, scale, n)
    fitted, _, its_scale = stats.gamma.fit(scores, floc=0)
    expected = stats.gamma.ppf(0.9, fitted, scale=its_scale)
    assert gamma_threshold(scores.tolist()) == pytest.approx(expected, rel=5e-3)


def test_thresholds_of_few_and_of_equal_scores() -> None:
    assert gamma_threshold([0.5]) == pytest.approx(0.5)
    assert gamma_threshold([0.5] * 9) == pytest.approx(0.5)
    assert math.isfinite(gamma_threshold([0.0, 1.0]))
    with pytest.raises(ValueError, match="no score"):
        gamma_threshold([])
