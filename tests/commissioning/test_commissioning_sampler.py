"""Which blocks of live sound are kept: bounded, spread, reproducible."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asd_monitor.commissioning.blocks import BLOCK_S, LiveBlock, Stratum
from asd_monitor.commissioning.redundancy import BlockEntry, most_redundant
from asd_monitor.commissioning.sampler import (
    CONFIRMED_S,
    MAX_BLOCKS_PER_HOUR,
    RARE_BLOCKS,
    BlockSampler,
    stretch_s,
)
from asd_monitor.features.windows import Window
from asd_monitor.monitor import Reading
from asd_monitor.records import MachineState, MicrophoneState, WindowScore
from tests.doubles.level_detector import LevelDetector

RATE_HZ = 16_000
DETECTOR = LevelDetector()
HOP, LENGTH = 8192, 31744
BEGUN_S = 1.7e9


def sampler(seed: str = "fan", **options: Any) -> BlockSampler:
    return BlockSampler(DETECTOR, RATE_HZ, seed=seed, **options)


def play(
    target: BlockSampler,
    seconds: float,
    *,
    first: int = 0,
    level: Any = lambda at_s: -30.0,
    idle: Any = lambda at_s: False,
    quiet: bool = False,
    alarm: Any = None,
    may_be_changed: Any = lambda at_s: False,
    has_dropouts: Any = lambda at_s: False,
    stride: int = 1,
) -> int:
    """Push windows for so many seconds; return the sample index after them."""
    start = first
    while start < first + seconds * RATE_HZ:
        at_s = start / RATE_HZ
        features = {
            "level": np.array([level(at_s)], np.float32),
            "spectrum": np.full(3, at_s % 100, np.float32),
        }
        window = Window(start, start + LENGTH, features, stride)
        score = WindowScore(
            start, start + LENGTH, 1.0, 2.0, 0.5, {}, level(at_s), idle(at_s), stride, quiet
        )
        state = MachineState.IDLE if idle(at_s) else MachineState.NORMAL
        reading = Reading(
            start + LENGTH,
            score,
            0.5,
            10.0,
            state,
            MicrophoneState.DEGRADED,  # clipping, or louder sound
            alarm,
            (),
            may_be_changed=may_be_changed(at_s),
        )
        readings = [None if has_dropouts(at_s) else reading]
        target.push([window], readings, lambda sample: BEGUN_S + sample / RATE_HZ)
        start += HOP * stride
    return start


def kept(target: BlockSampler) -> list[LiveBlock]:
    return target.take()


def test_a_block_has_non_overlapping_windows_and_the_level_of_all():
    target = sampler()
    play(target, 130)
    block = kept(target)[0]
    assert len(block.vectors) == 5
    assert np.diff(block.starts_s).min() >= LENGTH / RATE_HZ
    assert block.level_dbfs == pytest.approx(-30)
    layout = target.layout
    assert layout is not None
    windows = block.windows(layout, RATE_HZ, LENGTH)
    assert [w.rms_dbfs for w in windows] == [-30.0] * 5
    expected = (block.time_s - BEGUN_S + block.starts_s) % 100
    assert [w.features["spectrum"][2] for w in windows] == pytest.approx(expected, abs=0.05)
    assert windows[0].start == 0
    assert windows[1].end - windows[1].start == LENGTH


def test_the_same_seed_keeps_the_same_blocks_and_another_one_others():
    def times(seed: str) -> list[float]:
        target = sampler(seed)
        play(target, 3600)
        return [block.time_s for block in kept(target)]

    assert times("a") == times("a")
    assert times("a") != times("b")


def test_blocks_are_spread_over_the_first_hour_and_rarer_afterwards():
    target = sampler()
    play(target, 7200 + CONFIRMED_S)
    blocks = kept(target)
    first_hour, second_hour = (
        [block for block in blocks if begin <= block.age_s < begin + 3600] for begin in (0, 3600)
    )
    assert 100 <= len(first_hour) <= 125
    assert 12 <= len(second_hour) <= 12 + RARE_BLOCKS
    assert max(np.diff([block.time_s for block in first_hour])) <= 2 * stretch_s(0) + 20


def test_a_rare_operating_condition_is_kept_beyond_the_turn():
    target = sampler(age_s=30 * 86400.0)
    play(target, 1200, level=lambda at_s: -10.0 if 600 <= at_s < 640 else -30.0)
    levels = [round(block.level_dbfs) for block in kept(target)]
    assert -10 in levels
    assert len(levels) <= 3 * RARE_BLOCKS


def test_a_first_window_of_a_rare_level_does_not_make_its_block_rare():
    target = sampler()
    after = play(target, 3600)
    kept(target)
    play(target, 3600, first=after, level=lambda at_s: -27.5 if at_s % 9 < 1 else -30.5)
    assert len(kept(target)) <= 12 + 2 * RARE_BLOCKS


def test_idle_sound_is_not_kept_but_counts_as_time():
    target = sampler()
    play(target, 600, idle=lambda at_s: True)
    assert target.take() == []
    assert target.age_s == pytest.approx(600, abs=1)


def test_sound_far_quieter_than_in_training_is_not_kept():
    target = sampler()
    play(target, 600, quiet=True)
    assert target.take() == []


def test_a_block_with_a_pause_in_it_is_not_kept():
    target = sampler()
    play(target, 100, idle=lambda at_s: at_s % 10 > 7)
    assert target.take() == []


def test_sound_of_a_microphone_that_may_be_changed_is_not_kept_nor_what_was_before_it():
    """A cover is recognised some seconds after it began."""
    target = sampler()
    after = play(target, 1200, may_be_changed=lambda at_s: 300 <= at_s < 900)
    assert target.age_s == pytest.approx(1200, abs=1)
    play(target, CONFIRMED_S, first=after)
    times = [block.time_s - BEGUN_S for block in kept(target)]
    assert any(at < 280 for at in times)
    assert any(at > 900 for at in times)
    assert not any(at + BLOCK_S > 300 - CONFIRMED_S and at < 900 for at in times)


def test_what_was_before_a_suspicion_is_not_kept_at_the_end():
    target = sampler()
    play(target, 58, may_be_changed=lambda at_s: at_s >= 53)
    target.end()
    blocks = kept(target)
    assert blocks
    assert all(each.time_s - BEGUN_S + BLOCK_S <= 55 - CONFIRMED_S for each in blocks)


def test_dropouts_discard_only_the_block_that_they_are_in():
    target = sampler()
    play(target, 900, has_dropouts=lambda at_s: at_s % 30 < 2)
    blocks = kept(target)
    assert len(blocks) >= 15
    assert target.age_s == pytest.approx(900, abs=1)
    for block in blocks:
        starts_s = block.time_s - BEGUN_S + block.starts_s
        assert (starts_s % 30 >= 2).all()


def test_a_block_is_taken_once_nothing_is_to_be_recognised_in_it():
    target = sampler()
    after = play(target, 40)
    pending = target.pending
    assert pending > len(kept(target))
    target.discard_unconfirmed()
    assert target.pending == 0
    play(target, 40, first=after)
    target.end()
    assert kept(target)
    assert target.pending == 0


def test_no_block_spans_a_gap():
    target = sampler()
    first = 0
    for _ in range(20):
        first = play(target, 7, first=first) + 5 * RATE_HZ
    blocks = target.take()
    assert blocks
    assert all(block.starts_s.max() < 7 for block in blocks)


def test_skipped_windows_count_as_evaluated():
    target = sampler()
    play(target, 60, stride=4)
    blocks = target.take()
    assert {len(block.vectors) for block in blocks} == {5}
    assert target.age_s == pytest.approx(60, abs=3)


@settings(max_examples=20)
@given(
    levels=st.lists(st.floats(-80, -5), min_size=1, max_size=8),
    seed=st.text(max_size=5),
    age_s=st.sampled_from([0.0, 3000.0, 86_000.0, 6e5, 3e6]),
)
def test_no_sound_makes_more_blocks_than_the_limit_of_an_hour(levels, seed, age_s):
    target = sampler(seed, age_s=age_s)
    play(target, 3600, level=lambda at_s: levels[int(at_s // 60) % len(levels)], stride=2)
    assert target.pending <= 2 * MAX_BLOCKS_PER_HOUR  # an hour of this test is in two of age
    blocks = kept(target)
    assert len({block.time_s for block in blocks}) == len(blocks)


@given(
    st.lists(
        st.tuples(st.floats(0, 1e6), st.integers(0, 3), st.integers(-3, 0), st.booleans()),
        max_size=60,
    ),
    st.integers(0, 70),
)
def test_the_most_redundant_blocks_are_dropped(rows, count):
    entries = [
        BlockEntry(number, time_s, Stratum(hour, band, alarm))
        for number, (time_s, hour, band, alarm) in enumerate(rows)
    ]
    dropped = most_redundant(entries, count)
    assert len(set(dropped)) == len(dropped) == min(count, len(entries))
    left = Counter(e.stratum for e in entries if e.number not in set(dropped))
    before = Counter(e.stratum for e in entries)
    for stratum, number in left.items():
        if number < before[stratum]:  # it was the fullest one when it lost its last block
            assert number + 1 >= max(left.values())
    if count < len(entries):
        assert not [s for s in before if s not in left and max(left.values()) > 1]


def test_of_one_condition_the_block_with_the_nearest_neighbours_is_dropped_and_ends_are_kept():
    condition = Stratum(3, -10, alarm_active=False)
    entries = [
        BlockEntry(number, time_s, condition)
        for number, time_s in enumerate([0.0, 100.0, 110.0, 130.0, 1000.0])
    ]
    assert most_redundant(entries, 2) == [2, 1]
