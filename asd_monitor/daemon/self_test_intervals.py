"""Intervals of the self-test."""

from __future__ import annotations

from dataclasses import dataclass

from asd_monitor.self_test.schedule import RETRY_S


@dataclass(frozen=True, slots=True)
class SelfTestIntervals:
    """Intervals of the self-test, in s."""

    first_s: float = 600.0
    """From the start of the daemon to the first test."""
    check_s: float = 10.0
    """Between two checks whether a test is due."""
    retry_s: float = RETRY_S
    """Between two attempts of one test."""
