"""Fitting: normal sound scores low, faults score high, medians as the alarm forms them."""

from collections.abc import Sequence

import numpy as np
import pytest

from asd_monitor.alarm.budget import threshold_for
from asd_monitor.alarm.span_median import span_windows
from asd_monitor.alarm.state import AlarmRule
from asd_monitor.alarm.time_scales import scale_score
from asd_monitor.detector.calibration import MAX_SCORE
from asd_monitor.detector.evidence import span_medians
from asd_monitor.detector.fit import MIN_WINDOWS, FittedDetector, fit_detector
from asd_monitor.detector.fusion import fuse
from asd_monitor.detector.spans import Spans
from asd_monitor.detector.views import VIEW_KINDS
from asd_monitor.dsp.front_end import front_end_for
from asd_monitor.features.windows import Window
from asd_monitor.monitor import Monitor
from asd_monitor.pipeline import WindowExtractor
from asd_monitor.records import Thresholds, WindowScore
from tests.doubles.blocks import block_at
from tests.doubles.direct_tail import DirectTail
from tests.doubles.scripted_scorer import ListedScorer
from tests.doubles.synthetic_sounds import machine_sound

FRONT_END = front_end_for(16_000)
SPAN = span_windows(FRONT_END.hop_s)
MONTH_S = 30 * 86400.0


def windows_of(sound: np.ndarray) -> list[Window]:
    return WindowExtractor(FRONT_END).push(block_at(0, sound))


def fit(*sounds: np.ndarray) -> FittedDetector:
    return fit_detector([windows_of(sound) for sound in sounds], FRONT_END, 16_000)


def test_normal_sound_scores_low_and_a_fault_scores_high() -> None:
    fitted = fit(machine_sound(60.0, seed=1))
    detector = fitted.detector
    assert fitted.by_view.shape == (len(fitted.fused), len(VIEW_KINDS))
    assert fuse(fitted.by_view) == pytest.approx(fitted.fused)
    # the calibration is that of the out-of-fold scores
    scores = detector.calibration.score(fitted.fused)
    assert np.mean(scores >= 1) == pytest.approx(0.1, abs=0.02)
    normal = [w.score for w in detector.score(windows_of(machine_sound(20.0, seed=2)))]
    faulty = [w.score for w in detector.score(windows_of(machine_sound(20.0, seed=2, fault=0.5)))]
    assert np.median(normal) < 1.5
    assert np.median(faulty) > max(3.0, *normal)
    assert max(faulty) <= MAX_SCORE


@pytest.mark.parametrize("gain", [0.02, 0.5])
def test_the_level_view_responds_to_higher_and_lower_levels(gain: float) -> None:
    detector = fit(machine_sound(40.0)).detector
    scores = detector.score(windows_of(machine_sound(5.0, seed=4, gain=gain)))
    assert min(w.views["level"] for w in scores) > 3


def test_too_little_sound_is_refused() -> None:
    few = windows_of(machine_sound(30.0))[: MIN_WINDOWS - 1]
    with pytest.raises(ValueError, match="12 are needed"):
        fit_detector([few], FRONT_END, 16_000)
    with pytest.raises(ValueError, match="12 are needed"):
        fit_detector([], FRONT_END, 16_000)


def test_a_single_block_of_time_is_refused() -> None:
    one_block = windows_of(machine_sound(11.0))
    assert len(one_block) >= MIN_WINDOWS
    with pytest.raises(ValueError, match="20 s of one recording"):
        fit_detector([one_block], FRONT_END, 16_000)


def test_evidence_is_the_standardised_fused_score() -> None:
    fitted = fit(machine_sound(60.0))
    calibration = fitted.detector.evidence_calibration
    evidence = calibration.evidence(fitted.fused)
    assert np.median(evidence) == pytest.approx(0.0)
    assert np.subtract(*np.quantile(evidence, [0.75, 0.25])) == pytest.approx(1.349)
    assert np.ptp(fitted.medians) < np.ptp(evidence), "a median varies less than one window"
    scores = fitted.detector.score(windows_of(machine_sound(20.0, seed=2, fault=0.5)))
    fused = np.array([window.fused for window in scores])
    assert [window.evidence for window in scores] == pytest.approx(calibration.evidence(fused))


