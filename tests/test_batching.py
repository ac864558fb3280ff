"""Batched calls: one call if all succeed, and a failure affects its own item only."""

from collections.abc import Sequence

import pytest

from asd_monitor.batching import result_or_raise, run_batch


def test_all_items_are_processed_in_one_call() -> None:
    calls: list[list[int]] = []

    def double(items: Sequence[int]) -> list[int]:
        calls.append(list(items))
        return [2 * item for item in items]

    assert run_batch(double, [1, 2, 3]) == [2, 4, 6]
    assert calls == [[1, 2, 3]]


def test_a_failure_takes_the_place_of_its_own_result() -> None:
    outcomes = run_batch(lambda items: [10 // item for item in items], [1, 0, 5])
    assert (outcomes[0], outcomes[2]) == (10, 2)
    with pytest.raises(ZeroDivisionError):
        result_or_raise(outcomes[1])
    assert result_or_raise(outcomes[0]) == 10


def test_an_interruption_is_not_an_outcome() -> None:
    def interrupted(items: object) -> list[int]:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_batch(interrupted, [1])
