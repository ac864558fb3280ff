"""The sample clock: late frames are not lost, lost samples are counted and leave a gap."""

import itertools

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from asd_monitor.audio.capture.sample_clock import TOLERANCE_S, SampleClock

RATE = 16000
FRAME = 1600
TOLERANCE = TOLERANCE_S * RATE


def frames(count: int, *, ppm: float = 0.0):
    """Return the times in s at which a device has completed each frame."""
    return [(k + 1) * FRAME / RATE / (1 + ppm / 1e6) for k in range(count)]


def run(clock: SampleClock, times_s) -> list[tuple[int | None, int]]:
    """Push frames; return (start, number of the frame) of all released ones, in order."""
    numbers = itertools.count()
    placed = []
    for time_s in times_s:
        placed += [(start, next(numbers)) for start in clock.push(FRAME, round(time_s * 1e9))]
    return placed


def test_frames_on_time_are_gapless():
    placed = run(SampleClock(RATE), frames(50))
    assert [start for start, _ in placed] == [k * FRAME for k in range(50)]


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.integers(0, 200), st.floats(0, 9)), max_size=4),
    st.floats(-400, 400),
    st.data(),
)
def test_late_frames_leave_no_gap(stalls, ppm, data):
    """The reader stalls for up to 9 s and then receives everything."""
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
def test_loss_is_counted_at_its_position(at, lost_s, ppm):
    times = [t + (lost_s if k >= at else 0) for k, t in enumerate(frames(300, ppm=ppm))]
    clock = SampleClock(RATE)
    placed = run(clock, times)
    assert clock.gaps == 1
    assert clock.lost_samples == pytest.approx(lost_s * RATE + FRAME, abs=TOLERANCE)
    dropped = [frame for start, frame in placed if start is None]
    assert dropped == [at]  # it may lie across the loss
    kept = {frame: start for start, frame in placed if start is not None}
    assert kept[at - 1] == (at - 1) * FRAME
    assert kept[at + 1] == at * FRAME + clock.lost_samples
    assert [kept[k + 1] - kept[k] for k in range(at + 1, 299)] == [FRAME] * (298 - at)


def test_loss_after_a_burst_drops_the_frames_that_may_lie_on_either_side():
    """The reader stalls for 4 s, and the device's buffer keeps 0.5 s before it overruns."""
    before = frames(50)
    kept = [9.0] * 5
    after = [9.0 + (k + 1) * 0.1 for k in range(50)]
    clock = SampleClock(RATE)
    placed = run(clock, before + kept + after)
    assert clock.gaps == 1
    starts = {frame: start for start, frame in placed}
    assert all(starts[k] == k * FRAME for k in range(50))
    assert all(starts[k] is None for k in range(50, 54))
    first, start = next((k, at) for k in range(50, 105) if (at := starts[k]) is not None)
    assert first <= 56
    assert start - 50 * FRAME == clock.lost_samples
    assert starts[104] == pytest.approx((14.0 - 0.1) * RATE, abs=TOLERANCE)


@given(st.floats(-450, 450))
@example(-450.0)
@example(450.0)
@settings(max_examples=10, deadline=None)
def test_drift_is_measured_and_is_not_a_loss(ppm):
    clock = SampleClock(RATE)
    run(clock, frames(20000, ppm=ppm))
    assert clock.lost_samples == 0
    assert clock.drift_ppm == pytest.approx(ppm, abs=20)


def test_small_losses_accumulate_to_a_loss():
    """10 ms every 3 s exceed any drift."""
    times = [t + 0.01 * (k // 30) for k, t in enumerate(frames(3000))]
    clock = SampleClock(RATE)
    run(clock, times)
    assert clock.lost_samples >= 0.6 * RATE


def test_outage_counts_in_full():
    clock = SampleClock(RATE)
    run(clock, frames(10))
    clock.restart()
    (start,) = clock.push(FRAME, round(61.1e9))
    assert start == 61 * RATE
    assert clock.lost_samples == 60 * RATE
    assert clock.gaps == 1


def test_frame_from_before_a_restart_still_leaves_a_gap():
    clock = SampleClock(RATE)
    run(clock, frames(10))
    clock.restart()
    assert clock.push(FRAME, round(1.01e9)) == [FRAME * 10 + 1]
