"""From the reference to a model version on disk."""

import json
import re
from pathlib import Path

import pytest

from asd_monitor.config.settings import AlarmSettings
from asd_monitor.errors import OperationError, UsageError
from asd_monitor.model_store.bundle import load_bundle
from asd_monitor.model_training.findings import NothingHeldOut, ShortReference, UnusualSound
from asd_monitor.model_training.reference import Reference, read_reference
from asd_monitor.model_training.training_manifest import manifest_entries, save_model
from asd_monitor.model_training.training_run import TrainingResult, train_model
from tests.doubles.synthetic_sounds import machine_sound, write
from tests.doubles.trained_fan import IMPACT_S, TRAINED


def _save(models: Path, result: TrainingResult) -> str:
    return save_model(
        models,
        result,
        TRAINED,
        warnings=["little sound"],
        render=lambda result, version, now: f"{result.machine} {version} {now:%Y}",
    )


def test_the_result_contains_interval_outliers_and_findings(fan_result: TrainingResult) -> None:
    assert fan_result.trial is not None
    budget_hz = AlarmSettings().false_alarms.per_second
    assert fan_result.interval.low_hz <= budget_hz * 1.001
    assert fan_result.interval.high_hz >= budget_hz * 0.999
    [impact] = [o for o in fan_result.outliers if o.file.path.name.startswith("<one>")]
    assert IMPACT_S[0] - 3 < impact.start_s < IMPACT_S[0]
    assert IMPACT_S[1] - 1 < impact.end_s < IMPACT_S[1] + 3
    kinds = [type(finding) for finding in fan_result.findings]
    assert kinds[0] is ShortReference
    assert kinds[-1] is UnusualSound


def test_a_version_is_saved_with_its_manifest_and_report(
    fan_result: TrainingResult, tmp_path: Path
) -> None:
    assert _save(tmp_path, fan_result) == "v1"
    assert (tmp_path / "fan01/v1/report.html").read_text() == "fan01 v1 2026"
    manifest = load_bundle(tmp_path, "fan01").manifest
    assert manifest["trained"] == "2026-01-02T03:04:05.000Z"
    assert [file["name"] for file in manifest["training"]["files"]] == [
        "<one> & two.wav",
        "three.wav",
    ]
    assert manifest["training"]["files"][1]["rate_hz"] == 48_000
    assert re.fullmatch(r"[0-9a-f]{64}", manifest["training"]["files"][0]["sha256"])
    assert manifest["training"]["seconds"] == pytest.approx(90.0, abs=0.1)
    thresholds = manifest["thresholds"]
    assert thresholds["false_alarms"] == "1 per month"
    assert thresholds["warning"] <= thresholds["alarm"]
    assert manifest["held_out"]["parts"][0]["name"] == "three.wav"
    assert manifest["warnings"] == ["little sound"]


def test_the_same_recordings_give_the_same_model(
    fan_reference: Reference, fan_result: TrainingResult
) -> None:
    again = train_model("fan01", fan_reference, AlarmSettings())
    entries = manifest_entries(again, TRAINED, [])
    assert entries == manifest_entries(fan_result, TRAINED, [])
    assert again.detector.calibration == fan_result.detector.calibration
    json.dumps(entries, allow_nan=False)


def test_little_sound_is_trained_without_a_held_out_part(
    short_result: TrainingResult, tmp_path: Path
) -> None:
    assert short_result.trial is None
    assert NothingHeldOut() in short_result.findings
    assert _save(tmp_path / "models", short_result) == "v1"
    assert manifest_entries(short_result, TRAINED, [])["held_out"] is None


def test_too_little_sound_of_a_running_machine_is_refused(tmp_path: Path) -> None:
    short = read_reference([write(tmp_path / "a.wav", machine_sound(8.0))])
    with pytest.raises(UsageError, match="runs in too little of these recordings"):
        train_model("fan01", short, AlarmSettings())


def test_a_models_folder_that_is_a_file_is_refused(
    short_result: TrainingResult, tmp_path: Path
) -> None:
    (tmp_path / "models").touch()
    with pytest.raises(OperationError, match=r"models.*--models"):
        _save(tmp_path / "models", short_result)
