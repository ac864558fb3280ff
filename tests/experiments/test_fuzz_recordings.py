"""A small number of damaged recordings: read or refused, within the limits."""

from experiments.fuzz.frame import run_cases
from experiments.fuzz.recordings import DamagedRecordings


def test_damaged_recordings_are_read_or_refused() -> None:
    summary = run_cases(DamagedRecordings(), range(60), seed=18)
    assert summary.failures == []
    assert set(summary.outcomes) == {"read", "refused"}
