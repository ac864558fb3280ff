"""Budgets, durations and sizes as text."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from asd_monitor.config.quantities import (
    format_size,
    parse_budget,
    parse_duration,
    parse_size,
)
from asd_monitor.errors import UsageError
from asd_monitor.wording import PERIOD_S


@pytest.mark.parametrize(
    ("text", "allowed", "period_s"),
    [
        ("1 per month", 1, 2_629_800),
        ("2 per week", 2, 604_800),
        ("0.5 per day", 0.5, 86_400),
        ("3 per 2 years", 3, 63_115_200),
        (" 1  Per  Hour ", 1, 3600),
        ("1 / day", 1, 86_400),
    ],
)
def test_valid_budgets(text: str, allowed: float, period_s: float) -> None:
    budget = parse_budget(text)
    assert (budget.allowed, budget.period_s) == (allowed, period_s)
    assert str(budget) == text.strip()


@pytest.mark.parametrize(
    "text",
    ["", "1", 1, None, "monthly", "one per month", "1 per fortnight", "-1 per day", "1 per -1 day",
     "0 per month", "1 per 0 days", "nan per day", "1e9 per day", "100 per minute",
     "1 per 999 years", "1 per month or so", "9" * 400 + " per year"],
)  # fmt: skip
def test_invalid_budgets_are_refused(text: object) -> None:
    with pytest.raises(UsageError, match=r": .*such as `1 per month`"):
        parse_budget(text)


@given(st.integers(1, 59), st.integers(1, 99), st.sampled_from(sorted(PERIOD_S)))
def test_a_budget_reads_back(allowed: int, every: int, unit: str) -> None:
    assume(allowed / every <= PERIOD_S[unit] / 60)
    budget = parse_budget(f"{allowed} per {every} {unit}s")
    assert budget.per_second == pytest.approx(allowed / every / PERIOD_S[unit])
    assert parse_budget(str(budget)) == budget


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("30m", 1800), ("30 min", 1800), ("2h", 7200), ("1.5d", 129600)],
)
def test_valid_durations(text: str, seconds: float) -> None:
    assert parse_duration(text).seconds == seconds


@pytest.mark.parametrize("text", ["", "30", 30, "m", "-1m", "1 month", "30M", None])
def test_invalid_durations_are_refused(text: object) -> None:
    with pytest.raises(UsageError, match="such as `30m`"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("2 GB", 2 * 10**9),
        ("500MB", 5 * 10**8),
        ("1 GiB", 2**30),
        ("1.5 kB", 1500),
        (7, 7),
        ("7", 7),
    ],
)
def test_valid_sizes(text: object, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "GB", "2 gb", "-2 GB", "2 XB", True, 1.5, None])
def test_invalid_sizes_are_refused(text: object) -> None:
    with pytest.raises(UsageError, match="such as `2 GB`"):
        parse_size(text)


@given(st.integers(0, 10**15))
def test_a_size_reads_back(size: int) -> None:
    assert parse_size(format_size(size)) == size
