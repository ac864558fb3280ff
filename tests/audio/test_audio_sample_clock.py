"""The sample clock: late is not lost, lost is counted and leaves a gap."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asd_monitor.audio.capture.sample_clock import TOLERANCE_S, SampleClock

RATE = 16000
FRAME = 1600
TOLERANCE = TOLERANCE_S * RATE


def frames(count: int, *, ppm: float = 0.0):
    """Times (s) at which a device has made each frame."""
    return [(k + 1) * FRAME / RATE / (1 + ppm / 1e6) for k in range(count)]


def run(clock: SampleClock, times_s) -> list[tuple[int | None, int]]:
    """Push frames; return (start, number of the frame) of all let go, in order."""
    let_go = itertools.count()
    placed = []
    for time_s in times_s:
        placed += [(start, next(let_go)) for start in clock.push(FRAME, round(time_s * 1e9))]
    return placed


def test_on_time_frames_join():
    placed = run(SampleClock(RATE), frames(50))
    assert [start for start, _ in placed] == [k * FRAME for k in range(50)]


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.integers(0, 200), st.floats(0, 9)), max_size=4),
    st.floats(-400, 400),
    st.data(),
)
def test_what_is_only_late_is_never_a_gap(stalls, ppm, data):
    """Whoever reads is held up now and then, up to 9 s, and gets all of it after."""
    times = frames(300, ppm=ppm)
    for at, seconds in stalls:
        until = times[at] + seconds
        times = [max(time, until) if k >= at else time for k, time in enumerate(times)]
    jitter = data.draw(st.lists(st.floats(0, 0.01), min_size=300, max_size=300))
    clock = SampleClock(RATE)
    placed = run(clock, [time + late for time, late in zip(times, jitter, strict=True)])
    starts = [start for start, _ in placed]
    assert starts == [k * FRAME for k in range(len(starts))]
    assert (clock.lost_samples, clock.gaps) == (0, 0)


@settings(max_examples=60)
@given(st.integers(20, 150), st.floats(0.06, 30), st.floats(-400, 400))
def test_what_is_lost_is_counted_where_it_was(at, lost_s, ppm):
    times = [t + (lost_s if k >= at else 0) for k, t in enumerate(frames(300, ppm=ppm))]
    clock = SampleClock(RATE)
    placed = run(clock, times)
    assert clock.gaps == 1
    assert clock.lost_samples == pytest.approx(lost_s * RATE + FRAME, abs=TOLERANCE)
    dropped = [frame for start, frame in placed if start is None]
    assert dropped == [at]  # what may lie across the loss
    kept = {frame: start for start, frame in placed if start is not None}
    assert kept[at - 1] == (at - 1) * FRAME
    assert kept[at + 1] == at * FRAME + clock.lost_samples
    assert [kept[k + 1] - kept[k] for k in range(at + 1, 299)] == [FRAME] * (298 - at)


def test_a_loss_after_a_burst_drops_what_may_lie_on_either_side():
    """The reader was held up for 4 s, the device kept its last 0.5 s before it overran."""
    before = frames(50)
    kept = [9.0] * 5
    after = [9.0 + (k + 1) * 0.1 for k in range(50)]
    clock = SampleClock(RATE)
    placed = run(clock, before + kept + after)
    assert clock.gaps == 1
    starts = {frame: start for start, frame in placed}
    assert all(starts[k] == k * FRAME for k in range(50))
    assert all(starts[k] is None for k in range(50, 54))
    first = next(k for k in range(50, 105) if starts[k] is not None)
    assert first <= 56
    assert starts[first] - 50 * FRAME == clock.lost_samples
    assert starts[104] == pytest.approx((14.0 - 0.1) * RATE, abs=TOLERANCE)


@given(st.floats(-450, 450))
@settings(max_examples=10, deadline=None)
def test_drift_is_known_after_a_while_and_is_no_loss(ppm):
    clock = SampleClock(RATE)
    run(clock, frames(20000, ppm=ppm))
    assert clock.lost_samples == 0
    assert clock.drift_ppm == pytest.approx(ppm, abs=20)


def test_small_losses_add_up_to_one():
    """10 ms every 3 s are no drift."""
    times = [t + 0.01 * (k // 30) for k, t in enumerate(frames(3000))]
    clock = SampleClock(RATE)
    run(clock, times)
    assert clock.lost_samples >= 0.6 * RATE


def test_an_outage_counts_in_full():
    clock = SampleClock(RATE)
    run(clock, frames(10))
    clock.reopened()
    (start,) = clock.push(FRAME, round(61.1e9))
    assert start == 61 * RATE
    assert clock.lost_samples == 60 * RATE
    assert clock.gaps == 1


def test_old_sound_after_a_reopening_leaves_a_gap_all_the_same():
    clock = SampleClock(RATE)
    run(clock, frames(10))
    clock.reopened()
    assert clock.push(FRAME, round(1.01e9)) == [FRAME * 10 + 1]
