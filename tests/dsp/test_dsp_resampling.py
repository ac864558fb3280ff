"""The resampler: chunking does not matter, time stays aligned."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asd_monitor.dsp.resampling import Resampler


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.integers(0, 3000), min_size=1, max_size=12),
    st.sampled_from([(48000, 16000), (44100, 16000), (8000, 16000), (192000, 16000), (7, 7)]),
)
def test_chunks_of_any_size_give_the_same(sizes, rates):
    sound = np.random.default_rng(1).normal(size=sum(sizes)).astype(np.float32)
    whole = Resampler(*rates)
    expected = np.concatenate((whole.push(sound), whole.flush()))
    pieces = Resampler(*rates)
    ends = np.cumsum(sizes)[:-1]
    got = [pieces.push(chunk) for chunk in np.split(sound, ends)] + [pieces.flush()]
    np.testing.assert_array_equal(np.concatenate(got), expected)
    assert abs(len(expected) - len(sound) * rates[1] / rates[0]) <= 1


@pytest.mark.parametrize("from_hz", [44100, 48000])
def test_a_tone_stays_where_it_was_in_time(from_hz):
    tone = np.sin(2 * np.pi * 440 * np.arange(from_hz) / from_hz).astype(np.float32)
    got = Resampler(from_hz, 16000).push(tone)
    expected = np.sin(2 * np.pi * 440 * np.arange(len(got)) / 16000)
    np.testing.assert_allclose(got[1000:], expected[1000:], atol=1e-3)


def test_after_a_flush_another_stream_begins():
    resampler = Resampler(48000, 16000)
    sound = np.random.default_rng(1).normal(size=4800).astype(np.float32)
    first = np.concatenate((resampler.push(sound), resampler.flush()))
    again = np.concatenate((resampler.push(sound), resampler.flush()))
    np.testing.assert_array_equal(first, again)
