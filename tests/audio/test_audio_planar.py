"""Channels on their way from the device to the machines: every sample where it belongs."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from asd_monitor.audio.capture.planar import take_apart
from asd_monitor.audio.wire import Frame, choose_channels


@st.composite
def recordings(draw):
    """(samples, channels) of int16, and some of the channels, rising."""
    channels = draw(st.integers(1, 8))
    length = draw(st.integers(0, 50))
    seed = draw(st.integers(0, 2**32 - 1))
    sound = np.random.default_rng(seed).integers(-32768, 32768, (length, channels))
    chosen = draw(st.sets(st.integers(0, channels - 1), min_size=1))
    return sound.astype("<i2"), tuple(sorted(chosen))


@given(recordings(), st.integers(0, 2**40))
def test_each_channel_comes_out_as_it_went_in(recording, start):
    sound, chosen = recording
    pcm = choose_channels(sound.tobytes(), sound.shape[1], chosen)
    assert len(pcm) == 2 * len(sound) * len(chosen)
    block = take_apart(Frame(0, 0, 0, pcm), start, chosen)
    assert (block.start, block.end) == (start, start + len(sound))
    for number in range(sound.shape[1]):
        one = block.channel(number)
        if number not in chosen:
            assert one is None
            continue
        assert (one.start, one.end) == (block.start, block.end)
        assert one.samples.dtype == np.float32
        np.testing.assert_array_equal(one.samples * 32768, sound[:, number])


def test_a_channel_is_a_contiguous_row_and_no_copy():
    sound = np.arange(12, dtype="<i2").reshape(4, 3)
    block = take_apart(Frame(0, 0, 0, sound.tobytes()), 0, (0, 1, 4))
    one = block.channel(4)
    assert np.shares_memory(one.samples, block.samples)
    assert one.samples.flags.c_contiguous


def test_no_channel_at_all_is_no_sound():
    assert choose_channels(bytes(12), 3, ()) == b""
