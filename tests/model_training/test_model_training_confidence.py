"""The confidence interval of the false-alarm rate."""

import numpy as np
import pytest

from asd_monitor.alarm.score import ALARM_SPAN_S
from asd_monitor.config.quantities import parse_budget
from asd_monitor.detector.calibration import ParetoTail
from asd_monitor.model_training.confidence import (
    DRAWS,
    MAX_EXCESS,
    FalseAlarmInterval,
    false_alarm_interval,
)

MONTH = parse_budget("1 per month")
HOP_S = 0.512


def _scores(n: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).exponential(1 / np.log(10), n)  # P(≥ s) = 10^−s


def _interval(n: int, threshold: float, seed: int = 0, draws: int = DRAWS) -> FalseAlarmInterval:
    return false_alarm_interval(
        _scores(n, seed),
        budget=MONTH,
        threshold=threshold,
        hop_s=HOP_S,
        min_scale=0.0,
        rng=np.random.default_rng(1),
        draws=draws,
    )


@pytest.mark.parametrize("threshold", [1.5, 3.0])
def test_the_interval_mostly_contains_the_true_rate(threshold: float) -> None:
    covered = []
    for seed in range(20):
        interval = _interval(1500, threshold, seed, draws=60)
        reached = ParetoTail.fit(_scores(1500, seed)).raw_score(threshold)
        covered.append(interval.low_hz <= 10**-reached / ALARM_SPAN_S <= interval.high_hz)
    assert np.mean(covered) > 0.6  # with few peaks, the prior makes the tail heavier


def test_more_training_sound_narrows_the_interval() -> None:
    def width(n: int) -> float:
        interval = _interval(n, 4.0)
        return float(np.log10(interval.high_hz / interval.low_hz))

    assert width(20_000) < width(200) / 2


def test_the_same_scores_give_the_same_interval() -> None:
    assert _interval(300, 5.0) == _interval(300, 5.0)


def test_a_budget_is_supported_when_the_upper_limit_keeps_it() -> None:
    rate_hz = MONTH.per_second
    assert FalseAlarmInterval(MONTH, 5.0, 0.0, MAX_EXCESS * rate_hz).supports_budget
    assert not FalseAlarmInterval(MONTH, 5.0, 0.0, 1.1 * MAX_EXCESS * rate_hz).supports_budget
