"""What is said of a budget and of odd moments can be relied on."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asd_monitor.alarm.score import ALARM_SPAN_S
from asd_monitor.config.quantities import parse_budget
from asd_monitor.detector.calibration import ParetoTail
from asd_monitor.model_training.confidence import PROVEN, FalseAlarmInterval, false_alarm_interval
from asd_monitor.model_training.outliers import WindowPosition, find_outliers
from asd_monitor.model_training.reference import SoundFile
from asd_monitor.wording import clock, count, length, rate

FILE = SoundFile(Path("a.wav"), "", 16_000, 400.0, datetime(2026, 1, 1, tzinfo=UTC))
MONTH = parse_budget("1 per month")
HOP_S = 0.512


def _scores(n: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).exponential(1 / np.log(10), n)  # P(≥ s) = 10^−s


def _interval(n: int, threshold: float, seed: int = 0) -> FalseAlarmInterval:
    return false_alarm_interval(
        _scores(n, seed),
        budget=MONTH,
        threshold=threshold,
        hop_s=HOP_S,
        least_scale=0.0,
        rng=np.random.default_rng(1),
    )


@pytest.mark.parametrize("threshold", [1.5, 3.0])
def test_the_interval_mostly_holds_the_truth(threshold: float) -> None:
    held = []
    for seed in range(30):
        interval = _interval(1500, threshold, seed)
        reached = ParetoTail.fit(_scores(1500, seed)).raw_score(threshold)
        held.append(interval.low_hz <= 10**-reached / ALARM_SPAN_S <= interval.high_hz)
    assert np.mean(held) > 0.6  # a prior draws few peaks towards a heavier tail


def test_more_normals_narrow_it() -> None:
    def width(n: int) -> float:
        interval = _interval(n, 4.0)
        return float(np.log10(interval.high_hz / interval.low_hz))

    assert width(20_000) < width(200) / 2


def test_the_same_normals_give_the_same_interval() -> None:
    assert _interval(300, 5.0) == _interval(300, 5.0)


def test_a_budget_is_proven_when_the_upper_end_keeps_it() -> None:
    rate_hz = MONTH.per_second
    assert FalseAlarmInterval(MONTH, 5.0, 0.0, PROVEN * rate_hz).proven
    assert not FalseAlarmInterval(MONTH, 5.0, 0.0, 1.1 * PROVEN * rate_hz).proven


def test_it_is_told_in_words() -> None:
    day_s = 86400
    told = FalseAlarmInterval(MONTH, 5.0, 1 / (50 * day_s), 3 / day_s).in_words()
    assert "between 7.3 per year and 3 per day" in told
    assert "90%" in told
    same = FalseAlarmInterval(MONTH, 5.0, 0.0, 1e-12).in_words()
    assert same == "by these recordings, less than 1 in 100 years"


# odd moments


def _reference(n: int, seed: int) -> tuple[np.ndarray, np.ndarray, list[WindowPosition]]:
    rng = np.random.default_rng(seed)
    by_view = rng.exponential(1 / np.log(10), (n, 4))
    moments = [WindowPosition(FILE, k * 0.5, k * 0.5 + 2) for k in range(n)]
    return np.sqrt((by_view**2).mean(1)), by_view, moments


def test_a_planted_moment_is_found_with_its_place_and_view() -> None:
    fused, by_view, moments = _reference(800, 0)
    by_view[400:404, 2] = 9.0
    fused = np.sqrt((by_view**2).mean(1))
    [outlier] = find_outliers(fused, by_view, ["level", "tone", "rhythm", "change"], moments)
    assert (outlier.file.path.name, outlier.start_s, outlier.end_s) == ("a.wav", 200.0, 203.5)
    assert outlier.view == "rhythm"
    assert outlier.in_words() == "a.wav, 3:20.0 to 3:23.5 (by its rhythm)"


def test_even_many_of_them_do_not_hide_each_other() -> None:
    fused, by_view, moments = _reference(800, 1)
    for begin in range(50, 800, 200):
        by_view[begin : begin + 6, 1] = 11.0
    fused = np.sqrt((by_view**2).mean(1))
    found = find_outliers(fused, by_view, list("abcd"), moments)
    assert len(found) == 4
    assert [o.excess for o in found] == sorted((o.excess for o in found), reverse=True)


def test_plain_normals_have_none() -> None:
    assert sum(bool(find_outliers(*_data(seed))) for seed in range(30)) <= 2


def _data(seed: int) -> tuple[np.ndarray, np.ndarray, list[str], list[WindowPosition]]:
    fused, by_view, moments = _reference(500, seed)
    return fused, by_view, list("abcd"), moments


# words


@pytest.mark.parametrize(
    ("per_second", "told"),
    [
        (0.0, "less than 1 in 100 years"),
        (1 / (365.25 * 86400 * 4), "1 in 4 years"),
        (1 / (86400 * 31), "11.8 per year"),
        (1.5 / 86400, "1.5 per day"),
        (0.2, "12 per minute"),
    ],
)
def test_rates(per_second: float, told: str) -> None:
    assert rate(per_second) == told.replace("11.8", "12")


@given(st.floats(1e-11, 10))
def test_a_rate_has_a_number_people_can_read(per_second: float) -> None:
    told = rate(per_second)
    number = float(next(word for word in told.split() if word[0].isdigit()))
    assert 1 <= number <= 600


def test_clocks_lengths_and_counts() -> None:
    assert clock(0.04) == "0:00.0"
    assert clock(59.96) == "1:00.0"
    assert clock(3723.4) == "1:02:03.4"
    assert length(48) == "48 s"
    assert length(1200) == "20 min"
    assert length(5400) == "1.5 h"
    assert (count(1, "file"), count(0, "alarm")) == ("1 file", "0 alarms")
