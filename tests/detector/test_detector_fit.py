"""Fitting: normal sound scores low, faults score high, and a drift does not hide them."""

from collections.abc import Sequence

import numpy as np
import pytest

from asd_monitor.detector.calibration import MAX_SCORE, FusedCalibration
from asd_monitor.detector.detector import Detector, score_windows
from asd_monitor.detector.evidence import EFFECT_BOUND
from asd_monitor.detector.fit import DAY_S, MIN_WINDOWS, FittedDetector, fit_detector
from asd_monitor.detector.fusion import fuse
from asd_monitor.detector.prior import FUSED_PRIOR
from asd_monitor.detector.views import VIEW_KINDS
from asd_monitor.dsp.front_end import front_end_for
from asd_monitor.features.windows import Window
from asd_monitor.pipeline import WindowExtractor
from tests.doubles.blocks import block_at
from tests.doubles.synthetic_sounds import machine_sound

FRONT_END = front_end_for(16_000)


def windows_of(sound: np.ndarray) -> list[Window]:
    return WindowExtractor(FRONT_END).push(block_at(0, sound))


def fit(
    *sounds: np.ndarray, begins_s: list[float] | None = None, heard_s: Sequence[float] = ()
) -> FittedDetector:
    return fit_detector(
        [windows_of(sound) for sound in sounds],
        FRONT_END,
        16_000,
        begins_s=begins_s,
        left_out=len(heard_s),
        heard_s=heard_s,
    )


def median_evidence(detector: Detector, sound: np.ndarray) -> float:
    return float(np.median([window.evidence for window in detector.score(windows_of(sound))]))


def test_normal_sound_scores_low_and_a_fault_scores_high() -> None:
    fitted = fit(machine_sound(60.0, seed=1))
    detector = fitted.detector
    normal = detector.score(windows_of(machine_sound(20.0, seed=2)))
    faulty = detector.score(windows_of(machine_sound(20.0, seed=2, fault=0.5)))
    assert np.median([window.score for window in normal]) < 0.5
    assert np.median([window.evidence for window in normal]) < 0.5
    least = min(window.score for window in faulty)
    assert least > max(1.0, *(window.score for window in normal))
    assert max(window.score for window in faulty) <= MAX_SCORE
    assert median_evidence(detector, machine_sound(20.0, seed=2, fault=0.5)) > EFFECT_BOUND


def test_a_stronger_fault_scores_higher_far_outside_the_training_sound() -> None:
    detector = fit(machine_sound(60.0, seed=1)).detector
    evidence = [
        median_evidence(detector, machine_sound(10.0, seed=2, fault=fault))
        for fault in (0.0, 0.1, 1.0, 10.0, 100.0)
    ]
    assert evidence == sorted(evidence)
    assert evidence[-1] > evidence[-2] + 1


def test_the_calibrations_are_those_of_the_out_of_fold_scores() -> None:
    fitted = fit(machine_sound(60.0))
    assert fitted.by_view.shape == (len(fitted.fused), len(VIEW_KINDS))
    assert np.median(fitted.by_view, axis=0) == pytest.approx(0.0, abs=1e-6)
    of_views = fuse(fitted.by_view)
    assert np.all(fitted.fused >= of_views), "windows louder than the loudest block are raised"
    assert np.median(fitted.fused) == pytest.approx(np.median(of_views), abs=0.02)
    blocks = fitted.blocks
    assert fitted.detector.calibration == FusedCalibration.fit(
        fitted.fused, FUSED_PRIOR, hours=blocks.hours, days=1, blocks=len(blocks)
    )


def test_the_evidence_of_training_windows_has_the_median_0() -> None:
    fitted = fit(machine_sound(60.0))
    assert np.median(fitted.evidence) == pytest.approx(0.0, abs=0.01)
    assert np.ptp(fitted.blocks.medians(fitted.evidence)) < np.ptp(fitted.evidence)


@pytest.mark.parametrize("gain", [0.02, 0.5])
def test_the_level_view_responds_to_higher_and_lower_levels(gain: float) -> None:
    detector = fit(machine_sound(40.0)).detector
    scores = detector.score(windows_of(machine_sound(5.0, seed=4, gain=gain)))
    assert min(w.views["level"] for w in scores) > 3


def test_a_drift_in_the_training_recording_does_not_change_the_deviations() -> None:
    """A level that falls by 5 dB: what is left is that the level view is not linear."""
    steady = machine_sound(120.0)
    drift_db = np.linspace(2.5, -2.5, len(steady), dtype=np.float32)
    drifting = steady * 10 ** (drift_db / 20)
    expected, found = fit(steady), fit(drifting.astype(np.float32))
    differences = np.abs(found.by_view - expected.by_view)[:, 1:]
    assert differences.mean() < 0.1
    assert differences.max() < 1.0
    assert found.fused == pytest.approx(expected.fused, abs=0.3)
    for view, of_steady in zip(found.detector.views, expected.detector.views, strict=True):
        assert view.calibration.unit < 1.5 * of_steady.calibration.unit


