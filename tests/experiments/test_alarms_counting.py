"""Alarms in simulated time, beside the product's own."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asd_monitor.alarm.block_means import BlockMean, limited_mean
from asd_monitor.alarm.running_means import RunningMeans
from asd_monitor.alarm.scale_tail import ScaleTail
from asd_monitor.alarm.span_median import SpanMedian, span_windows
from asd_monitor.alarm.state import AlarmRule
from asd_monitor.alarm.state_machine import AlarmStateMachine
from asd_monitor.alarm.time_scales import STEP_S, TIME_SCALES, scale_score
from asd_monitor.records import Thresholds
from experiments.alarms.alarm_counting import (
    ACKNOWLEDGED_AFTER,
    HOP_S,
    STEPS_PER_HOUR,
    Evidence,
    count_alarms,
    exceedances,
    limits_of,
    step_means,
    sustained_peaks,
)

SEEDS = st.integers(0, 1000)
WINDOWS = 35
LONGER_S = [scale.seconds for scale in TIME_SCALES[1:]]


def random_evidence(seed: int, segments: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).standard_t(3, (segments, WINDOWS)).cumsum(1) / 3


@given(SEEDS, st.floats(-2.0, 4.0))
def test_a_peak_reaches_a_limit_where_the_products_alarm_rises(seed: int, limit: float) -> None:
    evidence = random_evidence(seed)
    rate_hz = 1000
    for own, peak in zip(evidence, sustained_peaks(evidence), strict=True):
        median = SpanMedian(HOP_S)
        machine = AlarmStateMachine(AlarmRule(Thresholds(0.5, 0.5), HOP_S), rate_hz)
        for number, value in enumerate(own.tolist()):
            reached = median.push(value) >= limit
            if median.full:
                machine.observe(round(number * HOP_S * rate_hz), float(reached))
        assert (peak >= limit) == (machine.alarm is not None)


@given(SEEDS)
def test_the_mean_of_ten_seconds_is_the_products_block_mean(seed: int) -> None:
    evidence = random_evidence(seed)
    half = (WINDOWS + 1) // 2
    size = span_windows(HOP_S)
    expected = [
        [limited_mean(part.tolist(), size) for part in (own[:half], own[-half:])]
        for own in evidence
    ]
    assert step_means(evidence) == pytest.approx(np.array(expected))


@settings(max_examples=10)
@given(SEEDS)
def test_means_exceed_as_the_products_running_means(seed: int) -> None:
    """Two hours by one model, and two more by a new one."""
    rng = np.random.default_rng(seed)
    means = rng.normal(0.0, 1.0, 4) + np.linspace(0.0, 1.0, 4)
    evidence = Evidence(np.full(4, -np.inf), np.repeat(means[:, None], 2, axis=1))
    limits = np.array([100.0, *rng.normal(0.5, 0.5, len(LONGER_S))])
    found = exceedances(
        np.arange(4)[:, None], evidence, limits, rng, np.array([True, False, True, False])
    )
    for begin in (0, 2):
        running = RunningMeans(LONGER_S, STEP_S, 1)
        for step in range(2 * STEPS_PER_HOUR):
            at = step + begin * STEPS_PER_HOUR
            running.append(BlockMean(round(step * STEP_S), float(means[at // STEPS_PER_HOUR])))
            now = running.means(round((step + 1) * STEP_S))
            for mean, limit, exceeds in zip(now, limits[1:], found[at, 1:], strict=True):
                if mean is None or abs(mean - limit) > 1e-4:  # it is kept in steps of 2⁻¹⁶
                    assert exceeds == (mean is not None and mean >= limit)


def test_a_loud_segment_raises_the_longer_means_no_further_than_an_alarm() -> None:
    evidence = Evidence(np.zeros(2), np.array([[0.0, 0.0], [1000.0, 1000.0]]))
    limits = np.array([10.0, 10.1, 10.1, 10.1, 10.1])
    hours = np.array([[1]])
    assert not exceedances(hours, evidence, limits, np.random.default_rng(0))[:, 1:].any()


def test_the_segments_of_an_hour_sound_by_turns() -> None:
    evidence = Evidence(np.array([0.0, 5.0]), np.zeros((2, 2)))
    limits = np.array([4.0, 1.0, 1.0, 1.0, 1.0])
    found = exceedances(np.array([[0, 1, 0]]), evidence, limits, np.random.default_rng(0))
    assert np.flatnonzero(found[:, 0]).tolist() == [120]


@pytest.mark.parametrize(
    ("steps", "alarms"),
    [
        ([], 0),
        ([5], 1),
        ([5, 5 + ACKNOWLEDGED_AFTER - 1], 1),
        ([5, 5 + ACKNOWLEDGED_AFTER], 2),
        (list(range(3 * ACKNOWLEDGED_AFTER)), 3),
    ],
)
def test_an_alarm_is_counted_anew_an_hour_after_it_rose(steps: list[int], alarms: int) -> None:
    exceeding = np.zeros(4 * ACKNOWLEDGED_AFTER, np.bool_)
    exceeding[steps] = True
    assert count_alarms(exceeding) == alarms


@pytest.mark.parametrize(("hours", "period_s"), [(1, 86400.0), (48, 864000.0), (1000, 2592000.0)])
def test_hours_of_sound_limit_the_budget(hours: int, period_s: float) -> None:
    tails = [ScaleTail(scale.seconds, 0.0, 1.0, 20.0) for scale in TIME_SCALES]
    limits = limits_of(tails, hours, np.inf, 2592000.0)
    scores = [scale_score(tail, limit) for tail, limit in zip(tails, limits, strict=True)]
    assert scores == pytest.approx([-np.log10(STEP_S / period_s)] * len(tails), abs=1e-6)


def test_a_bound_of_the_effect_limits_ten_seconds_only() -> None:
    tails = [ScaleTail(scale.seconds, 0.0, 1.0, 20.0) for scale in TIME_SCALES]
    free, bounded = (limits_of(tails, 200, bound, 2592000.0) for bound in (np.inf, 3.0))
    assert bounded[0] == 3.0
    assert free[0] > 3.0
    assert bounded[1:].tolist() == free[1:].tolist()
