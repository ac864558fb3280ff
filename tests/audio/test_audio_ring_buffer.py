"""The ring buffer: newest samples by absolute index, gaps kept, losses counted."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asd_monitor.audio.ring_buffer import RingBuffer
from asd_monitor.records import Block, Stream
from tests.doubles.blocks import block_at, stream_at

RATE_HZ = 1
STREAM = stream_at(RATE_HZ)


def block(start: int, count: int) -> Block:
    """Return a block whose samples are their indices."""
    return block_at(start, np.arange(start, start + count, dtype=np.float32), RATE_HZ)


def read(buffer: RingBuffer, position: int, max_samples: int = 99) -> Block:
    """Return the block read, which must exist."""
    found = buffer.read(position, max_samples)
    assert found is not None
    return found


def limits(found: Block) -> tuple[int, int]:
    return found.start, found.end


@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 25), st.integers(0, 40)), max_size=40),
    st.integers(1, 12),
)
def test_samples_are_read_as_written(steps, most):
    """Steps of (gap, samples written, samples read)."""
    buffer = RingBuffer(20, STREAM)
    index = position = written_count = read_count = 0
    for gap, count, wanted in steps:
        index += gap
        buffer.write(block(index, count))
        index += count
        written_count += count
        left = wanted
        while left > 0 and (found := buffer.read(position, min(most, left))):
            assert found.start >= position
            assert 0 < len(found.samples) <= most
            np.testing.assert_array_equal(found.samples, np.arange(found.start, found.end))
            position = found.end
            read_count += len(found.samples)
            left -= len(found.samples)
        assert 0 <= buffer.room(position) <= buffer.capacity
        assert buffer.end - buffer.start >= buffer.capacity - buffer.room(position)
    while found := buffer.read(position, most):
        position = found.end
        read_count += len(found.samples)
    assert read_count + buffer.overrun_samples == written_count


@given(st.lists(st.integers(1, 9), max_size=30))
def test_writer_that_checks_the_room_loses_nothing(counts):
    buffer = RingBuffer(10, STREAM)
    index = position = 0
    for count in counts:
        while buffer.room(position) < count:
            position = read(buffer, position, 4).end
        buffer.write(block(index, count))
        index += count
    assert buffer.overrun_samples == 0


def test_read_stops_at_a_gap_and_continues_after_it():
    buffer = RingBuffer(100, STREAM)
    buffer.write(block(0, 10))
    buffer.write(block(15, 10))
    assert limits(read(buffer, 5)) == (5, 10)
    assert limits(read(buffer, 10)) == (15, 25)
    assert buffer.read(25, 99) is None


def test_oldest_samples_are_overwritten():
    buffer = RingBuffer(10, STREAM)
    buffer.write(block(0, 25))
    assert (buffer.start, buffer.end) == (15, 25)
    assert read(buffer, 0).start == 15
    assert buffer.overrun_samples == 15


def test_read_returns_a_copy():
    buffer = RingBuffer(4, STREAM)
    buffer.write(block(0, 4))
    found = read(buffer, 0)
    buffer.write(block(4, 4))
    np.testing.assert_array_equal(found.samples, [0, 1, 2, 3])


def test_overlapping_block_is_refused():
    buffer = RingBuffer(4, STREAM)
    buffer.write(block(4, 2))
    with pytest.raises(ValueError, match="overlaps"):
        buffer.write(block(5, 2))


def test_a_block_of_another_stream_is_refused():
    buffer = RingBuffer(4, STREAM)
    with pytest.raises(ValueError, match="another stream"):
        buffer.write(Block(Stream(RATE_HZ), 0, np.zeros(1, np.float32)))
    assert buffer.end == 0


def test_the_newest_samples_before_an_index_are_read_without_counting_as_read() -> None:
    stream = Stream(10)
    ring = RingBuffer(2.0, stream)  # 20 samples
    ring.write(Block(stream, 0, np.arange(5, dtype=np.float32)))
    ring.write(Block(stream, 8, np.arange(8, 18, dtype=np.float32)))
    for position, max_samples, expected in ((15, 4, range(11, 15)), (15, 99, range(8, 15))):
        found = ring.newest_before(position, max_samples)
        assert found is not None
        assert found.start == expected.start
        assert found.samples.tolist() == list(expected)
    before_gap = ring.newest_before(8, 3)
    assert before_gap is not None
    assert (before_gap.start, before_gap.end) == (2, 5)
    assert ring.newest_before(0, 3) is None
    ring.write(Block(stream, 18, np.zeros(20, np.float32)))
    assert ring.overrun_samples == 15
