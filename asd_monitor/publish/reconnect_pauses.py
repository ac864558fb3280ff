"""The pauses between two attempts to connect to the broker."""

from __future__ import annotations

from functools import partial
from random import random, uniform

from asd_monitor.backoff import Backoff, doubling


def pauses_after_failures() -> Backoff:
    """Return pauses of 0.1 to 1 s at first and 0.1 to 30 s in the end."""
    return Backoff(doubling(1.0, 30.0), minimum_s=0.1, reset_after_s=30.0, jitter=random)


def pauses_after_takeovers() -> Backoff:
    """Return pauses of 10 to 15 s at first and 40 to 60 s in the end.

    The client that took over may do the same: two of one id do not alternate faster than that,
    since only a connection longer than any pause ends the row.
    """
    return Backoff(
        doubling(15.0, 60.0), reset_after_s=120.0, jitter=partial(uniform, 2.0 / 3.0, 1.0)
    )
