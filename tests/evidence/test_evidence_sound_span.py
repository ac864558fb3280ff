"""Which sound belongs to an alarm, and what is left of it where speech must not be stored."""

from __future__ import annotations

import numpy as np
import pytest

from asd_monitor.evidence.pictures import COARSE_S, picture_of
from asd_monitor.evidence.score_history import MAX_WINDOWS, ScoreHistory, onset_of
from asd_monitor.evidence.sound_span import (
    LOWPASS_RATE_HZ,
    MAX_S,
    Gap,
    KeptSound,
    KeptTimes,
    joined,
    lowpassed,
)
from asd_monitor.records import Block, Stream
from tests.doubles.captured_alarm import HOP, RATE_HZ, machine_sound, reading

STREAM = Stream(RATE_HZ)


def test_the_span_is_from_before_the_onset_to_after_the_raise() -> None:
    times = KeptTimes(10.0, 5.0)
    assert times.span(50 * 1000, 53 * 1000, 1000) == (40_000, 58_000)
    assert times.span(5 * 1000, 8 * 1000, 1000) == (0, 13_000)  # the stream has just begun
    assert times.span(0, 90 * 1000, 1000) == (35_000, 95_000)  # a long on-delay: 60 s at most
    assert KeptTimes(600.0, 600.0) == KeptTimes(30.0, 30.0)


@pytest.mark.parametrize("on_delay_s", [0.0, 3.0, 60.0, 3600.0])
def test_the_ring_buffer_holds_the_sound_of_any_alarm(on_delay_s: float) -> None:
    for times in (KeptTimes(10.0, 10.0), KeptTimes(30.0, 30.0), KeptTimes(0.0, 0.0)):
        raised_s = 1000.0
        onset_s = raised_s - on_delay_s - 30.0  # an alarm that was held
        first, past = times.span(round(onset_s), round(raised_s), 1)
        assert past - first <= times.ring_s(on_delay_s) <= MAX_S + 8.0


def test_gaps_are_silent_and_listed() -> None:
    ones = np.ones(100, np.float32)
    sound = joined([Block(STREAM, 1000, ones), Block(STREAM, 1150, ones)])
    assert sound is not None
    assert (sound.first, sound.past, sound.gaps) == (1000, 1250, (Gap(1100, 1150),))
    assert sound.samples.tolist() == [1.0] * 100 + [0.0] * 50 + [1.0] * 100
    assert joined([]) is None


def levels_db(samples: np.ndarray, rate_hz: int, low_hz: float, high_hz: float) -> float:
    power = np.abs(np.fft.rfft(samples * np.hanning(len(samples)))) ** 2
    hz = np.fft.rfftfreq(len(samples), 1 / rate_hz)
    inside = power[(hz >= low_hz) & (hz <= high_hz)].sum() / len(samples) / rate_hz
    return float(10 * np.log10(inside + 1e-30))


@pytest.mark.parametrize("rate_hz", [16_000, 44_100, 48_000])
def test_lowpass_leaves_nothing_above_500_hz(rate_hz: int) -> None:
    noise = np.random.default_rng(5).standard_normal(8 * rate_hz).astype(np.float32) * 0.05
    low = lowpassed(KeptSound(0, rate_hz, noise))
    assert len(low) == pytest.approx(8 * LOWPASS_RATE_HZ, abs=40)
    passed = levels_db(low, LOWPASS_RATE_HZ, 100.0, 400.0)
    assert passed == pytest.approx(levels_db(noise, rate_hz, 100.0, 400.0), abs=1.5)
    assert levels_db(low, LOWPASS_RATE_HZ, 560.0, 860.0) < passed - 70.0


def test_coarse_pictures_have_no_modulation_above_2_hz() -> None:
    samples = machine_sound(20.0)
    fine, coarse = picture_of(samples, RATE_HZ), picture_of(samples, RATE_HZ, coarse=True)
    assert coarse.step_s == pytest.approx(COARSE_S, rel=0.03)
    assert 1 / (2 * coarse.step_s) <= 2.01
    assert coarse.seconds == pytest.approx(fine.seconds, abs=COARSE_S)
    assert coarse.levels_db.mean() == pytest.approx(fine.levels_db.mean(), abs=3.0)


def trace_of(*scores: float) -> ScoreHistory:
    history = ScoreHistory((10.0,))
    for number, score in enumerate(scores):
        history.push(reading((number + 1) * HOP, score))
    return history


def test_the_onset_is_the_begin_of_the_newest_run_above_the_threshold() -> None:
    trace = trace_of(6.0, 1.0, 1.0, 6.0, 7.0, 6.0, 7.0).trace()
    assert onset_of(trace, 7 * HOP, 5.0) == 4 * HOP
    assert onset_of(trace, 5 * HOP, 5.0) == 4 * HOP
    assert onset_of(trace, 2 * HOP, 5.0) == HOP
    assert onset_of(trace, 7 * HOP, 8.0) is None


def test_the_history_keeps_the_newest_windows() -> None:
    history = trace_of(*np.arange(MAX_WINDOWS + 50.0))
    trace = history.trace()
    assert len(trace) == MAX_WINDOWS
    assert trace.alarm_scores[0] == 50.0
    assert (np.diff(trace.ends) == HOP).all()
    assert np.isfinite(trace.by_scale).all()
