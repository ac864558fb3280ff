"""Wall-clock time of a sample index."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asd_monitor.daemon.stream_clock import StreamClock, clock_synced

RATE_HZ = 16000
BLOCK = 1600


def test_time_is_undefined_before_the_first_sample():
    with pytest.raises(ValueError, match="no sample"):
        StreamClock(RATE_HZ).wall_s(0)


@given(delays=st.lists(st.floats(0, 5), min_size=1, max_size=50))
def test_late_bursts_do_not_shift_the_times(delays):
    """Delivery may be late, never early: times stay within the smallest delay so far."""
    clock = StreamClock(RATE_HZ)
    clock.update(BLOCK, monotonic_s=100.1, wall_s=1e9 + 0.1)
    now = 100.1
    for i, delay in enumerate(delays, start=2):
        now = max(now, 100 + i * 0.1 + delay)
        clock.update(i * BLOCK, monotonic_s=now, wall_s=1e9 + now - 100)
    assert clock.wall_s(0) == pytest.approx(1e9, abs=1e-3 * (now - 100) + 1e-6)


@pytest.mark.parametrize("ppm", [-400, 400])
def test_drift_of_a_sound_card_is_followed(ppm):
    clock = StreamClock(RATE_HZ)
    per_block = 0.1 * (1 + ppm / 1e6)
    for i in range(1, 36001):
        now = i * per_block
        clock.update(i * BLOCK, monotonic_s=now, wall_s=1e9 + now)
    assert clock.wall_s(36000 * BLOCK) == pytest.approx(1e9 + 36000 * per_block, abs=0.01)


def test_step_of_the_system_clock_shifts_the_times_but_not_the_samples():
    clock = StreamClock(RATE_HZ)
    clock.update(BLOCK, monotonic_s=10.1, wall_s=50.1)
    assert clock.wall_s(BLOCK) == pytest.approx(50.1)
    clock.update(2 * BLOCK, monotonic_s=10.2, wall_s=1_700_000_000.2)
    assert clock.wall_s(2 * BLOCK) == pytest.approx(1_700_000_000.2)
    assert clock.steps == 1


def test_recording_has_its_own_clock():
    clock = StreamClock(RATE_HZ, recording=True)
    clock.update(0, monotonic_s=10.0, wall_s=1000.0)
    clock.update(RATE_HZ * 3600, monotonic_s=11.0, wall_s=1001.0)
    assert clock.wall_s(RATE_HZ * 3600) == pytest.approx(1000 + 3600)


def test_synchronisation_of_the_system_clock_is_read():
    assert clock_synced() in (True, False)
