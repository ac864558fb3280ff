"""Level statistics of a recording do not depend on its division into chunks."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asd_monitor.audio.files.levels import (
    FLOOR_DBFS,
    LevelAccumulator,
    LevelDefect,
    LevelSummary,
    dbfs,
    level_defects,
)

RATE = 1000


def measure(samples, sizes=()) -> LevelSummary:
    levels = LevelAccumulator(RATE)
    for piece in np.split(np.asarray(samples, np.float32), np.cumsum(sizes)):
        levels.push(piece)
    return levels.summary()


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.sampled_from([0.0, 0.5, -1.0]), min_size=1, max_size=60),
    st.lists(st.integers(0, 900), max_size=6),
)
def test_levels_do_not_depend_on_the_chunks(values, sizes):
    sound = np.repeat(values, 50)
    while sum(sizes) > len(sound):
        sizes = sizes[1:]
    assert measure(sound, sizes) == measure(sound)


def test_levels_of_a_sine():
    loud = np.sin(2 * np.pi * 100 * np.arange(RATE) / RATE)
    summary = measure(np.concatenate((loud * 0.1, loud * 0.5)))
    assert summary.peak_dbfs == pytest.approx(-6.0, abs=0.3)
    assert summary.quietest_second_dbfs == pytest.approx(-23.0, abs=0.1)
    assert summary.loudest_second_dbfs == pytest.approx(-9.0, abs=0.1)
    assert abs(summary.offset) < 1e-6
    assert not summary.is_clipping
    assert level_defects(summary) == {}


@pytest.mark.parametrize("seconds", [0.3, 4.0])
@pytest.mark.parametrize("offset", [0.01, -0.1, 0.3])
def test_an_offset_changes_only_the_offset(offset: float, seconds: float) -> None:
    sound = np.random.default_rng(1).normal(0.0, 1e-4, round(seconds * RATE))
    with_offset, without = measure(sound + offset), measure(sound)
    assert with_offset.offset == pytest.approx(offset, abs=1e-4)
    assert with_offset.is_quiet
    assert without.is_quiet
    assert replace(with_offset, offset=without.offset) == without


def test_drift_of_the_offset_is_no_level() -> None:
    sound = np.random.default_rng(1).normal(0.0, 1e-4, 10 * RATE)
    summary = measure(sound + 0.1 * np.sin(2 * np.pi * np.arange(len(sound)) / RATE / 60))
    assert summary.rms_dbfs == pytest.approx(-80.0, abs=0.2)
    assert summary.loudest_second_dbfs < -79


def test_sound_that_an_offset_drives_to_full_scale_is_clipping() -> None:
    sound = 0.1 * np.sin(2 * np.pi * 100 * np.arange(RATE) / RATE)
    summary = measure(np.minimum(sound + 0.95, 1.0))
    assert summary.is_clipping
    assert summary.peak_dbfs < -15


def test_digital_silence_is_dead_at_the_floor():
    summary = measure(np.zeros(3 * RATE))
    assert summary.rms_dbfs == FLOOR_DBFS
    assert summary.longest_constant_s == 3.0
    (message,) = level_defects(summary).values()
    assert "muted" in message


def test_constant_value_is_dead():
    assert measure(np.full(3 * RATE, 0.3)).is_dead
    assert not measure(np.tile([0.3, 0.4], RATE)).is_dead


def test_clipping_and_low_level_are_reported():
    clipped = level_defects(measure([1.0, -1.0, 0.0]))
    assert "clipping: 2 samples" in clipped[LevelDefect.CLIPPING]
    quiet = level_defects(measure(np.tile([1e-5, 2e-5], RATE)))
    assert "low level" in quiet[LevelDefect.QUIET]


def test_no_samples():
    assert measure([]).rms_dbfs == FLOOR_DBFS
    assert dbfs(0.0) == FLOOR_DBFS
