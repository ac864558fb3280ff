"""The resampler: independent of the blocks, aligned in time."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asd_monitor.dsp.resampling import Resampler


@settings(max_examples=30, deadline=None)
@given(
    sizes=st.lists(st.integers(0, 3000), min_size=1, max_size=12),
    rates_hz=st.sampled_from(
        [(48000, 16000), (44100, 16000), (8000, 16000), (192000, 16000), (7, 7)]
    ),
)
def test_output_does_not_depend_on_block_sizes(sizes: list[int], rates_hz: tuple[int, int]) -> None:
    sound = np.random.default_rng(1).normal(size=sum(sizes)).astype(np.float32)
    whole = Resampler(*rates_hz)
    expected = np.concatenate((whole.push(sound), whole.flush()))
    in_blocks = Resampler(*rates_hz)
    ends = np.cumsum(sizes)[:-1]
    found = [in_blocks.push(block) for block in np.split(sound, ends)] + [in_blocks.flush()]
    np.testing.assert_array_equal(np.concatenate(found), expected)
    assert abs(len(expected) - len(sound) * rates_hz[1] / rates_hz[0]) <= 1


@pytest.mark.parametrize("from_hz", [44100, 48000])
def test_output_is_aligned_with_input(from_hz: int) -> None:
    tone = np.sin(2 * np.pi * 440 * np.arange(from_hz) / from_hz).astype(np.float32)
    found = Resampler(from_hz, 16000).push(tone)
    expected = np.sin(2 * np.pi * 440 * np.arange(len(found)) / 16000)
    np.testing.assert_allclose(found[1000:], expected[1000:], atol=1e-3)


def test_a_new_stream_begins_after_a_flush() -> None:
    resampler = Resampler(48000, 16000)
    sound = np.random.default_rng(1).normal(size=4800).astype(np.float32)
    first = np.concatenate((resampler.push(sound), resampler.flush()))
    second = np.concatenate((resampler.push(sound), resampler.flush()))
    np.testing.assert_array_equal(first, second)