def test_an_impact_in_the_training_recordings_does_not_make_the_alarm_insensitive() -> None:
    """It broadens the tail of single windows, not that of the medians over ten seconds."""
    reference = machine_sound(120.0)
    with_impact = reference.copy()
    with_impact[50 * 16_000 : 51 * 16_000] *= 8.0
    faulty = windows_of(machine_sound(20.0, seed=2, fault=0.5))
    for sound in (reference, with_impact):
        detector = fit(sound).detector
        evidence = [window.evidence for window in detector.score(faulty)]
        score = scale_score(detector.tails[0], float(np.median(evidence)))
        assert score >= threshold_for(1 / MONTH_S)


def spans_of(*counts: int) -> Spans:
    n = sum(counts)
    start = np.arange(n, dtype=np.int64) * FRONT_END.hop
    return Spans(np.repeat(np.arange(len(counts)), counts), start, start + FRONT_END.window)


def lower_medians(scores: np.ndarray) -> list[float]:
    return [
        float(np.sort(scores[end - SPAN : end])[(SPAN - 1) // 2])
        for end in range(SPAN, len(scores) + 1)
    ]


def test_medians_do_not_pool_windows_of_different_segments() -> None:
    """The second segment is anomalous throughout, so that a pooled median would differ."""
    counts = (40, 3, 30)
    fused = np.random.default_rng(0).uniform(0, 1, sum(counts))
    fused[43:] += 5.0
    found = span_medians(fused, spans_of(*counts), FRONT_END.hop_s)
    assert found.tolist() == lower_medians(fused[:40]) + lower_medians(fused[43:])


def test_segments_shorter_than_the_span_are_concatenated() -> None:
    counts = (15, 15, 15)
    fused = np.random.default_rng(0).uniform(0, 1, sum(counts))
    found = span_medians(fused, spans_of(*counts), FRONT_END.hop_s)
    assert found.tolist() == lower_medians(fused)


def test_too_few_windows_for_a_span_give_the_fused_scores() -> None:
    fused = np.random.default_rng(0).uniform(0, 1, 25)
    assert span_medians(fused, spans_of(25), FRONT_END.hop_s).tolist() == fused.tolist()


def alarm_scores_of_a_monitor(
    segments: Sequence[Sequence[Window]], fitted: FittedDetector
) -> tuple[list[float], int]:
    """Pass the segments to a monitor, with gaps between them and the out-of-fold fused scores.

    Returns its alarm scores over full spans and the number of idle windows.
    """
    detector, rate_hz = fitted.detector, FRONT_END.rate_hz
    scores = iter(fitted.fused.tolist())
    rng = np.random.default_rng(0)
    blocks, windows, counts, offset = [], [], [], 0
    for segment in segments:
        running = 0
        for window in segment:
            idle = detector.is_idle(window.rms_dbfs)
            running += not idle
            counts.append(running)
            windows.append(
                WindowScore(
                    start=offset + window.start,
                    end=offset + window.end,
                    score=0.0,
                    fused=0.0,
                    evidence=0.0 if idle else next(scores),
                    views={},
                    rms_dbfs=window.rms_dbfs,
                    idle=idle,
                )
            )
        length = segment[-1].end
        blocks.append(block_at(offset, rng.uniform(-0.1, 0.1, length).astype(np.float32)))
        offset += length + rate_hz
    rule = AlarmRule(Thresholds(4.0, 6.0), FRONT_END.hop_s, tails=(DirectTail(),))
    monitor = Monitor(ListedScorer(windows), rule, rate_hz)
    readings = [reading for block in blocks for reading in monitor.push(block)]
    alarm_scores = [
        reading.alarm_score
        for reading, window, count in zip(readings, windows, counts, strict=True)
        if not window.idle and count >= SPAN
    ]
    return alarm_scores, sum(window.idle for window in windows)


@pytest.mark.parametrize("on_s", [6, 25])
def test_the_medians_of_the_training_are_those_of_a_monitor(on_s: int) -> None:
    """Idle windows are skipped within a segment, and each segment begins with an empty span."""
    segments = []
    for seed in (1, 2):
        sound = machine_sound(90.0, seed=seed)
        seconds = np.arange(len(sound)) / FRONT_END.rate_hz
        sound[seconds % (on_s + 5) >= on_s] *= 0.0005
        segments.append(windows_of(sound))
    fitted = fit_detector(segments, FRONT_END, FRONT_END.rate_hz)
    alarm_scores, idle = alarm_scores_of_a_monitor(segments, fitted)
    assert idle > 10
    medians = span_medians(fitted.fused, Spans.of(fitted.running), FRONT_END.hop_s)
    assert len(medians) == len(fitted.fused) - 2 * (SPAN - 1)
    assert medians.tolist() == pytest.approx(alarm_scores)
