"""score: rows per window and per file, and errors."""

import csv
import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from asd_monitor.cli.json_lines import json_text
from asd_monitor.model_store.versions import MANIFEST
from tests.doubles.bundle_files import read_manifest, write_manifest
from tests.doubles.command_line import CommandLine
from tests.doubles.synthetic_sounds import machine_sound, write


def test_scores_are_printed_as_json_lines_csv_and_table(
    command_line: CommandLine, trained: Path, fault: Path
) -> None:
    arguments = ("score", fault, "-m", "fan01", "--models", trained)
    rows = [json.loads(line) for line in command_line(*arguments, "--json").out.splitlines()]
    assert {"file", "start_s", "score", "fused", "views"} <= rows[0].keys()
    assert rows[0]["file"] == str(fault)
    assert [row["start_s"] for row in rows[:3]] == pytest.approx([0, 0.512, 1.024])
    normal = [row["score"] for row in rows if row["start_s"] < 22]
    faulty = [row["score"] for row in rows if row["start_s"] > 25]
    assert min(faulty) > max(normal)
    table = list(csv.DictReader(io.StringIO(command_line(*arguments, "--csv").out)))
    assert [float(row["fused"]) for row in table] == [row["fused"] for row in rows]
    assert {f"view_{name}" for name in rows[0]["views"]} <= table[0].keys()
    result = command_line(*arguments, "--per", "file", "--json")
    [whole] = map(json.loads, result.out.splitlines())
    assert whole["fused"] == pytest.approx(np.mean([row["fused"] for row in rows]))
    for shape in ((), ("--per", "file")):
        result = command_line(*arguments, *shape)
        assert result.code == 0
        assert "fault.wav" in result.out


def test_unusable_recordings_are_reported_and_the_others_scored(
    command_line: CommandLine, trained: Path, fault: Path, tmp_path: Path
) -> None:
    (tmp_path / "a.wav").touch()
    low = write(tmp_path / "low.wav", machine_sound(5.0, rate_hz=8_000), 8_000)
    paths = [tmp_path / "a.wav", fault, low]
    result = command_line(
        "score", *paths, "-m", "fan01", "--models", trained, "--per", "file", "--json"
    )
    assert result.code == 2
    assert len(result.out.splitlines()) == 1
    assert "a.wav: empty file" in result.err
    assert "8000 Hz, while the model needs sound of 16000 Hz" in result.message


def test_an_absurd_sample_gives_no_number_that_json_does_not_know(
    command_line: CommandLine, trained_without_encoder: Path, tmp_path: Path
) -> None:
    sound = machine_sound(20.0)
    sound[16_000 * 10] = 3e38
    path = write(tmp_path / "a.wav", sound, subtype="FLOAT")
    arguments = (path, "-m", "fan01", "--models", trained_without_encoder, "--json")
    for command in ("score", "backtest"):
        result = command_line(command, *arguments)
        assert result.code == 0, result.err
        assert "1 sample is not finite" in result.err
        for line in result.out.splitlines():
            json.loads(line, parse_constant=pytest.fail)


def test_json_has_no_number_that_json_does_not_know() -> None:
    value = {"a": [float("nan"), (1.0, float("-inf"))], "b": "\udce4"}
    assert json_text(value) == '{"a": [null, [1.0, null]], "b": "\\udce4"}'


def test_lines_are_not_wrapped_in_a_pipe(
    command_line: CommandLine,
    trained: Path,
    fault: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    folder = tmp_path / ("a-long-name-" * 8)
    folder.mkdir()
    path = Path(shutil.copy(fault, folder))
    arguments = (path, "-m", "fan01", "--models", trained)
    result = command_line("score", *arguments, "--per", "file")
    assert any(str(path) in line and "0:45.0" in line for line in result.out.splitlines())
    [first, *_] = command_line("backtest", *arguments).out.splitlines()
    assert "; highest alarm score" in first


def test_csv_and_json_exclude_each_other(command_line: CommandLine, fault: Path) -> None:
    result = command_line("score", fault, "-m", "fan01", "--csv", "--json")
    assert (result.code, "choose one" in result.message) == (2, True)


@pytest.mark.parametrize("command", ["score", "backtest"])
def test_missing_models_and_versions_are_errors(
    command_line: CommandLine, command: str, trained: Path, fault: Path
) -> None:
    result = command_line(command, fault, "-m", "pump", "--models", trained)
    assert result.code == 1
    assert "no model of pump" in result.message
    assert "asd-monitor train" in result.message
    arguments = (command, fault, "-m", "fan01", "--models", trained, "--version")
    result = command_line(*arguments, "../../x")
    assert (result.code, "not a version" in result.message) == (2, True)
    result = command_line(*arguments, "v9")
    assert result.code == 1
    assert "v9" in result.message


@pytest.mark.parametrize("command", ["score", "backtest"])
def test_a_damaged_model_is_an_error_with_the_remedy(
    command_line: CommandLine, command: str, own_models: Path, fault: Path
) -> None:
    folder = own_models / "fan01/v1"
    manifest = read_manifest(folder)
    for damage, text in (
        (lambda: write_manifest(folder, manifest | {"format": 99}), "format 99"),
        (lambda: (folder / MANIFEST).write_text("{"), "damaged"),
    ):
        damage()
        result = command_line(command, fault, "-m", "fan01", "--models", own_models)
        assert result.code == 1
        assert text in result.message
        assert "train again" in result.message
