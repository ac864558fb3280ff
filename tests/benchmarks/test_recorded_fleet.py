"""The latency of a score message."""

from datetime import UTC, datetime

import pytest

from benchmarks.recorded_fleet import ReceivedScore

BEGAN_S = 1_000_000_000.0
"""When block 0 was delivered, which the daemon takes for the time of sample 0."""


@pytest.mark.parametrize("end", [31_744, 1600, 1601])
def test_the_latency_counts_from_the_delivery_of_the_windows_last_block(end: int) -> None:
    block = (end - 1) // 1600  # of 0.1 s at 16 kHz
    delivered_s = BEGAN_S + 0.1 * block
    message = {
        "machine": "fan",
        "seq": 3,
        "lost_samples": 0,
        "sample": end,
        "time": datetime.fromtimestamp(BEGAN_S + end / 16_000, UTC).isoformat(),
    }
    score = ReceivedScore.of(delivered_s + 0.025, message)
    assert score.latency_s == pytest.approx(0.025, abs=1e-5)
    assert (score.machine, score.seq) == ("fan", 3)
