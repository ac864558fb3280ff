"""The confidence interval of the false-alarm rate."""

import numpy as np

from asd_monitor.config.quantities import parse_budget
from asd_monitor.model_training.confidence import (
    MAX_EXCESS,
    FalseAlarmInterval,
    false_alarm_interval,
)

MONTH = parse_budget("1 per month")
HOP_S = 0.512


def _interval(n: int, threshold: float, seed: int = 0) -> FalseAlarmInterval:
    return false_alarm_interval(
        np.random.default_rng(seed).normal(0.0, 0.5, n),
        budget=MONTH,
        threshold=threshold,
        hop_s=HOP_S,
        rng=np.random.default_rng(1),
    )


def test_the_interval_contains_the_promised_rate() -> None:
    for threshold in (2.0, 4.0):
        interval = _interval(1500, threshold)
        assert interval.low_hz < 10**-threshold / 10.0 < interval.high_hz


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