def test_the_trend_of_several_days_is_part_of_the_spread() -> None:
    sounds = [machine_sound(20.0, seed=day, gain=0.1 * 1.3**day) for day in range(4)]
    fitted = fit(*sounds, begins_s=[day * DAY_S for day in range(4)])
    assert (fitted.blocks.days, fitted.blocks.hours) == (4, 4)
    level = fitted.detector.views[0].calibration
    of_one_session = fit(*sounds).detector.views[0].calibration
    assert level.centre > of_one_session.centre + 1


def test_more_hours_of_training_sound_narrow_the_tails() -> None:
    sounds = [machine_sound(20.0, seed=hour) for hour in range(5)]
    at_once = fit(*sounds).detector
    over_hours = fit(*sounds, begins_s=[3600.0 * hour for hour in range(5)]).detector
    assert over_hours.calibration.scale < 0.6 * at_once.calibration.scale
    for wide, narrow in zip(at_once.tails, over_hours.tails, strict=True):
        assert narrow.scale < 0.6 * wide.scale


def test_the_hours_of_sound_that_was_left_out_count_as_heard() -> None:
    sounds = [machine_sound(40.0, seed=seed) for seed in range(5)]
    begins_s = [3600.0 * hour for hour in range(5)]
    alone = fit(*sounds, begins_s=begins_s).detector
    heard_s = [3600.0 * hour for hour in range(5, 48)]
    fitted = fit(*sounds, begins_s=begins_s, heard_s=heard_s)
    assert (fitted.blocks.hours, fitted.blocks.days, fitted.blocks.left_out) == (48, 2, 43)
    assert fitted.detector.hours == 48
    for before, after in zip(alone.tails, fitted.detector.tails, strict=True):
        assert after.scale < before.scale  # the prior of 48 hours instead of 5


def test_too_little_sound_is_refused() -> None:
    few = windows_of(machine_sound(30.0))[: MIN_WINDOWS - 1]
    with pytest.raises(ValueError, match="12 are needed"):
        fit_detector([few], FRONT_END, 16_000)
    with pytest.raises(ValueError, match="12 are needed"):
        fit_detector([], FRONT_END, 16_000)


@pytest.mark.parametrize("others_s", [[], [2.5]])
def test_almost_a_single_block_of_time_is_refused(others_s: list[float]) -> None:
    sounds = [machine_sound(11.0), *(machine_sound(each, seed=1) for each in others_s)]
    assert len(windows_of(sounds[0])) >= MIN_WINDOWS
    with pytest.raises(ValueError, match="20 s of one recording"):
        fit(*sounds)


@pytest.mark.parametrize("value", [0.0, 0.1])
def test_a_detector_is_fitted_to_constant_sound(value: float) -> None:
    """Then any other sound scores high, and the same again does not."""
    constant = np.full(60 * 16_000, value, np.float32)
    detector = fit(constant).detector
    assert median_evidence(detector, constant[: 10 * 16_000]) < 1
    assert median_evidence(detector, machine_sound(10.0)) > EFFECT_BOUND


def test_a_tone_with_another_phase_is_no_fault() -> None:
    seconds = np.arange(60 * 16_000) / 16_000
    tone, shifted = (
        (0.1 * np.sin(2 * np.pi * 1000 * seconds + phase)).astype(np.float32) for phase in (0, 1)
    )
    assert median_evidence(fit(tone).detector, shifted[: 10 * 16_000]) < EFFECT_BOUND


def test_an_impact_in_the_training_recordings_does_not_hide_a_fault() -> None:
    reference = machine_sound(120.0)
    with_impact = reference.copy()
    with_impact[50 * 16_000 : 51 * 16_000] *= 8.0
    faulty = machine_sound(20.0, seed=2, fault=0.5)
    of_reference, of_impact = fit(reference), fit(with_impact)
    expected = median_evidence(of_reference.detector, faulty)
    assert median_evidence(of_impact.detector, faulty) == pytest.approx(expected, rel=0.1)
    assert of_impact.evidence.max() > EFFECT_BOUND, "the impact itself remains in the tails"
    assert len(of_impact.fused) == len(of_reference.fused)


def test_detectors_that_are_scored_together_give_the_scores_of_each_alone() -> None:
    detectors = [fit(machine_sound(40.0, seed=seed)).detector for seed in range(3)]
    windows = [windows_of(machine_sound(4.0, seed=9, fault=0.1 * seed)) for seed in range(3)]
    together = score_windows(detectors, windows)
    for detector, own, scores in zip(detectors, windows, together, strict=True):
        for window, alone in zip(scores, detector.score(own), strict=True):
            assert window.views == pytest.approx(alone.views, rel=1e-3, abs=1e-3)
            assert window.fused == pytest.approx(alone.fused, rel=1e-3)
            assert window.evidence == pytest.approx(alone.evidence, rel=1e-3, abs=1e-3)
            assert window.score == pytest.approx(alone.score, rel=1e-3)
