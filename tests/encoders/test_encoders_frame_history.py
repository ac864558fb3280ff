"""The history of frames: rows by the samples that they span."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from asd_monitor.encoders.frame_history import FrameHistory


@given(st.lists(st.integers(0, 7), max_size=20), st.integers(1, 5))
def test_rows_lie_wholly_within_the_samples(sizes: list[int], step: int) -> None:
    span, hop = 4, 2
    history = FrameHistory(span, hop)
    total = 0
    start = 0
    for size in sizes:
        history.push(np.arange(total, total + size, dtype=np.float32)[:, None])
        total += size
        end = (total - 1) * hop + span if total else 0
        while total and start + 8 <= end:
            rows = history.between(start, start + 8)[:, 0]
            inside = [k for k in range(total) if k * hop >= start and k * hop + span <= start + 8]
            assert rows.tolist() == inside
            start += step
            history.discard(start)
