"""Damaged configurations, as `python -m experiments.fuzz configurations` makes them."""

from __future__ import annotations

from experiments.fuzz.configurations import DamagedConfigurations
from experiments.fuzz.frame import run_cases


def test_damaged_configurations_are_read_or_refused_within_bounds() -> None:
    summary = run_cases(DamagedConfigurations(), range(60), seed=1)
    failures = [(each.number, each.outcome, each.detail) for each in summary.failures]
    assert failures == []
    assert set(summary.outcomes) == {"read", "refused"}
