"""Medians, percentiles and children of the benchmarks."""

import math
import sys

import pytest

from benchmarks.measure import MIN_ROUNDS, child_json, medians_cpu_s, number, percentile


def test_every_work_is_called_in_turn_in_every_round_and_for_warm_up() -> None:
    calls: list[str] = []
    works = {name: lambda name=name: calls.append(name) for name in "ab"}
    medians = medians_cpu_s(works, rounds=5)
    assert calls == ["a", "b"] * 6
    assert set(medians) == {"a", "b"}
    assert all(spent >= 0 for spent in medians.values())


def test_rounds_end_with_the_budget_but_there_is_a_minimum() -> None:
    calls: list[int] = []
    medians_cpu_s({"": lambda: calls.append(sum(range(10_000)))}, rounds=1000, budget_s=0.0)
    assert len(calls) == 1 + MIN_ROUNDS


@pytest.mark.parametrize(("share", "value"), [(0.0, 1.0), (0.5, 3.0), (0.99, 4.0), (1.0, 4.0)])
def test_a_percentile_is_one_of_the_values(share: float, value: float) -> None:
    assert percentile([4.0, 1.0, 3.0, 2.0], share) == value
    assert math.isnan(percentile([], share))


@pytest.mark.parametrize(
    ("value", "text"), [(12345.6, "12,346"), (99.44, "99.4"), (1.234, "1.23"), (0.01234, "0.0123")]
)
def test_numbers_have_three_significant_digits(value: float, text: str) -> None:
    assert number(value) == text


def test_the_last_line_of_a_child_is_its_result() -> None:
    assert child_json([sys.executable, "-c", "print('log'); print('[1, 2]')"]) == [1, 2]
    with pytest.raises(RuntimeError, match="ValueError: no"):
        child_json([sys.executable, "-c", "raise ValueError('no')"])
