"""Faults of graded severity in held-out sound."""

from pathlib import Path

import numpy as np
import pytest

from asd_monitor.alarm.state import AlarmRule
from asd_monitor.detector.fit import FittedDetector
from asd_monitor.model_training.held_out_trial import HeldOutTrial, run_trial
from asd_monitor.model_training.recording_parts import RecordingPart
from asd_monitor.model_training.reference import read_reference
from asd_monitor.model_training.sensitivity import (
    Sensitivity,
    _read,
    measure_sensitivity,
)
from asd_monitor.model_training.sound_files import inspect_recording
from asd_monitor.records import Thresholds
from asd_monitor.self_test.added_sound import FAULT_S, LEAD_IN_S, repeated
from asd_monitor.synthesis.added_faults import SEVERITIES_DB, FaultKind
from tests.doubles.synthetic_sounds import Sound, machine_sound, write

RATE_HZ = 16_000


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> FittedDetector:
    path = write(tmp_path_factory.mktemp("fit") / "a.wav", machine_sound(60.0, seed=1))
    return read_reference([path]).fit()


@pytest.fixture(scope="module")
def rule(fitted: FittedDetector) -> AlarmRule:
    detector = fitted.detector
    thresholds = Thresholds(2.5, 3.9)
    return AlarmRule(
        thresholds,
        detector.hop_s,
        tails=detector.tails,
        effect_bound=detector.effect_bound,
    )


def trial_on(
    folder: Path, sound: Sound, fitted: FittedDetector, rule: AlarmRule, rate_hz: int = RATE_HZ
) -> HeldOutTrial:
    path = write(folder / "held_out.wav", sound, rate_hz)
    return run_trial(
        fitted, rule, [RecordingPart(inspect_recording(path), 0.0, len(sound) / rate_hz)]
    )


@pytest.fixture(scope="module")
def sensitivity(
    fitted: FittedDetector, rule: AlarmRule, tmp_path_factory: pytest.TempPathFactory
) -> Sensitivity:
    trial = trial_on(tmp_path_factory.mktemp("held"), machine_sound(14.0, seed=2), fitted, rule)
    return measure_sensitivity(fitted.detector, rule, trial)


def test_every_kind_and_severity_has_a_result(sensitivity: Sensitivity) -> None:
    assert sensitivity.not_measured is None
    found = [(each.kind, each.severity_db) for each in sensitivity.detections]
    assert found == [
        (kind, each_db) for kind, all_db in SEVERITIES_DB.items() for each_db in all_db
    ]


@pytest.mark.parametrize("kind", FaultKind)
def test_stronger_faults_are_detected_sooner(sensitivity: Sensitivity, kind: FaultKind) -> None:
    delays_s = [
        np.inf if each.detected_after_s is None else each.detected_after_s
        for each in sensitivity.detections
        if each.kind is kind
    ]
    assert delays_s == sorted(delays_s, reverse=True)
    assert 3.0 < delays_s[-1] < 15.0  # the strongest: after half the span and the on-delay


def test_the_same_sound_gives_the_same_result(
    fitted: FittedDetector, rule: AlarmRule, sensitivity: Sensitivity, tmp_path: Path
) -> None:
    trial = trial_on(tmp_path, machine_sound(14.0, seed=2), fitted, rule)
    assert measure_sensitivity(fitted.detector, rule, trial) == sensitivity


def test_a_bound_that_nothing_reaches_detects_nothing(
    fitted: FittedDetector, tmp_path: Path
) -> None:
    rule = AlarmRule(Thresholds(11.0, 12.5), fitted.detector.hop_s, tails=fitted.detector.tails)
    trial = trial_on(tmp_path, machine_sound(14.0, seed=2), fitted, rule)
    found = measure_sensitivity(fitted.detector, rule, trial)
    assert [each.detected_after_s for each in found.detections] == [None] * 8


def test_held_out_sound_with_an_alarm_of_its_own_is_not_measured(
    fitted: FittedDetector, rule: AlarmRule, tmp_path: Path
) -> None:
    trial = trial_on(tmp_path, machine_sound(14.0, seed=2, fault=1.0), fitted, rule)
    found = measure_sensitivity(fitted.detector, rule, trial)
    assert found == Sensitivity(not_measured="the held-out sound raises an alarm without a fault")


def test_too_little_running_sound_is_not_measured(
    fitted: FittedDetector, rule: AlarmRule, tmp_path: Path
) -> None:
    trial = trial_on(tmp_path, machine_sound(8.0, seed=2), fitted, rule)
    found = measure_sensitivity(fitted.detector, rule, trial)
    assert found == Sensitivity(not_measured="less than 10 s of running sound held out")


def test_held_out_sound_of_another_rate_is_measured(
    fitted: FittedDetector, rule: AlarmRule, tmp_path: Path
) -> None:
    sound = machine_sound(40.0, seed=2, rate_hz=48_000)
    part = RecordingPart(inspect_recording(write(tmp_path / "a.wav", sound, 48_000)), 5.0, 40.0)
    assert len(_read(part, None, RATE_HZ)) == pytest.approx(35 * RATE_HZ, abs=2)
    quiet = AlarmRule(rule.thresholds, rule.hop_s)  # no tails: no alarm without a bound
    trial = run_trial(fitted, quiet, [part])
    assert measure_sensitivity(fitted.detector, quiet, trial).not_measured is None


@pytest.mark.parametrize("seconds", [10.0, 37.3, 100.0])
def test_short_sound_is_repeated_without_a_click(seconds: float) -> None:
    rate_hz = 1000
    at = np.arange(round(seconds * rate_hz)) / rate_hz
    sound = np.sin(2 * np.pi * 3.3 * at).astype(np.float32)
    wanted_s = LEAD_IN_S + FAULT_S
    whole = repeated(sound, wanted_s, rate_hz)
    assert len(whole) == round(wanted_s * rate_hz)
    assert np.array_equal(whole[:9000], sound[:9000])
    assert np.abs(np.diff(whole)).max() < 0.1
