"""The loudest level of an operating mode in training."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asd_monitor.detector.loudness import TrainingLevels
from asd_monitor.detector.spans import Spans

PER_BLOCK = 20


def loudest_of(*blocks: list[float], trend: float = 0.0) -> float:
    """Return the loudest level of blocks whose windows have these levels, and a trend in dB."""
    steady = np.concatenate([np.array(block) for block in blocks])
    number = np.repeat(np.arange(len(blocks)), [len(block) for block in blocks])
    drift = np.linspace(-trend / 2, trend / 2, len(steady))
    levels = TrainingLevels(steady + drift, steady)
    return levels.loudest(np.arange(len(steady)), number)


def test_it_is_as_far_above_the_loudest_block_as_that_above_the_median() -> None:
    assert loudest_of([-40.0] * 20, [-35.0] * 20, [-38.0] * 20) == -32.0
    assert loudest_of([-40.0] * 20, [-40.0] * 20) == -40.0


@given(st.integers(1, 9), st.floats(0, 60))
def test_impacts_do_not_raise_it(count: int, by_db: float) -> None:
    with_impacts = [-40.0 + by_db] * count + [-40.0] * (PER_BLOCK - count)
    assert loudest_of([-40.0] * PER_BLOCK, with_impacts) == -40.0


def test_a_block_of_few_windows_does_not_count() -> None:
    assert loudest_of([-40.0] * 20, [-20.0] * 9, [-40.0] * 20) == -40.0
    assert loudest_of([-40.0] * 20, [-20.0] * 10, [-40.0] * 20) == 0.0


def test_sound_that_became_quieter_is_not_measured_by_its_beginning() -> None:
    blocks = [[-40.0] * PER_BLOCK] * 6
    assert loudest_of(*blocks, trend=-6.0) == -40.0


def test_sound_that_became_louder_stays_as_loud_as_at_its_end() -> None:
    blocks = [[-40.0] * PER_BLOCK] * 6
    assert loudest_of(*blocks, trend=6.0) == pytest.approx(-37.5, abs=0.1)


def test_windows_of_other_modes_are_left_out() -> None:
    steady = np.repeat([-40.0, -20.0, -41.0], PER_BLOCK)
    levels = TrainingLevels(steady, steady)
    number = np.repeat(np.arange(3), PER_BLOCK)
    assert levels.loudest(np.flatnonzero(steady < -30), number) == -39.5


def test_a_block_of_windows_that_do_not_overlap_counts_like_one_of_windows_that_do() -> None:
    steady = np.concatenate([np.full(40, -40.0), np.full(5, -30.0)])
    block = np.repeat([0, 1, 2], [20, 20, 5])
    own = np.arange(45)
    samples = np.repeat([8_192, 32_768], [40, 5])
    assert TrainingLevels(steady, steady, samples).loudest(own, block) == -20.0
    half_filled = np.repeat([8_192, 8_192], [40, 5])
    assert TrainingLevels(steady, steady, half_filled).loudest(own, block) == -40.0


def test_a_window_stands_for_the_sound_up_to_the_next_one() -> None:
    spans = Spans(
        np.array([0, 0, 0, 1, 1, 2]),
        np.array([0, 10, 20, 0, 100, 5]),
        np.array([40, 50, 60, 40, 140, 45]),
    )
    assert spans.own_samples().tolist() == [10, 10, 10, 40, 40, 40]
