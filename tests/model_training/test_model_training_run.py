"""From the reference to a model version on disk."""

import hashlib
import json
import re
from pathlib import Path

import numpy as np
import pytest
import soxr

from asd_monitor.audio.files.recorder import SCHEMA
from asd_monitor.config.machine_settings import AlarmSettings
from asd_monitor.errors import OperationError, UsageError
from asd_monitor.model_store.bundle import load_bundle
from asd_monitor.model_training.findings import (
    NothingHeldOut,
    ProvisionalBudget,
    ShortReference,
    UnusualSound,
)
from asd_monitor.model_training.operating_modes import operating_modes
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


def test_the_result_contains_budget_modes_outliers_and_findings(
    fan_result: TrainingResult,
) -> None:
    assert fan_result.trial is not None
    assert fan_result.budget.provisional
    assert fan_result.budget.false_alarms == "1 per day"
    assert fan_result.thresholds.alarm == pytest.approx(3.94, abs=0.005)
    assert len(fan_result.sensitivity.detections) == 8
    [mode] = fan_result.modes
    assert mode.share == pytest.approx(1.0)
    [impact] = [o for o in fan_result.outliers if o.file.path.name.startswith("<one>")]
    assert IMPACT_S[0] - 3 < impact.start_s < IMPACT_S[0]
    assert IMPACT_S[1] - 1 < impact.end_s < IMPACT_S[1] + 3
    kinds = [type(finding) for finding in fan_result.findings]
    assert kinds[0] is ShortReference
    assert kinds[-2:] == [ProvisionalBudget, UnusualSound]


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
    assert thresholds["provisional"] is True
    assert thresholds["effective_false_alarms"] == "1 per day"
    assert (thresholds["hours"], thresholds["needed_hours"]) == (1, 147)
    assert sum(mode["share"] for mode in manifest["modes"]) == pytest.approx(1.0, abs=0.001)
    assert len(manifest["sensitivity"]["faults"]) == 8
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
    entries = manifest_entries(short_result, TRAINED, [])
    assert entries["held_out"] is None
    assert entries["sensitivity"]["not_measured"] == "too little sound to hold a part out"


def test_operating_modes_are_found_with_level_and_share(tmp_path: Path) -> None:
    light, full = machine_sound(60.0, seed=1), machine_sound(40.0, seed=2, gain=0.2)
    alternating = [light[:480_000], full[:320_000], light[480_000:], full[320_000:]]
    reference = read_reference([write(tmp_path / "a.wav", np.concatenate(alternating))])
    quiet, loud = operating_modes(reference.fit())
    assert [quiet.share, loud.share] == pytest.approx([0.6, 0.4], abs=0.04)
    assert loud.level_dbfs - quiet.level_dbfs == pytest.approx(6.0, abs=0.5)


@pytest.mark.parametrize("rate_hz", [22_050, 48_000])
def test_recordings_of_two_sample_rates_are_one_operating_mode(
    tmp_path: Path, rate_hz: int
) -> None:
    recorded, again = machine_sound(60.0, seed=1), machine_sound(60.0, seed=2)
    paths = [
        write(tmp_path / "a.wav", recorded),
        write(tmp_path / "b.wav", soxr.resample(again, 16_000, rate_hz), rate_hz),
    ]
    assert len(operating_modes(read_reference(paths).fit())) == 1


def test_recordings_count_the_hours_in_which_they_were_made(tmp_path: Path) -> None:
    def budget_hours(*, with_sidecars: bool) -> int:
        paths = []
        for hour in range(5):
            path = write(tmp_path / f"{hour}.wav", machine_sound(12.0, seed=hour))
            path.with_suffix(".json").unlink(missing_ok=True)
            if with_sidecars:
                sidecar = {
                    "schema": SCHEMA,
                    "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
                    "began": f"2026-03-01T{10 + hour}:00:00Z",
                }
                path.with_suffix(".json").write_text(json.dumps(sidecar))
            paths.append(path)
        return read_reference(paths).fit().detector.hours

    assert budget_hours(with_sidecars=False) == 1
    assert budget_hours(with_sidecars=True) == 5


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
