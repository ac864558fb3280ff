"""score, as a user meets it."""

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest

from asd_monitor.model_store.manifest import FORMAT
from asd_monitor.model_store.versions import MANIFEST
from tests.doubles.command_line import CommandLine
from tests.doubles.synthetic_sounds import machine_sound, write


def test_score_prints_json_lines_and_csv(
    command_line: CommandLine, trained: Path, fault: Path
) -> None:
    arguments = ("score", fault, "-m", "fan01", "--models", trained)
    rows = [json.loads(line) for line in command_line(*arguments, "--json").out.splitlines()]
    assert {"file", "start_s", "score", "fused", "views"} <= rows[0].keys()
    assert rows[0]["file"] == str(fault)
    assert [row["start_s"] for row in rows[:3]] == pytest.approx([0, 0.512, 1.024])
    calm = [row["score"] for row in rows if row["start_s"] < 22]
    wrong = [row["score"] for row in rows if row["start_s"] > 25]
    assert min(wrong) > max(calm)
    table = list(csv.DictReader(io.StringIO(command_line(*arguments, "--csv").out)))
    assert [float(row["fused"]) for row in table] == [row["fused"] for row in rows]
    assert {f"view_{name}" for name in rows[0]["views"]} <= table[0].keys()
    called = command_line(*arguments, "--per", "file", "--json")
    [whole] = map(json.loads, called.out.splitlines())
    assert whole["fused"] == pytest.approx(np.mean([row["fused"] for row in rows]))
    for shape in ((), ("--per", "file")):
        called = command_line(*arguments, *shape)
        assert called.code == 0
        assert "fault.wav" in called.out


def test_score_names_what_it_cannot_score_and_goes_on(
    command_line: CommandLine, trained: Path, fault: Path, tmp_path: Path
) -> None:
    (tmp_path / "a.wav").touch()
    low = write(tmp_path / "low.wav", machine_sound(5.0, rate_hz=8_000), 8_000)
    paths = [tmp_path / "a.wav", fault, low]
    called = command_line(
        "score", *paths, "-m", "fan01", "--models", trained, "--per", "file", "--json"
    )
    assert called.code == 2
    assert len(called.out.splitlines()) == 1
    assert "a.wav: empty file" in called.err
    assert "8000 Hz, while the model listens" in called.message


def test_what_is_piped_is_not_folded(
    command_line: CommandLine,
    trained: Path,
    fault: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    folder = tmp_path / ("a-long-name-" * 8)
    folder.mkdir()
    path = fault.rename(folder / fault.name)
    arguments = (path, "-m", "fan01", "--models", trained)
    called = command_line("score", *arguments, "--per", "file")
    assert any(str(path) in line and "0:45.0" in line for line in called.out.splitlines())
    [first, *_] = command_line("backtest", *arguments).out.splitlines()
    assert "; highest alarm score" in first


def test_one_shape_at_a_time(command_line: CommandLine, fault: Path) -> None:
    called = command_line("score", fault, "-m", "fan01", "--csv", "--json")
    assert (called.code, "choose one" in called.message) == (2, True)


@pytest.mark.parametrize("command", ["score", "backtest"])
def test_no_model_and_bad_versions(
    command_line: CommandLine, command: str, trained: Path, fault: Path
) -> None:
    called = command_line(command, fault, "-m", "pump", "--models", trained)
    assert called.code == 1
    assert "no model of pump" in called.message
    assert "asd-monitor train" in called.message
    arguments = (command, fault, "-m", "fan01", "--models", trained, "--version")
    called = command_line(*arguments, "../../x")
    assert (called.code, "not a version" in called.message) == (2, True)
    called = command_line(*arguments, "v9")
    assert called.code == 1
    assert "v9" in called.message


@pytest.mark.parametrize("command", ["score", "backtest"])
def test_a_damaged_model_is_said_with_the_mend(
    command_line: CommandLine, command: str, trained: Path, fault: Path
) -> None:
    manifest = trained / "fan01/v1" / MANIFEST
    for damage, told in (
        (manifest.read_text().replace(f'"format": {FORMAT}', '"format": 99'), "format 99"),
        ("{", "damaged"),
    ):
        manifest.write_text(damage)
        called = command_line(command, fault, "-m", "fan01", "--models", trained)
        assert called.code == 1
        assert told in called.message
        assert "train anew" in called.message
