"""The blocks that the profile of the training sound is fitted to."""

from __future__ import annotations

import numpy as np
import pytest

from asd_monitor.explanation.sound_profile import BLOCK_S, MAX_BLOCKS
from asd_monitor.model_training.profile_blocks import ProfileBlocks
from asd_monitor.records import Block, Stream

RATE_HZ = 8_000


def pushed(
    blocks: ProfileBlocks, seconds: float, rate_hz: int = RATE_HZ, piece: int = 4_000
) -> None:
    """Push a segment of noise in pieces."""
    sound = np.random.default_rng(0).standard_normal(round(seconds * rate_hz)).astype(np.float32)
    stream = Stream(rate_hz)
    for start in range(0, len(sound), piece):
        blocks.push(Block(stream, start, sound[start : start + piece]))
    blocks.end_segment()


def test_a_minute_gives_blocks_that_overlap_by_half() -> None:
    blocks = ProfileBlocks(RATE_HZ, 60.0)
    pushed(blocks, 60.0)
    assert len(blocks.analyses) == 14


def test_long_sound_gives_a_bounded_number_of_blocks() -> None:
    blocks = ProfileBlocks(RATE_HZ, 600.0)
    pushed(blocks, 600.0)
    assert MAX_BLOCKS / 2 < len(blocks.analyses) <= MAX_BLOCKS


@pytest.mark.parametrize("piece", [1_000, 7_777, 1_000_000])
def test_the_division_of_the_stream_does_not_matter(piece: int) -> None:
    whole, divided = ProfileBlocks(RATE_HZ, 30.0), ProfileBlocks(RATE_HZ, 30.0)
    pushed(whole, 30.0)
    pushed(divided, 30.0, piece=piece)
    assert [each.level[0] for each in divided.analyses] == [
        each.level[0] for each in whole.analyses
    ]


def test_short_recordings_are_one_block_each() -> None:
    blocks = ProfileBlocks(RATE_HZ, 40.0)
    for _ in range(8):
        pushed(blocks, 5.0)
    assert len(blocks.analyses) == 8
    assert all(each.seconds == pytest.approx(5.0) for each in blocks.analyses)


def test_no_block_spans_a_gap() -> None:
    blocks = ProfileBlocks(RATE_HZ, 24.0)
    pushed(blocks, BLOCK_S - 1.0)
    pushed(blocks, BLOCK_S + 1.0)
    assert [round(each.seconds) for each in blocks.analyses] == [7, 8]


def test_sound_of_another_rate_is_converted() -> None:
    blocks = ProfileBlocks(RATE_HZ, 20.0)
    pushed(blocks, 20.0, rate_hz=44_100)
    assert {each.layout.rate_hz for each in blocks.analyses} == {RATE_HZ}
    assert blocks.profile() is not None


def test_too_little_sound_has_no_profile() -> None:
    blocks = ProfileBlocks(RATE_HZ, 1.0)
    pushed(blocks, 1.0)
    assert blocks.profile() is None
