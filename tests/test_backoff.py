"""Delays between attempts that fail."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asd_monitor.backoff import Backoff, doubling


@pytest.mark.parametrize(
    ("first_s", "longest_s", "steps_s"),
    [
        (1.0, 30.0, (1.0, 2.0, 4.0, 8.0, 16.0, 30.0)),
        (1.0, 4.0, (1.0, 2.0, 4.0)),
        (0.2, 0.2, (0.2,)),
    ],
)
def test_doubling_ends_at_the_longest_step(
    first_s: float, longest_s: float, steps_s: tuple[float, ...]
) -> None:
    assert doubling(first_s, longest_s) == steps_s


def test_without_jitter_each_delay_is_its_step_and_the_last_repeats() -> None:
    backoff = Backoff((0.5, 1.0, 2.0))
    assert [backoff.delay_s() for _ in range(5)] == [0.5, 1.0, 2.0, 2.0, 2.0]
    backoff.reset()
    assert backoff.delay_s() == 0.5


@pytest.mark.parametrize(("worked_s", "delay_s"), [(599.0, 5.0), (600.0, 1.0), (1e6, 1.0)])
def test_an_attempt_that_worked_long_enough_starts_the_delays_again(
    worked_s: float, delay_s: float
) -> None:
    backoff = Backoff((1.0, 2.0, 5.0), reset_after_s=600.0)
    backoff.delay_s()
    backoff.delay_s()
    assert backoff.delay_s(worked_s) == delay_s


@given(st.lists(st.floats(0, 0.999999), min_size=1, max_size=40), st.integers(0, 10**6).map(float))
def test_full_jitter_is_bounded_by_the_doubled_steps(
    fractions: list[float], worked_s: float
) -> None:
    numbers = iter([*fractions, 0.9])
    backoff = Backoff(
        doubling(1.0, 30.0), minimum_s=0.1, reset_after_s=30.0, jitter=lambda: next(numbers)
    )
    for failures, fraction in enumerate(fractions):
        assert backoff.delay_s() == max(0.1, fraction * min(30.0, 2.0**failures))
    expected = 0.9 if worked_s >= 30.0 else 0.9 * min(30.0, 2.0 ** len(fractions))
    assert backoff.delay_s(worked_s) == expected


@given(st.lists(st.sampled_from([0.0, 0.5, 60.0]), max_size=2000))
def test_every_delay_is_at_least_the_minimum(worked_s: list[float]) -> None:
    backoff = Backoff(doubling(1.0, 30.0), minimum_s=0.1, reset_after_s=30.0, jitter=lambda: 0.0)
    assert all(backoff.delay_s(each_s) >= 0.1 for each_s in worked_s)
