"""DC offset, drift and steps do not change scores, and unusable samples are a gap."""

import functools

import numpy as np
import pytest

from asd_monitor.alarm.budget import alarm_rule
from asd_monitor.config.quantities import parse_budget
from asd_monitor.detector.detector import Detector
from asd_monitor.detector.fit import fit_detector
from asd_monitor.dsp.front_end import front_end_for
from asd_monitor.monitor import Monitor, Reading, push_batch
from asd_monitor.pipeline import Pipeline, WindowExtractor
from asd_monitor.records import AlarmCriteria, Samples, WindowScore
from tests.doubles.blocks import block_at
from tests.doubles.synthetic_sounds import machine_sound

RATES_HZ = [16_000, 48_000]
SETTLING_S = 0.5
GAIN = 0.01
"""Quiet sound, for which an offset of 0.1 is large."""
TEST_S = 40.0
CRITERIA = AlarmCriteria(
    parse_budget("1 per month").per_second, parse_budget("1 per day").per_second
)


@functools.cache
def _detector(offset: float = 0.0) -> Detector:
    front_end = front_end_for(16_000)
    sound = machine_sound(60.0, gain=GAIN) + np.float32(offset)
    return fit_detector(
        [WindowExtractor(front_end).push(block_at(0, sound))], front_end, 16_000
    ).detector


@functools.cache
def _sound(rate_hz: int, seconds: float = TEST_S) -> Samples:
    return machine_sound(seconds, rate_hz=rate_hz, seed=5, gain=GAIN)


def _scores(sound: Samples, rate_hz: int, offset_in_training: float = 0.0) -> list[WindowScore]:
    pipeline = Pipeline(_detector(offset_in_training))
    return pipeline.push(block_at(0, sound, rate_hz)) + pipeline.flush()


@functools.cache
def _undisturbed(rate_hz: int) -> list[WindowScore]:
    return _scores(_sound(rate_hz), rate_hz)


def _changes(disturbed: list[WindowScore], rate_hz: int) -> list[float]:
    pairs = zip(disturbed, _undisturbed(rate_hz), strict=True)
    return [abs(new.fused - old.fused) for new, old in pairs]


@pytest.mark.parametrize("rate_hz", RATES_HZ)
@pytest.mark.parametrize(
    ("in_training", "in_test"), [(0.0, 0.01), (0.0, 0.1), (0.0, -0.1), (0.1, 0.0), (0.1, 0.1)]
)
def test_a_constant_offset_changes_no_score(
    rate_hz: int, in_training: float, in_test: float
) -> None:
    scores = _scores(_sound(rate_hz) + np.float32(in_test), rate_hz, in_training)
    assert max(_changes(scores, rate_hz)) < 0.001
    undisturbed = [window.rms_dbfs for window in _undisturbed(rate_hz)]
    assert [window.rms_dbfs for window in scores] == pytest.approx(undisturbed, abs=1e-3)


@pytest.mark.parametrize("rate_hz", RATES_HZ)
@pytest.mark.parametrize("period_s", [None, 60.0, 20.0])
def test_slow_drift_hardly_changes_a_score(rate_hz: int, period_s: float | None) -> None:
    t = np.arange(round(TEST_S * rate_hz)) / rate_hz
    drift = 0.1 * t / TEST_S if period_s is None else 0.1 * np.sin(2 * np.pi * t / period_s)
    scores = _scores((_sound(rate_hz) + drift).astype(np.float32), rate_hz)
    assert max(_changes(scores, rate_hz)) < 0.02


@pytest.mark.parametrize("rate_hz", RATES_HZ)
def test_a_step_of_the_offset_changes_only_the_windows_around_it(rate_hz: int) -> None:
    at = 20 * rate_hz
    stepped = _sound(rate_hz).copy()
    stepped[at:] += np.float32(0.1)
    scores = _scores(stepped, rate_hz)
    changes = _changes(scores, rate_hz)
    away = [window.end <= at or window.start > at + SETTLING_S * rate_hz for window in scores]
    assert max(changes) > 0.02
    assert max(change for change, is_away in zip(changes, away, strict=True) if is_away) < 0.001


def _readings(sound: Samples, stride: int = 1) -> list[Reading]:
    monitor = Monitor(Pipeline(_detector()), alarm_rule(CRITERIA, _detector()), 16_000)
    return [
        reading
        for start in range(0, len(sound), 8192)
        for reading in monitor.push(block_at(start, sound[start : start + 8192]), stride)
    ]


@pytest.mark.parametrize("stride", [1, 2, 3])
def test_steps_of_the_offset_raise_no_alarm(stride: int) -> None:
    sound = _sound(16_000, 100.0).copy()
    for at_s in (10.0, 40.0, 70.0):
        sound[round(at_s * 16_000) :] += np.float32(0.1)
    readings = _readings(sound, stride)
    assert max(reading.window.evidence for reading in readings if reading.window) > 3
    assert max(reading.alarm_score for reading in readings) < 3  # the threshold is 5.42
    assert all(reading.alarm is None for reading in readings)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("value", [np.nan, np.inf, 3e38, -1e30])
@pytest.mark.parametrize("at", [0, 5 * 16_000 + 3])
def test_an_unusable_sample_is_a_gap(value: float, at: int) -> None:
    sound = _sound(16_000)[: 10 * 16_000].copy()
    sound[at] = value
    parts = [block_at(0, sound[:at]), block_at(at + 1, sound[at + 1 :])]
    by_gap = Pipeline(_detector())
    expected = [score for part in parts for score in by_gap.push(part)]
    assert all(window.end <= at or window.start > at for window in expected)
    found = Pipeline(_detector()).push(block_at(0, sound))
    assert [(w.start, w.fused) for w in found] == [(w.start, w.fused) for w in expected]
    live = [reading.window for reading in _readings(sound) if reading.window]
    assert [w.start for w in live] == [w.start for w in expected]
    assert [w.fused for w in live] == pytest.approx([w.fused for w in expected], abs=1e-4)


@pytest.mark.filterwarnings("error")
def test_an_unusable_sample_changes_no_other_machine() -> None:
    """Machines are scored together."""
    sound, damaged = _sound(16_000)[: 4 * 16_000], _sound(16_000)[: 4 * 16_000].copy()
    damaged[39_000] = np.nan  # of a second and last window
    rule = alarm_rule(CRITERIA, _detector())
    monitors = [Monitor(Pipeline(_detector()), rule, 16_000) for _ in range(2)]
    good, bad = push_batch(monitors, [block_at(0, sound), block_at(0, damaged)])
    assert not isinstance(good, Exception)
    assert not isinstance(bad, Exception)
    alone = [window.fused for window in Pipeline(_detector()).push(block_at(0, sound))]
    fused = [reading.window.fused for reading in good if reading.window]
    assert fused == pytest.approx(alone, abs=1e-4)
    assert [reading.window.end for reading in bad if reading.window] == [31_744]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("amplitude", [9e9, 1e5, 1e-30, 0.0])
def test_no_usable_sound_has_a_score_that_is_not_finite(amplitude: float) -> None:
    rng = np.random.default_rng(3)
    sound = (amplitude * rng.uniform(-1, 1, 4 * 16_000)).astype(np.float32)
    for window in _scores(sound, 16_000):
        numbers = [window.score, window.fused, *window.views.values()]
        assert np.isfinite([*numbers, window.evidence, window.rms_dbfs]).all()
        assert 0 <= window.score <= 12
