"""Unusable samples: found wherever they are, and left out as a gap."""

import numpy as np
import pytest

from asd_monitor.dsp.sample_faults import MAX_AMPLITUDE, usable_parts, usable_runs
from tests.doubles.blocks import block_at

UNUSABLE = [np.nan, np.inf, -np.inf, 3e38, -3e38, 1.1 * MAX_AMPLITUDE]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("value", UNUSABLE)
def test_unusable_samples_are_left_out(value: float) -> None:
    samples = np.array([0.1, value, 0.2, 0.3, value, value], np.float32)
    assert usable_runs(samples) == [(0, 1), (2, 4)]
    assert usable_runs(samples[1:2]) == []
    parts = usable_parts(block_at(100, samples))
    assert [(part.start, part.end) for part in parts] == [(100, 101), (102, 104)]


@pytest.mark.parametrize("value", [0.0, 1.0, -4.0, 32767.0, -(2.0**31)])
def test_samples_of_any_scale_are_usable(value: float) -> None:
    block = block_at(0, np.array([0.1, value], np.float32))
    assert usable_parts(block) == [block]


def test_an_empty_block_has_no_part() -> None:
    assert usable_parts(block_at(0, np.zeros(0, np.float32))) == []
