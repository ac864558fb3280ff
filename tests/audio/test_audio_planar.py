"""Channels from interleaved PCM to blocks: every sample in its channel, at its index."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from asd_monitor.audio.capture.planar import deinterleave
from asd_monitor.audio.pcm import decode_pcm, encode_pcm
from asd_monitor.audio.wire import Frame, select_channels
from tests.doubles.blocks import stream_at

STREAM = stream_at(16_000)


@st.composite
def recordings(draw):
    """Return (samples, channels) int16, and some of the channels, ascending."""
    channels = draw(st.integers(1, 8))
    length = draw(st.integers(0, 50))
    seed = draw(st.integers(0, 2**32 - 1))
    sound = np.random.default_rng(seed).integers(-32768, 32768, (length, channels))
    selected = draw(st.sets(st.integers(0, channels - 1), min_size=1))
    return sound.astype("<i2"), tuple(sorted(selected))


@given(recordings(), st.integers(0, 2**40))
def test_selected_channels_are_deinterleaved_exactly(recording, start):
    sound, selected = recording
    pcm = select_channels(sound.tobytes(), sound.shape[1], selected)
    assert len(pcm) == 2 * len(sound) * len(selected)
    block = deinterleave(Frame(0, 0, 0, pcm), start, selected)
    assert (block.start, block.end) == (start, start + len(sound))
    for number in range(sound.shape[1]):
        one = block.channel(number, STREAM)
        assert (one is not None) == (number in selected)
        if one is None:
            continue
        assert (one.start, one.end) == (block.start, block.end)
        assert one.samples.dtype == np.float32
        np.testing.assert_array_equal(one.samples * 32768, sound[:, number])


@given(recordings())
def test_pcm_is_encoded_as_decoded(recording):
    sound, _ = recording
    decoded = decode_pcm(sound.tobytes(), sound.shape[1])
    assert encode_pcm(decoded.T) == sound.tobytes()


def test_channel_is_a_contiguous_view():
    sound = np.arange(12, dtype="<i2").reshape(4, 3)
    block = deinterleave(Frame(0, 0, 0, sound.tobytes()), 0, (0, 1, 4))
    one = block.channel(4, STREAM)
    assert one is not None
    assert np.shares_memory(one.samples, block.samples)
    assert one.samples.flags.c_contiguous


def test_no_selected_channel_gives_no_samples():
    assert select_channels(bytes(12), 3, ()) == b""
