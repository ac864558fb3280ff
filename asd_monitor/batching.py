"""Batched calls in which the failure of one item does not affect the others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def run_batch(
    work: Callable[[Sequence[T]], Sequence[R]], items: Sequence[T]
) -> list[R | Exception]:
    """Return the result of each item, or the exception that it raises.

    All items are processed in one call; if that raises, each is processed in a call of its own.

    Args:
        work: returns one result for each item; it must not change any state before it raises.
        items: the items.

    """
    try:
        return list(work(items))
    except Exception as error:  # noqa: BLE001 - returned as the outcome of its item
        if len(items) == 1:
            return [error]
    return [outcome for item in items for outcome in run_batch(work, [item])]


def each_alone(work: Callable[[T], R], items: Sequence[T]) -> list[R | Exception]:
    """Return the result of each item, or the exception that it raises."""
    return [outcome for item in items for outcome in run_batch(lambda one: [work(one[0])], [item])]


def result_or_raise(outcome: R | Exception) -> R:
    """Return an outcome of `run_batch`, or raise it if it is an exception."""
    if isinstance(outcome, Exception):
        raise outcome
    return outcome
