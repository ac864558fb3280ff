"""Evidence over the longer time scales: blocks, running means, pauses, restarts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asd_monitor.alarm.alarm_score import AlarmScore
from asd_monitor.alarm.block_means import BlockDivision, BlockMean, limited_mean
from asd_monitor.alarm.running_means import MAX_BLOCKS, RESOLUTION, RunningMeans
from asd_monitor.alarm.scale_tail import ScaleTail
from asd_monitor.alarm.state import AlarmRule
from asd_monitor.alarm.time_scales import TIME_SCALES
from asd_monitor.records import Thresholds

RATE_HZ = 100
HOP_S, HOP = 0.5, 50
SIZE = 20  # windows in a block
BLOCK = SIZE * HOP
SCALES_S = (30.0, 600.0)
TAILS = tuple(ScaleTail(scale.seconds, 0.0, 0.35, 12.0) for scale in TIME_SCALES)
RULE = AlarmRule(Thresholds(3.94, 5.42), HOP_S, 2.0, TAILS)


def means_of(history: Sequence[BlockMean], now: int) -> list[float | None]:
    """Return the running means by the definition, from the whole history."""
    means: list[float | None] = []
    for seconds in SCALES_S:
        longest = round(seconds / 10.0)
        recent = [each for each in history if each.begin >= now - 2 * seconds * RATE_HZ]
        newest = [each.mean for each in recent[-longest:]]
        usable = 2 * len(newest) >= longest
        means.append(sum(newest) / len(newest) if usable else None)
    return means


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from([0, 0, 0, 0, 1, 3, 40, 400]), st.integers(-(2**20), 2**24)),
        max_size=200,
    ),
    st.sampled_from([0, 1, 5, 100]),
)
def test_the_running_means_are_those_of_the_whole_history(
    blocks: list[tuple[int, int]], pause: int
) -> None:
    running = RunningMeans(SCALES_S, 10.0, RATE_HZ)
    history: list[BlockMean] = []
    begin = 0
    for paused, units in blocks:
        begin += paused * BLOCK
        history.append(BlockMean(begin, units * RESOLUTION))
        running.append(history[-1])
        begin += BLOCK
        assert running.means(begin) == means_of(history, begin)
    assert running.means(begin + pause * BLOCK) == means_of(history, begin + pause * BLOCK)


def test_the_blocks_that_are_kept_are_those_of_a_day() -> None:
    running = RunningMeans([scale.seconds for scale in TIME_SCALES], 10.0, RATE_HZ)
    for number in range(MAX_BLOCKS + 300):
        running.append(BlockMean(number * BLOCK, 0.25 * (number % 8)))
    assert running.blocks == [
        BlockMean(number * BLOCK, 0.25 * (number % 8)) for number in range(300, MAX_BLOCKS + 300)
    ]
    assert running.means((MAX_BLOCKS + 300) * BLOCK)[-1] == 0.875


def test_nothing_drifts() -> None:
    rng = np.random.default_rng(2)
    running = RunningMeans([600.0], 10.0, RATE_HZ)
    for number in range(20_000):
        running.append(BlockMean(number * BLOCK, float(rng.normal(0, 1000.0))))
    for number in range(20_000, 20_060):
        running.append(BlockMean(number * BLOCK, 0.125))
    assert running.means(20_060 * BLOCK) == [0.125]


def blocks_of(evidence: Sequence[float | None], strides: Sequence[int]) -> list[BlockMean]:
    """Return the blocks of hops with this evidence, None is lost; windows have several hops.

    A window covers consecutive hops of equal evidence, of as many as the next stride permits.
    """
    division = BlockDivision(HOP_S, RATE_HZ)
    blocks: list[BlockMean] = []
    at = turn = 0
    while at < len(evidence):
        stride = strides[turn % len(strides)]
        turn += 1
        equal = 1
        while (
            equal < stride and at + equal < len(evidence) and evidence[at + equal] == evidence[at]
        ):
            equal += 1
        value = evidence[at]
        at += equal
        if value is None:
            blocks += division.push_missing(equal, at * HOP)
        else:
            blocks += division.push(value, at * HOP, equal)
    return blocks


RUNS = st.lists(
    st.tuples(st.one_of(st.none(), st.floats(-5.0, 50.0)), st.integers(1, 45)), max_size=12
)


@given(RUNS, st.lists(st.integers(1, 60), min_size=1, max_size=10))
def test_the_blocks_do_not_depend_on_the_division_into_windows(
    runs: list[tuple[float | None, int]], strides: list[int]
) -> None:
    evidence = [value for value, count in runs for _ in range(count)]
    found = blocks_of(evidence, strides)
    assert found == blocks_of(evidence, [1])
    whole = [evidence[at : at + SIZE] for at in range(0, len(evidence) - SIZE + 1, SIZE)]
    evaluated = [[value for value in block if value is not None] for block in whole]
    assert found == [
        BlockMean(number * BLOCK, limited_mean(block, SIZE))
        for number, block in enumerate(evaluated)
        if 2 * len(block) >= SIZE
    ]


@given(st.lists(st.floats(-5.0, 50.0), min_size=10, max_size=20), st.integers(0, 19), st.data())
def test_the_mean_of_a_block_rises_with_its_evidence(
    evidence: list[float], which: int, data: st.DataObject
) -> None:
    higher = evidence.copy()
    higher[which % len(evidence)] += data.draw(st.floats(0.0, 100.0))
    assert limited_mean(higher, SIZE) >= limited_mean(evidence, SIZE) - 1e-9


def test_the_mean_of_normal_evidence_is_hardly_limited_and_that_of_a_fault_not_at_all() -> None:
    normal = np.random.default_rng(3).standard_normal((2000, SIZE))
    limited = np.mean([limited_mean(block.tolist(), SIZE) for block in normal])
    assert limited == pytest.approx(normal.mean(), abs=0.01)
    assert limited_mean([40.0] * SIZE, SIZE) == 40.0


def test_an_impact_in_half_a_block_is_limited() -> None:
    """Six of ten hops, as where every third window is scored and the first half is lost."""
    assert limited_mean([0.0] * 4 + [1e4] * 6, SIZE) == pytest.approx(1.8)


@dataclass
class Player:
    """An alarm score, and the windows that it was given."""

    score: AlarmScore
    end: int = 0

    def push(self, evidence: Sequence[float], stride: int = 1) -> list[float]:
        found = []
        for value in evidence:
            self.end += stride * HOP
            found.append(self.score.push(value, self.end, stride).score)
        return found


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32), st.integers(0, 300), st.sampled_from([1, 2, 3]), st.booleans())
def test_no_scale_alarms_from_one_impact(
    seed: int, before: int, stride: int, half_missing: bool
) -> None:
    """In normal sound, however high its evidence: five windows, with a stride nine hops at most."""
    windows = {1: 5, 2: 4, 3: 3}[stride]  # that contain it: see `max_stride`
    normal = np.random.default_rng(seed).normal(0.0, 0.7, 400).clip(-1.5, 1.5).tolist()
    player = Player(AlarmScore(RULE, RATE_HZ))
    scores = player.push(normal[:before], stride)
    if half_missing:
        player.end += 10 * HOP
        player.score.push_missing(10, player.end)
    scores += player.push([1e4] * windows, stride) + player.push(normal[before:], stride)
    assert max(scores) < RULE.thresholds.warning


def test_a_weak_persistent_change_is_found_by_a_longer_scale() -> None:
    spreads = (0.6, 0.4, 0.25, 0.2, 0.2)
    tails = tuple(
        ScaleTail(scale.seconds, 0.0, spread, 30.0)
        for scale, spread in zip(TIME_SCALES, spreads, strict=True)
    )
    rng = np.random.default_rng(4)
    player = Player(AlarmScore(replace(RULE, tails=tails), RATE_HZ))
    assert max(player.push(rng.normal(0.0, 0.8, 3600).tolist())) < RULE.thresholds.warning
    changed = player.push(rng.normal(1.7, 0.8, 3600).tolist())
    assert max(changed[:60]) < RULE.thresholds.alarm
    assert changed[-1] >= RULE.thresholds.alarm
    assert player.score.push(1.7, player.end + HOP).time_scale_s == 600.0


def test_the_alarm_score_names_its_time_scale() -> None:
    score = AlarmScore(RULE, RATE_HZ)
    readings = [score.push(2.0, (number + 1) * HOP) for number in range(2 * SIZE)]
    assert {reading.time_scale_s for reading in readings[:SIZE]} == {10.0}
    assert readings[-1].time_scale_s == 30.0  # the largest share, and as much evidence
    levels = {level.time_scale_s: level for level in score.levels(2 * BLOCK)}
    assert levels[30.0].mean == 2.0
    assert levels[600.0].mean is None
    assert 0.0 < levels[30.0].warning < levels[30.0].alarm


@pytest.mark.parametrize("loud", [20.0, 1e6])
def test_a_minute_of_loud_noise_does_not_hold_an_alarm(loud: float) -> None:
    player = Player(AlarmScore(RULE, RATE_HZ))
    player.push([0.0] * 720 * SIZE)
    assert player.push([loud] * 6 * SIZE)[-1] >= RULE.thresholds.alarm
    assert player.push([0.0] * 6 * SIZE)[-1] < RULE.thresholds.warning


@pytest.mark.parametrize(
    ("evidence", "score"), [(700.0, 5.42), (7.0, 5.42), (3.5, 5.42 / 4), (-1.0, 0.0)]
)
def test_evidence_up_to_the_bound_of_the_effect_raises_the_alarm_score_to_the_threshold(
    evidence: float, score: float
) -> None:
    wide = ScaleTail(10.0, 1000.0, 1.0, 5.0)
    rule = AlarmRule(RULE.thresholds, HOP_S, 2.0, (wide,), effect_bound=7.0)
    player = Player(AlarmScore(rule, RATE_HZ))
    assert player.push([evidence] * SIZE)[-1] == pytest.approx(score)


def test_the_bound_does_not_lower_the_alarm_score() -> None:
    rule = AlarmRule(RULE.thresholds, HOP_S, 2.0, TAILS, effect_bound=7.0)
    assert Player(AlarmScore(rule, RATE_HZ)).push([50.0] * SIZE)[-1] > 5.42


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32), st.integers(1, 150), st.integers(1, 150), st.integers(0, 30))
def test_after_a_restart_the_longer_scales_go_on(
    seed: int, before: int, after: int, away: int
) -> None:
    """As those of an alarm score that was not ended, after a pause as long."""
    blocks = np.random.default_rng(seed).normal(0.5, 1.0, before + after).round(2)
    evidence = [float(mean) for mean in blocks for _ in range(SIZE)]
    uninterrupted = Player(AlarmScore(RULE, RATE_HZ))
    uninterrupted.push(evidence[: before * SIZE])
    shift = uninterrupted.end + away * BLOCK  # of the new stream's first sample
    restored = [BlockMean(block.begin - shift, block.mean) for block in uninterrupted.score.blocks]
    restarted = Player(AlarmScore(RULE, RATE_HZ, restored))
    uninterrupted.end = shift
    uninterrupted.push(evidence[before * SIZE :])
    restarted.push(evidence[before * SIZE :])
    assert restarted.score.levels(restarted.end) == uninterrupted.score.levels(uninterrupted.end)
    assert [block.mean for block in restarted.score.blocks] == [
        block.mean for block in uninterrupted.score.blocks
    ]


def test_an_interruption_keeps_the_longer_scales_and_empties_the_span() -> None:
    player = Player(AlarmScore(RULE, RATE_HZ))
    player.push([1.0] * 61 * SIZE)
    before = player.score.levels(player.end)
    player.score.interrupt()
    assert not player.score.full
    assert player.score.levels(player.end) == before


def test_evidence_that_is_not_a_number_is_refused() -> None:
    with pytest.raises(ValueError, match="not a number"):
        AlarmScore(RULE, RATE_HZ).push(math.nan, HOP)
