"""Messages of sound sharing: each is decoded as it was encoded, anything else is refused."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

from asd_monitor.audio.sharing.protocol import (
    SharedStream,
    SharingRefusedError,
    decode_block,
    decode_request,
    decode_response,
    encode_block,
    encode_refusal,
    encode_request,
    encode_response,
)
from asd_monitor.audio.source import Opened
from asd_monitor.audio.wire import StreamParser, WireError, decode_line
from tests.doubles.blocks import block_at, described, stream_at


@given(st_numpy.arrays(np.int16, st.integers(0, 50)), st.integers(0, 2**60))
def test_int16_block_is_decoded_exactly(pcm, start):
    block = block_at(start, pcm.astype(np.float32) / 32768)
    (frame,) = StreamParser().feed(b"{}\n" + encode_block(block, sequence=1, time_ns=2))
    assert decode_block(frame, block.stream).start == start
    np.testing.assert_array_equal(decode_block(frame, block.stream).samples, block.samples)


def test_samples_beyond_full_scale_are_clipped():
    block = block_at(0, np.array([2.0, -2.0], np.float32))
    (frame,) = StreamParser().feed(b"{}\n" + encode_block(block, sequence=0, time_ns=0))
    np.testing.assert_array_equal(
        decode_block(frame, block.stream).samples * 32768, [32767, -32768]
    )


def test_request_names_a_device_or_a_machine():
    assert decode_request(encode_request(device="hw:1")) == ("hw:1", None)
    assert decode_request(encode_request(machine="fan01")) == (None, "fan01")
    with pytest.raises(ValueError, match="either"):
        encode_request()


@pytest.mark.parametrize(
    "line", [b"{}", b'{"device": 1}', b'{"device": "a", "machine": "b"}', b"nope"]
)
def test_malformed_request_is_refused(line):
    with pytest.raises(WireError):
        decode_request(line)


def test_response_is_decoded_as_encoded():
    stream = SharedStream(Opened(stream_at(16000), 2, "USB: Audio (hw:1,0)"), "hw:1", 1)
    decoded = decode_response(decode_line(encode_response(stream)))
    assert described(decoded.opened) == described(stream.opened)
    assert (decoded.device, decoded.channel) == ("hw:1", 1)
    with pytest.raises(SharingRefusedError, match="no such machine"):
        decode_response(decode_line(encode_refusal("no such machine")))


@pytest.mark.parametrize("response", [{}, {"rate_hz": "x"}, {"rate_hz": -1}])
def test_malformed_response_is_refused(response):
    with pytest.raises(WireError, match="rate_hz"):
        decode_response(response)
