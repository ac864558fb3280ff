"""Requests, formats and lists of inputs survive the way between parent and capture child."""

import pytest

from asd_monitor.audio.capture.child_protocol import (
    CaptureRequest,
    PortAudioInput,
    StreamFormat,
    decode_inputs,
    encode_inputs,
)
from asd_monitor.audio.wire import WireError, decode_line


@pytest.mark.parametrize(
    "request_",
    [
        CaptureRequest(hw=(1, None)),
        CaptureRequest(hw=(1, 0), wanted=(0, 3), rate_hz=48000, channels=4),
        CaptureRequest(name="USB: Audio (hw:1,0)"),
    ],
)
def test_request_is_decoded_as_encoded(request_):
    assert CaptureRequest.decode(request_.encode()) == request_


def test_format_is_decoded_as_encoded():
    opened = StreamFormat(48000, 2, 32, (0, 1), "USB: Audio (hw:1,0)")
    assert StreamFormat.decode(decode_line(opened.encode())) == opened


@pytest.mark.parametrize("change", [{"rate_hz": "x"}, {"sent_channels": ["a"]}, {"name": None}])
def test_malformed_format_is_refused(change):
    line = {**StreamFormat(48000, 1, 1, (0,), "mic")._asdict(), **change}
    with pytest.raises(WireError, match="not a stream format"):
        StreamFormat.decode(line)


def test_inputs_are_decoded_as_encoded():
    inputs = [
        PortAudioInput("USB: Audio (hw:1,0)", 1, (44100, 48000)),
        PortAudioInput("pulse", 32, ()),
    ]
    assert decode_inputs(encode_inputs(inputs)) == inputs
    assert [each.hw for each in inputs] == [(1, 0), None]
    with pytest.raises(WireError, match="not a list"):
        decode_inputs(b"{}")
