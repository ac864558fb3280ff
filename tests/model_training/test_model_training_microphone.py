"""The baseline of the microphone: fitted at training, extended by a refit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from asd_monitor.microphone.baseline import line_count
from asd_monitor.model_training.findings import CoverNotRecognised, assess
from asd_monitor.model_training.reference import read_reference
from asd_monitor.model_training.reference_selection import stored_reference
from asd_monitor.model_training.refit import FirstModelReference, refit
from asd_monitor.model_training.training_run import TrainingResult
from asd_monitor.reports.notices import finding_text
from tests.doubles.synthetic_sounds import machine_sound, write
from tests.model_training.test_model_training_refit import layout_of, live_blocks


def test_a_trained_detector_has_the_range_of_its_training_sound(fan_result: TrainingResult) -> None:
    baseline = fan_result.detector.microphone
    assert baseline is not None
    front_end = fan_result.detector.front_end
    assert baseline.front_end == front_end
    assert baseline.typical.shape == (1, front_end.mel_bands)
    assert baseline.lines.shape == (1, line_count(front_end))
    spectra = 10.0 * np.stack(
        [window.features["spectrum"] for window in fan_result.reference.windows]
    )
    assert (baseline.quietest[0] >= spectra.min(0) - 1e-3).all()
    assert (baseline.highest[0] <= spectra.max(0) + 1e-3).all()
    assert baseline.samples.constant_runs == 0


def test_the_faults_of_training_samples_are_counted(tmp_path: Path) -> None:
    sound = machine_sound(20.0)
    for begin in range(16_000, 48_000, 4_000):
        sound[begin : begin + 100] = 0.0
    sound[::500] = 1.0
    reference = read_reference([write(tmp_path / "a.wav", sound)])
    assert reference.sample_faults.constant_runs == 8
    assert reference.sample_faults.missing_share == pytest.approx(8 * 100 / 80_000, rel=0.05)
    assert reference.sample_faults.clipped_share == pytest.approx(1 / 500, rel=0.1)


def test_a_burst_of_dropouts_in_a_long_recording_is_not_usual_and_is_noted(tmp_path: Path) -> None:
    burst, silence = machine_sound(90.0), machine_sound(90.0, seed=2)
    for begin in range(16_000, 48_000, 4_000):
        burst[begin : begin + 100] = 0.0
    silence[32_000:48_000] = 0.0  # is left out of the training, and was a fault all the same
    clean = machine_sound(20.0, seed=3)
    sounds = {"burst": burst, "silence": silence, "clean": clean}
    paths = [write(tmp_path / f"{name}.wav", sound) for name, sound in sounds.items()]
    reference = read_reference(paths)
    assert reference.sample_faults.constant_runs == 0
    noted = [each.split(".wav")[0] for each in reference.notices if "runs of equal" in each]
    assert [each.rsplit("/", 1)[1] for each in noted] == ["burst", "silence"]
    assert any("in 1 of 18 stretches of 5 s" in each for each in reference.notices)


def test_a_microphone_that_captures_too_little_for_a_cover_is_noted(
    fan_result: TrainingResult,
) -> None:
    baseline = fan_result.detector.microphone
    assert baseline is not None
    assert not any(isinstance(each, CoverNotRecognised) for each in fan_result.findings)
    typical = baseline.typical.copy()
    typical[:, 40:] = typical.min() - 40.0
    limited = replace(baseline, typical=typical)
    found = assess(fan_result.reference, fan_result.trial, None, [], None, microphone=limited)
    (finding,) = (each for each in found if isinstance(each, CoverNotRecognised))
    assert "captures nothing above 1.0 kHz" in finding_text(finding)


def test_a_refit_extends_the_baseline_of_the_first_model(fan_result: TrainingResult) -> None:
    first = FirstModelReference(fan_result.detector, stored_reference(fan_result.reference))
    normal, louder = machine_sound(70.0, seed=4), machine_sound(70.0, seed=5, gain=0.115)
    blocks = live_blocks(fan_result, np.concatenate([normal, louder, normal]), apart_s=1800.0)
    found = refit(first, blocks, layout_of(fan_result)).detector.microphone
    before = fan_result.detector.microphone
    assert found is not None
    assert before is not None
    assert (found.highest >= before.highest).all()
    assert (found.highest > before.highest).mean() > 0.5
    assert (found.quietest <= before.quietest).all()
    assert np.array_equal(found.typical, before.typical)
    assert found.samples == before.samples


def test_the_refit_of_a_model_without_a_baseline_has_none(fan_result: TrainingResult) -> None:
    detector = replace(fan_result.detector, microphone=None)
    first = FirstModelReference(detector, stored_reference(fan_result.reference))
    blocks = live_blocks(fan_result, machine_sound(40.0, seed=4), apart_s=1800.0)
    result = refit(first, blocks, layout_of(fan_result))
    assert result.detector.microphone is None
