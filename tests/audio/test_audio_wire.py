"""Format between processes: the frames do not depend on how the bytes are split."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asd_monitor.audio.wire import (
    MAX_LINE_BYTES,
    Frame,
    StreamParser,
    WireError,
    decode_line,
    encode_frame,
    encode_line,
)

FRAMES = st.lists(
    st.builds(
        Frame,
        sequence=st.integers(0, 2**32 - 1),
        position=st.integers(0, 2**64 - 1),
        time_ns=st.integers(0, 2**64 - 1),
        pcm=st.binary(max_size=40).map(lambda data: data[: len(data) // 2 * 2]),
        flags=st.integers(0, 2**16 - 1),
    ),
    max_size=8,
)


@given(FRAMES, st.lists(st.integers(0, 400), max_size=10))
def test_any_split_gives_the_same_frames(frames, cuts):
    data = encode_line({"rate_hz": 16000}) + b"".join(map(encode_frame, frames))
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    parser = StreamParser()
    parsed = []
    for first, past in itertools.pairwise(edges):
        parsed += parser.feed(data[first:past])
    assert parsed == frames
    assert parser.line == {"rate_hz": 16000}


def test_frames_are_parsed_byte_by_byte():
    frame = Frame(1, 2, 3, b"\x01\x00\xff\xff")
    parser = StreamParser()
    data = encode_line({}) + encode_frame(frame) * 2
    parsed = [each for byte in data for each in parser.feed(bytes([byte]))]
    assert parsed == [frame, frame]
    assert frame.samples == 2


@given(st.binary(max_size=200))
def test_other_data_are_refused_or_incomplete(data):
    parser = StreamParser()
    try:
        parser.feed(b"{}\n" + data)
    except WireError:
        return
    assert len(data) < 30 or data[:2] == b"AS"


@pytest.mark.parametrize("line", [b"", b"[]", b"nope", b"\xff", b"1"])
def test_line_that_is_no_json_object_is_refused(line):
    with pytest.raises(WireError):
        decode_line(line)


def test_endless_line_is_refused():
    with pytest.raises(WireError):
        StreamParser().feed(b"x" * (MAX_LINE_BYTES + 1))


def test_excessive_length_is_refused_before_the_samples_arrive():
    huge = encode_frame(Frame(0, 0, 0, b""))[:8] + b"\xff\xff\xff\xff" + bytes(16)
    with pytest.raises(WireError):
        StreamParser().feed(b"{}\n" + huge)
