"""Time scales: shares of the budget, and the rate at which normal sound exceeds a score."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asd_monitor.alarm.scale_tail import ScaleTail
from asd_monitor.alarm.time_scales import (
    MAX_ALARM_SCORE,
    ORDINARY,
    SHARES,
    STEP_S,
    TIME_SCALES,
    evidence_at,
    scale_score,
)

SCALES_S = st.sampled_from([scale.seconds for scale in TIME_SCALES])
TAILS = st.builds(
    ScaleTail, SCALES_S, st.floats(-2.0, 2.0), st.floats(0.01, 10.0), st.floats(2.0, 1e6)
)


def normal_tail(seconds: float) -> ScaleTail:
    return ScaleTail(seconds, 0.0, 1.0, 1e7)


def test_the_shares_are_those_of_one_budget() -> None:
    assert sum(scale.share for scale in TIME_SCALES) == pytest.approx(1.0)
    assert [scale.seconds for scale in TIME_SCALES] == [10.0, 30.0, 600.0, 3600.0, 86400.0]


@given(TAILS, st.floats(-1e4, 1e4), st.floats(-1e4, 1e4))
def test_higher_evidence_never_has_a_lower_score(tail: ScaleTail, one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert 0.0 <= scale_score(tail, low) <= scale_score(tail, high) <= MAX_ALARM_SCORE


@given(TAILS)
def test_evidence_at_or_below_the_location_scores_zero(tail: ScaleTail) -> None:
    assert scale_score(tail, tail.location) == 0.0
    assert scale_score(tail, -math.inf) == 0.0


@given(TAILS, st.floats(0.0, MAX_ALARM_SCORE))
def test_the_evidence_at_a_score_has_this_score(tail: ScaleTail, score: float) -> None:
    evidence = evidence_at(tail, score)
    assert scale_score(tail, evidence) == pytest.approx(score, abs=1e-6)


def upcrossings(means: np.ndarray, level: float, rearmed: float) -> int:
    """Count the rises above a level; between two of them is a mean below ``rearmed``."""
    states = np.where(means >= level, 1, np.where(means < rearmed, -1, 0))
    decided = states[states != 0]
    return int(np.sum((decided[1:] == 1) & (decided[:-1] == -1)))


@pytest.mark.parametrize(
    ("seconds", "score"),
    [
        *((10.0, score) for score in (1.0, 2.0, 3.0)),
        *((30.0, score) for score in (1.0, 2.0, 3.0)),
        *((600.0, score) for score in (2.0, 3.0)),
        *((3600.0, score) for score in (2.0, 3.0)),
    ],
)
def test_white_noise_exceeds_a_score_at_the_promised_rate(seconds: float, score: float) -> None:
    """Within a factor of two, where the alarm score has a dead band of 1.

    The mean over a day is left out: such scores are ordinary for it, and exceeded less often.
    """
    blocks = round(seconds / STEP_S)
    noise = np.random.default_rng(1).standard_normal(3_000_000)
    sums = np.concatenate([[0.0], np.cumsum(noise)])
    means = (sums[blocks:] - sums[:-blocks]) / math.sqrt(blocks)
    tail = normal_tail(seconds)
    level, rearmed = evidence_at(tail, score), evidence_at(tail, max(0.01, score - 1.0))
    promised = 10.0**-score * SHARES[seconds] * len(means)
    assert 0.5 * promised < upcrossings(means, level, rearmed) < 2.0 * promised


def test_ordinary_means_over_a_day_have_a_low_score() -> None:
    """By their rate alone they would score 3 for days."""
    tail = normal_tail(86400.0)
    assert scale_score(tail, 0.5) < 1.0
    assert scale_score(tail, ORDINARY) > 3.0
