"""The tail of a time scale: a located and scaled Student t."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asd_monitor.alarm.scale_tail import ScaleTail

T_QUANTILES = [  # dof, −log10 P, t: scipy.stats.t.isf(10**-s, dof)
    (4, 1.0, 1.5332),
    (4, 3.0, 7.1732),
    (8, 3.0, 4.5008),
    (8, 6.0, 12.1098),
    (30, 3.0, 3.3852),
    (30, 6.0, 5.8711),
    (200, 6.0, 4.8973),
]


@pytest.mark.parametrize(("dof", "score", "t"), T_QUANTILES)
def test_the_score_is_that_of_a_student_t(dof: float, score: float, t: float) -> None:
    tail = ScaleTail(10.0, location=1.0, scale=0.5, dof=dof)
    assert tail.score(1.0 + 0.5 * t) == pytest.approx(score, abs=0.08)
    assert tail.score(1.0 + 0.5 * t) <= score + 1e-3, "small probabilities are overestimated"


def test_the_location_is_exceeded_half_of_the_time() -> None:
    assert ScaleTail(10.0, 0.3, 2.0, 5.0).score(0.3) == pytest.approx(math.log10(2.0))


@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6), st.floats(1.0, 1e6))
def test_higher_evidence_never_scores_lower(one: float, other: float, dof: float) -> None:
    tail = ScaleTail(600.0, 0.1, 0.7, dof)
    low, high = sorted((one, other))
    assert 0.0 <= tail.score(low) <= tail.score(high) <= 300.0


@pytest.mark.parametrize(
    ("location", "scale", "dof"), [(math.nan, 1.0, 5.0), (0.0, 0.0, 5.0), (0.0, 1.0, 0.0)]
)
def test_parameters_that_are_out_of_range_are_refused(
    location: float, scale: float, dof: float
) -> None:
    with pytest.raises(ValueError, match="invalid parameters"):
        ScaleTail(10.0, location, scale, dof)
