"""One go for many, in which nobody's failure is another's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def run_batch(
    work: Callable[[Sequence[T]], Sequence[R]], items: Sequence[T]
) -> list[R | Exception]:
    """Return what the work makes of each item, or what it raises for that one.

    All are worked on in one go; only where that raises, one after the other.  So the work has
    to leave everything as it was when it raises.
    """
    try:
        return list(work(items))
    except Exception as error:  # noqa: BLE001 - it is told to whose item it is
        if len(items) == 1:
            return [error]
    return [outcome for item in items for outcome in run_batch(work, [item])]


def result_or_raise(outcome: R | Exception) -> R:
    """Return an outcome of `together`; raise what it raised."""
    if isinstance(outcome, Exception):
        raise outcome
    return outcome
