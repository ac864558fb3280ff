"""Work that is divided into short steps: a generator that yields between two of them.

Where it is run decides its caller: at once, or step by step between other work.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TypeVar

R = TypeVar("R")
Steps = Generator[float, None, R]
"""Yields the share that is done before each step, and returns the result."""


def part_of(steps: Steps[R], begin: float, share: float) -> Steps[R]:
    """Return the steps of a part of other work, which begins when the share ``begin`` is done."""
    while True:
        try:
            done = next(steps)
        except StopIteration as end:
            result: R = end.value
            return result
        yield begin + share * done


def outcome_of(steps: Steps[R], progress: Callable[[float], object] = lambda _: None) -> R:
    """Carry out all steps and return the result; ``progress`` is called with the share done."""
    while True:
        try:
            progress(next(steps))
        except StopIteration as end:
            result: R = end.value
            return result
