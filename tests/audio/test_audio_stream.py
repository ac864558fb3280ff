"""The lifetime of a stream: every step in every state."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asd_monitor.audio.stream import (
    TRANSITIONS,
    StreamLifetime,
    StreamState,
    StreamStateError,
    StreamStep,
)

RATE_HZ = 16_000


def take(stream: StreamLifetime, step: StreamStep, now_s: float) -> None:
    match step:
        case StreamStep.OPEN:
            stream.open(RATE_HZ, now_s)
        case StreamStep.INTERRUPT:
            stream.interrupt(now_s)
        case StreamStep.CLOSE:
            stream.close(now_s)
        case StreamStep.RELEASE:
            stream.release(now_s)


def facts(stream: StreamLifetime) -> tuple[object, ...]:
    counts = stream.lost_samples, stream.gaps, stream.restarts
    return stream.state, stream.since_s, stream.identity, counts


@pytest.mark.parametrize(("state", "step"), list(product(StreamState, StreamStep)))
def test_a_step_is_that_of_the_table_or_raises_and_changes_nothing(
    state: StreamState, step: StreamStep
) -> None:
    stream = StreamLifetime()
    stream.state = state
    before = facts(stream)
    after = TRANSITIONS.get((state, step))
    if after is None:
        with pytest.raises(StreamStateError):
            take(stream, step, 5.0)
        assert facts(stream) == before
        return
    take(stream, step, 5.0)
    assert stream.state is after
    assert stream.since_s == (None if after is state else 5.0)


@pytest.mark.parametrize("state", StreamState)
def test_close_and_release_are_possible_in_every_state_and_more_than_once(
    state: StreamState,
) -> None:
    stream = StreamLifetime()
    stream.state = state
    for _ in range(2):
        stream.close(1.0)
    assert stream.is_ending
    for _ in range(2):
        stream.release(2.0)
        stream.close(3.0)
    assert stream.state is StreamState.CLOSED


def test_identity_and_counters_are_kept_across_interruptions() -> None:
    stream = StreamLifetime()
    first = stream.open(RATE_HZ, 0.0)
    stream.count(0, 100)
    stream.interrupt(1.0)
    assert stream.open(RATE_HZ, 2.0) is first
    stream.count(250, 300)
    stream.release(3.0)
    assert (stream.lost_samples, stream.gaps, stream.restarts) == (150, 1, 1)


def test_another_rate_is_refused_and_changes_nothing() -> None:
    stream = StreamLifetime()
    stream.open(RATE_HZ, 0.0)
    stream.interrupt(1.0)
    before = facts(stream)
    with pytest.raises(ValueError, match="8000 Hz instead of 16000 Hz"):
        stream.open(8000, 2.0)
    assert facts(stream) == before


@pytest.mark.parametrize("state", sorted(set(StreamState) - {StreamState.DELIVERING}))
def test_a_block_is_counted_only_while_the_stream_delivers(state: StreamState) -> None:
    stream = StreamLifetime()
    stream.state = state
    with pytest.raises(StreamStateError):
        stream.count(0, 10)


@given(st.lists(st.sampled_from(StreamStep), max_size=30))
def test_a_closed_stream_stays_closed(steps: list[StreamStep]) -> None:
    stream = StreamLifetime()
    for number, step in enumerate(steps):
        was_closed = stream.state is StreamState.CLOSED
        try:
            take(stream, step, float(number))
        except StreamStateError:
            continue
        assert not was_closed or stream.state is StreamState.CLOSED
