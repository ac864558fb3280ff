"""The ring buffer: newest samples by absolute index, gaps kept, losses counted."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asd_monitor.audio.ring_buffer import RingBuffer
from asd_monitor.records import Block


def block(start: int, count: int) -> Block:
    return Block(start, np.arange(start, start + count, dtype=np.float32))


@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 25), st.integers(0, 40)), max_size=40),
    st.integers(1, 12),
)
def test_samples_are_read_as_written(steps, most):
    """Steps of (gap, samples written, samples read)."""
    buffer = RingBuffer(20, 1)
    index = position = written = read = 0
    for gap, count, wanted in steps:
        index += gap
        buffer.write(block(index, count))
        index += count
        written += count
        left = wanted
        while left > 0 and (got := buffer.read(position, min(most, left))):
            assert got.start >= position
            assert 0 < len(got.samples) <= most
            np.testing.assert_array_equal(got.samples, np.arange(got.start, got.end))
            position = got.end
            read += len(got.samples)
            left -= len(got.samples)
        assert 0 <= buffer.room(position) <= buffer.capacity
        assert buffer.end - buffer.start >= buffer.capacity - buffer.room(position)
    while got := buffer.read(position, most):
        position = got.end
        read += len(got.samples)
    assert read + buffer.overrun_samples == written


@given(st.lists(st.integers(1, 9), max_size=30))
def test_writer_that_checks_the_room_loses_nothing(counts):
    buffer = RingBuffer(10, 1)
    index = position = 0
    for count in counts:
        while buffer.room(position) < count:
            position = buffer.read(position, 4).end
        buffer.write(block(index, count))
        index += count
    assert buffer.overrun_samples == 0


def test_read_stops_at_a_gap_and_continues_after_it():
    buffer = RingBuffer(100, 1)
    buffer.write(block(0, 10))
    buffer.write(block(15, 10))
    assert (buffer.read(5, 99).start, buffer.read(5, 99).end) == (5, 10)
    assert (buffer.read(10, 99).start, buffer.read(10, 99).end) == (15, 25)
    assert buffer.read(25, 99) is None


def test_oldest_samples_are_overwritten():
    buffer = RingBuffer(10, 1)
    buffer.write(block(0, 25))
    assert (buffer.start, buffer.end) == (15, 25)
    assert buffer.read(0, 99).start == 15
    assert buffer.overrun_samples == 15


def test_read_returns_a_copy():
    buffer = RingBuffer(4, 1)
    buffer.write(block(0, 4))
    got = buffer.read(0, 4)
    buffer.write(block(4, 4))
    np.testing.assert_array_equal(got.samples, [0, 1, 2, 3])


def test_overlapping_block_is_refused():
    buffer = RingBuffer(4, 1)
    buffer.write(block(4, 2))
    with pytest.raises(ValueError, match="overlaps"):
        buffer.write(block(5, 2))
