"""The latency of a score message."""

from datetime import UTC, datetime

import pytest

from benchmarks.recorded_fleet import ReceivedScore

BEGAN_S = 1_000_000_000.0
"""When the recording was opened, which is the time of sample 0."""


@pytest.mark.parametrize("end", [31_744, 1600, 1601])
def test_the_latency_counts_from_the_capture_of_the_windows_last_sample(end: int) -> None:
    captured_s = BEGAN_S + end / 16_000
    message = {
        "machine": "fan",
        "seq": 3,
        "lost_samples": 0,
        "sample": end,
        "time": datetime.fromtimestamp(BEGAN_S + end / 16_000, UTC).isoformat(),
    }
    score = ReceivedScore.of(captured_s + 0.025, message)
    assert score.latency_s == pytest.approx(0.025, abs=1e-5)
    assert (score.machine, score.seq) == ("fan", 3)
