"""A data set in the layout of DCASE 2020: clips, figures, means and files."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from asd_monitor.errors import OperationError, UsageError
from asd_monitor.evaluation.dcase_layouts import find_data_set, find_machines
from asd_monitor.evaluation.results import FUSED, Results
from asd_monitor.evaluation.runner import evaluate
from asd_monitor.reports.evaluation_report import report_html
from tests.doubles.synthetic_sounds import machine_sound, write

TYPES = {"fan": ("00", "02"), "pump": ("04",)}


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data")
    for kind, ids in TYPES.items():
        for machine in ids:
            seed = int(machine) * 100
            for n in range(3):
                name = f"normal_id_{machine}_{n:08}.wav"
                write(root / kind / "train" / name, machine_sound(6.0, seed=seed + n))
            for n in range(2):
                suffix = "flac" if kind == "pump" else "wav"
                name = f"normal_id_{machine}_{n + 3:08}.{suffix}"
                write(root / kind / "test" / name, machine_sound(4.0, seed=seed + n + 3))
                name = f"anomaly_id_{machine}_{n:08}.{suffix}"
                fault = machine_sound(4.0, seed=seed + n + 9, fault=0.8)
                write(root / kind / "test" / name, fault)
    (root / "labels.txt").touch()
    return root


@pytest.fixture(scope="module")
def results(tree: Path) -> Results:
    return evaluate(find_data_set(tree))


def test_every_id_and_clip_is_found(tree: Path) -> None:
    machines = find_machines(tree)
    assert [machine.name for machine in machines] == ["fan id_00", "fan id_02", "pump id_04"]
    for machine in machines:
        assert len(machine.train) == 3
        assert [clip.anomalous for clip in machine.test] == [True, True, False, False]
    assert [m.name for m in find_machines(tree / "fan")] == ["fan id_00", "fan id_02"]


def test_means_are_over_ids_and_then_types(results: Results) -> None:
    written = results.to_json()
    assert written["rules"] == "2020"
    assert written["regime"] == "single"
    assert {kind: set(entry["ids"]) for kind, entry in written["machines"].items()} == {
        "fan": {"id_00", "id_02"},
        "pump": {"id_04"},
    }
    for measure in ("auc", "pauc"):
        by_type = []
        for entry in written["machines"].values():
            by_id = [values[measure] for values in entry["ids"].values()]
            assert entry[measure] == pytest.approx(np.mean(by_id))
            by_type.append(entry[measure])
        assert written["mean"][measure] == pytest.approx(np.mean(by_type))
    assert written["mean"]["auc"] > 0.9
    assert written["machines"]["fan"]["ids"]["id_00"]["train_s"] == pytest.approx(18.0, abs=0.1)
    for result in results.machines:
        labels = [clip.anomalous for clip in result.machine.test]
        for view in (FUSED, *written["views"]):
            expected = roc_auc_score(labels, result.scores[view])
            assert result.figures(view).auc == pytest.approx(expected)


def test_result_files_are_those_of_the_challenge(results: Results, tmp_path: Path) -> None:
    results.write(tmp_path, report_html(results))
    assert {path.name for path in tmp_path.iterdir()} == {
        "results.json",
        "report.html",
        "anomaly_score_fan_id_00.csv",
        "anomaly_score_fan_id_02.csv",
        "anomaly_score_pump_id_04.csv",
    }
    assert json.loads((tmp_path / "results.json").read_text()) == results.to_json()
    with (tmp_path / "anomaly_score_pump_id_04.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    assert [row[0] for row in rows] == [
        "anomaly_id_04_00000000.flac",
        "anomaly_id_04_00000001.flac",
        "normal_id_04_00000003.flac",
        "normal_id_04_00000004.flac",
    ]
    assert [float(row[1]) for row in rows] == pytest.approx(list(results.machines[2].scores[FUSED]))


@pytest.mark.slow
def test_parallel_processes_give_the_same_results(tree: Path, results: Results) -> None:
    shares: list[float] = []
    parallel = evaluate(find_data_set(tree), jobs=2, progress=lambda _, share: shares.append(share))
    assert parallel.to_json() == results.to_json()
    assert shares == [0, 1 / 3, 2 / 3, 1]


def _sound(path: Path, seconds: float = 4.0, seed: int = 0) -> Path:
    return write(path, machine_sound(seconds, seed=seed))


def _write_complete(root: Path) -> None:
    for n in range(5):
        _sound(root / f"fan/train/normal_id_00_{n:08}.wav", seed=n)
    _sound(root / "fan/test/normal_id_00_00000009.wav")
    _sound(root / "fan/test/anomaly_id_00_00000000.wav", seed=1)


def test_missing_clips_are_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such folder"):
        find_machines(tmp_path / "absent")
    with pytest.raises(UsageError, match=r"not a layout of DCASE.*TYPE/train"):
        find_machines(tmp_path)
    _write_complete(tmp_path)
    assert len(find_machines(tmp_path)) == 1

    (tmp_path / "fan/test/anomaly_id_00_00000000.wav").unlink()
    with pytest.raises(UsageError, match="fan id_00 has no anomalous test clip"):
        find_machines(tmp_path)
    _sound(tmp_path / "fan/test/anomaly_id_00_00000000.wav")

    _sound(tmp_path / "fan/test/normal_id_02_00000000.wav")
    with pytest.raises(UsageError, match=r"id_02 has no training clip.*id_02 has no anomalous"):
        find_machines(tmp_path)
    (tmp_path / "fan/test/normal_id_02_00000000.wav").unlink()

    _sound(tmp_path / "fan/train/fan_1.wav")
    with pytest.raises(UsageError, match=r"fan_1\.wav is not named as a training clip"):
        find_machines(tmp_path)
    (tmp_path / "fan/train/fan_1.wav").rename(tmp_path / "fan/test/fan_1.wav")
    with pytest.raises(UsageError, match=r"fan_1\.wav is not named as a test clip"):
        find_machines(tmp_path)


def test_a_folder_without_recordings_is_named(tmp_path: Path) -> None:
    (tmp_path / "fan/train").mkdir(parents=True)
    _sound(tmp_path / "fan/test/normal_id_00_00000000.wav")
    _sound(tmp_path / "fan/test/anomaly_id_00_00000000.wav")
    with pytest.raises(UsageError, match=r"train: no recording.*has no training clip"):
        find_machines(tmp_path)


def test_too_little_or_unreadable_sound_is_named(tmp_path: Path) -> None:
    _write_complete(tmp_path)
    for n in (3, 4):
        (tmp_path / f"fan/train/normal_id_00_{n:08}.wav").unlink()
    with pytest.raises(UsageError, match=r"fan id_00: 12 s of usable sound .* 3 s more"):
        evaluate(find_data_set(tmp_path))
    for n in (3, 4):
        _sound(tmp_path / f"fan/train/normal_id_00_{n:08}.wav", seed=n)
    (tmp_path / "fan/test/anomaly_id_00_00000000.wav").write_bytes(b"")
    with pytest.raises(UsageError, match=r"anomaly_id_00_00000000\.wav: empty file"):
        evaluate(find_data_set(tmp_path))


def test_an_output_folder_that_cannot_be_written_is_named(results: Results, tmp_path: Path) -> None:
    with pytest.raises(OperationError, match="--output"):
        results.write(tmp_path / "absent", "")
