"""The ring: newest samples by absolute index, gaps kept, losses counted."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asd_monitor.audio.ring import Ring
from asd_monitor.records import Block


def block(start: int, count: int) -> Block:
    return Block(start, np.arange(start, start + count, dtype=np.float32))


@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 25), st.integers(0, 40)), max_size=40),
    st.integers(1, 12),
)
def test_what_is_read_is_what_was_written(steps, most):
    """Steps of (gap, samples written, samples read)."""
    ring = Ring(20, 1)
    index = position = written = read = 0
    for gap, count, wanted in steps:
        index += gap
        ring.write(block(index, count))
        index += count
        written += count
        left = wanted
        while left > 0 and (got := ring.read(position, min(most, left))):
            assert got.start >= position
            assert 0 < len(got.samples) <= most
            np.testing.assert_array_equal(got.samples, np.arange(got.start, got.end))
            position = got.end
            read += len(got.samples)
            left -= len(got.samples)
        assert 0 <= ring.room(position) <= ring.capacity
        assert ring.end - ring.start >= ring.capacity - ring.room(position)
    while got := ring.read(position, most):
        position = got.end
        read += len(got.samples)
    assert read + ring.overrun_samples == written


@given(st.lists(st.integers(1, 9), max_size=30))
def test_a_writer_that_looks_at_the_room_loses_nothing(counts):
    ring = Ring(10, 1)
    index = position = 0
    for count in counts:
        while ring.room(position) < count:
            position = ring.read(position, 4).end
        ring.write(block(index, count))
        index += count
    assert ring.overrun_samples == 0


def test_a_read_stops_at_a_gap_and_goes_on_after_it():
    ring = Ring(100, 1)
    ring.write(block(0, 10))
    ring.write(block(15, 10))
    assert (ring.read(5, 99).start, ring.read(5, 99).end) == (5, 10)
    assert (ring.read(10, 99).start, ring.read(10, 99).end) == (15, 25)
    assert ring.read(25, 99) is None


def test_the_oldest_is_overwritten():
    ring = Ring(10, 1)
    ring.write(block(0, 25))
    assert (ring.start, ring.end) == (15, 25)
    assert ring.read(0, 99).start == 15
    assert ring.overrun_samples == 15


def test_what_was_read_is_a_copy():
    ring = Ring(4, 1)
    ring.write(block(0, 4))
    got = ring.read(0, 4)
    ring.write(block(4, 4))
    np.testing.assert_array_equal(got.samples, [0, 1, 2, 3])


def test_time_does_not_go_back():
    ring = Ring(4, 1)
    ring.write(block(4, 2))
    with pytest.raises(ValueError, match="overlaps"):
        ring.write(block(5, 2))
