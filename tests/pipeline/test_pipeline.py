"""The pipeline: scores do not depend on the division into blocks, and no window spans a gap."""

import functools
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asd_monitor.alarm.span_median import SpanMedian
from asd_monitor.detector.detector import Detector
from asd_monitor.detector.fit import fit_detector
from asd_monitor.dsp.front_end import front_end_for
from asd_monitor.dsp.signal_conditioning import SignalConditioner
from asd_monitor.pipeline import Pipeline, WindowExtractor, max_stride
from asd_monitor.records import Block, Stream, WindowScore
from tests.doubles.blocks import block_at
from tests.doubles.synthetic_sounds import machine_sound


@functools.cache
def _detector() -> Detector:
    front_end = front_end_for(16_000)
    windows = WindowExtractor(front_end).push(block_at(0, machine_sound(40.0)))
    return fit_detector([windows], front_end, 16_000).detector


@functools.cache
def _sound(rate_hz: int) -> np.ndarray:
    return machine_sound(9.0, rate_hz=rate_hz, seed=7, fault=0.2)


def _scores(blocks: list[Block]) -> list[WindowScore]:
    pipeline = Pipeline(_detector())
    return [score for block in blocks for score in pipeline.push(block)] + pipeline.flush()


@functools.cache
def _whole(rate_hz: int) -> list[WindowScore]:
    return _scores([block_at(0, _sound(rate_hz), rate_hz)])


@settings(max_examples=25)
@given(
    rate_hz=st.sampled_from([16_000, 44_100, 48_000]),
    sizes=st.lists(st.integers(1, 100_000), min_size=1, max_size=40),
)
def test_scores_do_not_depend_on_the_division_into_blocks(rate_hz: int, sizes: list[int]) -> None:
    sound = _sound(rate_hz)
    edges = [0, *np.cumsum(sizes).tolist(), len(sound)]
    edges = sorted({min(edge, len(sound)) for edge in edges})
    blocks = [block_at(a, sound[a:b], rate_hz) for a, b in itertools.pairwise(edges)]
    cut, whole = _scores(blocks), _whole(rate_hz)
    assert [(s.start, s.end) for s in cut] == [(s.start, s.end) for s in whole]
    assert [s.fused for s in cut] == pytest.approx([s.fused for s in whole], abs=1e-4)
    for one, other in zip(cut, whole, strict=True):
        assert one.views == pytest.approx(other.views, abs=1e-3)


def test_scores_of_very_short_blocks_are_the_same() -> None:
    sound = _sound(44_100)[: 44_100 * 3]
    blocks = [block_at(a, sound[a : a + 37], 44_100) for a in range(0, len(sound), 37)]
    whole = _scores([block_at(0, sound, 44_100)])
    assert [s.fused for s in _scores(blocks)] == pytest.approx([s.fused for s in whole], abs=1e-4)


@settings(max_examples=25)
@given(
    rate_hz=st.sampled_from([16_000, 48_000]),
    gaps=st.lists(st.tuples(st.integers(1, 140_000), st.integers(1, 50_000)), max_size=4),
    first=st.integers(0, 10**9),
)
def test_no_window_spans_a_gap(rate_hz: int, gaps: list[tuple[int, int]], first: int) -> None:
    sound = _sound(rate_hz)
    blocks, used, lost = [], 0, 0
    for length, gap in [*gaps, (len(sound), 0)]:
        piece = sound[used : used + length]
        blocks.append(block_at(first + used + lost, piece, rate_hz))
        used, lost = used + len(piece), lost + gap
    segments = [(b.start, b.end) for b in blocks if len(b.samples)]
    # sample indices are rounded to the capture rate
    for score in _scores(blocks):
        assert any(a <= score.start and score.end <= b + 2 for a, b in segments)


def test_scores_after_a_gap_do_not_depend_on_the_sound_before_it() -> None:
    sound = _sound(16_000)
    later = _scores([block_at(0, sound[:40_000]), block_at(1_000_003, sound)])
    alone = _scores([block_at(1_000_003, sound)])
    after = [s for s in later if s.start >= 1_000_003]
    assert [(s.start, s.end, s.fused) for s in after] == [(s.start, s.end, s.fused) for s in alone]


def test_a_fault_scores_higher_than_normal_sound() -> None:
    normal = Pipeline(_detector()).push(block_at(0, machine_sound(10.0, seed=3)))
    faulty = Pipeline(_detector()).push(block_at(0, machine_sound(10.0, seed=3, fault=1.0)))
    assert min(s.score for s in faulty) > max(s.score for s in normal)


@pytest.mark.parametrize("window_s", [0.65, 1.984, 3.0, 4.0, 5.0, 10.0])
@pytest.mark.parametrize("hop_s", [0.1, 0.512, 1.0])
def test_the_largest_stride_scores_all_sound_and_raises_no_alarm_on_an_impact(
    window_s: float, hop_s: float
) -> None:
    front_end = front_end_for(16_000, window_s, min(hop_s, window_s))
    for stride in range(1, max_stride(front_end) + 1):
        score = SpanMedian(front_end.hop_s)
        starts = np.arange(400) * stride * front_end.hop
        impact = 150 * front_end.hop
        covered = (starts <= impact) & (impact < starts + front_end.window)
        highest = max(score.push(float(hit), stride) for hit in covered.tolist())
        if stride > 1:
            assert highest == 0.0
            assert starts[1] <= front_end.window, "windows overlap or adjoin"


def test_no_window_spans_two_streams() -> None:
    pipeline, sound = Pipeline(_detector()), _sound(16_000)
    half = len(sound) // 2
    first = pipeline.push(block_at(0, sound[:half]))
    second = pipeline.push(Block(Stream(16_000), half, sound[half:]))
    assert first
    assert min(score.start for score in second) == half


def test_sound_is_conditioned_once_for_each_window(monkeypatch: pytest.MonkeyPatch) -> None:
    lengths: list[int] = []
    push = SignalConditioner.push

    def counting(self: SignalConditioner, samples: np.ndarray) -> np.ndarray:
        lengths.append(len(samples))
        return push(self, samples)

    monkeypatch.setattr(SignalConditioner, "push", counting)
    front_end = front_end_for(16_000)
    extractor = WindowExtractor(front_end)
    stream, sound = Stream(16_000), _sound(16_000)
    windows = [
        window
        for start in range(0, len(sound) - 100, 100)
        for window in extractor.push(Block(stream, start, sound[start : start + 100]))
    ]
    assert len(lengths) == len(windows)
    assert lengths[0] >= front_end.window
    assert all(abs(length - front_end.hop) <= 100 for length in lengths[1:])
    assert extractor.missing_samples == windows[-1].end + front_end.hop - (len(sound) - 100)
