"""train, score, backtest, evaluate and models, as a user meets them."""

import csv
import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from command_line import CommandLine, without_privileges
from made_sounds import machine_sound, write

from asd_monitor.detector.bundle import FORMAT, MANIFEST


@pytest.fixture(scope="module")
def normal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("normal")
    for n in range(2):
        write(folder / f"{n}.flac", machine_sound(35.0, seed=n))
    return folder


@pytest.fixture
def trained(command_line: CommandLine, normal: Path, tmp_path: Path) -> Path:
    """A models folder with fan01 v1."""
    models = tmp_path / "models"
    assert command_line("train", "-m", "fan01", "-n", normal, "--models", models).code == 0
    return models


@pytest.fixture
def fault(tmp_path: Path) -> Path:
    calm, wrong = machine_sound(25.0, seed=5), machine_sound(20.0, seed=6, fault=1.0)
    return write(tmp_path / "fault.wav", np.concatenate([calm, wrong]))


@pytest.mark.parametrize("group", [(), ("models",), ("alarms",), ("config",)])
def test_the_list_of_commands_is_not_cut(
    command_line: CommandLine, monkeypatch: pytest.MonkeyPatch, group: tuple[str, ...]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    commands = command_line(*group, "--help").out.split("Commands")[1]
    assert "..." not in commands
    assert "…" not in commands
    assert max(map(len, commands.splitlines())) <= 80


# train


def test_train_makes_a_version_and_says_where(
    command_line: CommandLine, normal: Path, tmp_path: Path
) -> None:
    files = sorted(normal.iterdir())
    called = command_line(
        "train", "--machine", "fan01", "--normal", *files, "--models", tmp_path / "m"
    )
    assert called.code == 0, called.err
    assert "fan01 v1: learned 70 s of normal sound (2 files)" in called.out
    assert "14 s held out: no alarm" in called.out
    assert "1 per month" in called.out
    report = Path(called.out.split("Report: ")[1].strip())
    assert report.read_text().startswith("<!doctype html>")
    assert "70 s is little" in called.err
    again = command_line("train", "-m", "fan01", "-n", normal, "--models", tmp_path / "m", "--json")
    told = json.loads(again.out)
    assert told["version"] == "v2"
    assert told["training"]["files"][0]["name"] == "0.flac"
    assert told["held_out"]["alarms"] == 0


@pytest.mark.parametrize("spelled", [["-n=A", "B"], ["-n", "A", "-n", "B"], ["--normal", "A", "B"]])
def test_several_recordings_after_one_option(
    command_line: CommandLine, normal: Path, spelled: list[str]
) -> None:
    places = {"A": str(normal / "0.flac"), "B": str(normal / "1.flac")}
    arguments = [
        part.replace("A", places["A"]) if part == "-n=A" else places.get(part, part)
        for part in spelled
    ]
    if arguments[0].startswith("-n="):
        arguments[0] = arguments[0].replace("-n=", "--normal=")
    called = command_line("train", "--check", *arguments, "-m", "fan01")
    assert called.code == 0, called.err
    assert "70 s of usable sound in 2 files" in called.out


def test_check_only_tells(command_line: CommandLine, normal: Path, tmp_path: Path) -> None:
    arguments = ("train", "-m", "fan01", "--models", tmp_path / "m", "--check", "--json", "-n")
    called = command_line(*arguments, normal)
    assert called.code == 0
    assert json.loads(called.out)["sufficient"] is True
    called = command_line(*arguments, normal / "0.flac")
    assert called.code == 2
    told = json.loads(called.out)
    assert (told["sufficient"], told["usable_s"], told["needed_s"]) == (False, 35.0, 60.0)
    assert "record 25 s more" in called.verdict
    assert not (tmp_path / "m").exists()


def test_train_takes_its_settings_from_a_file(
    command_line: CommandLine, normal: Path, tmp_path: Path
) -> None:
    config = tmp_path / "edge.yaml"
    config.write_text(
        "version: 1\nbox: b\ndefaults: {window_s: 1.0}\n"
        "machines: {fan01: {device: 'hw:1', alarm: {false_alarms: 1 per week}}}\n"
    )
    arguments = ("train", "-n", normal, "--models", tmp_path / "m", "--config", config)
    assert command_line(*arguments, "-m", "fan01").code == 0
    told = json.loads(
        command_line("models", "show", "-m", "fan01", "--models", tmp_path / "m", "--json").out
    )
    assert told["thresholds"]["false_alarms"] == "1 per week"
    assert told["front_end"]["window_frames"] < 61
    called = command_line(*arguments, "-m", "fan02")
    assert (called.code, "there is no machine fan02: it has fan01" in called.verdict) == (2, True)


@pytest.mark.parametrize("machine", ["../x", "a/b", "fan+", "#", "box", "", ".", "..", "a b", "é"])
def test_a_name_that_cannot_be_an_id_is_refused_everywhere(
    command_line: CommandLine, machine: str, normal: Path, tmp_path: Path
) -> None:
    models = ("--models", tmp_path)
    for arguments in (
        ("train", "-n", normal, *models),
        ("score", normal, *models),
        ("backtest", normal, *models),
        ("models", "list", *models),
        ("models", "show", *models),
        ("models", "promote", "--version", "v1", *models),
        ("models", "rollback", *models),
        ("models", "export", tmp_path / "x", *models),
    ):
        called = command_line(*arguments, f"--machine={machine}")
        assert called.code == 2, (arguments, called)
        assert "cannot be an id" in called.verdict
    assert list(tmp_path.iterdir()) == []


def _bad_recordings(folder: Path) -> dict[str, str]:
    """Make every kind of bad recording; return what each is to be told as."""
    (folder / "empty folder").mkdir()
    (folder / "zero.wav").touch()
    (folder / "text.wav").write_text("this is no sound, whatever its name says")
    write(folder / "zeros.wav", np.zeros(16_000 * 70))
    write(folder / "nan.wav", np.full(16_000 * 70, np.nan), subtype="FLOAT")
    write(folder / "short.wav", machine_sound(20.0))
    write(folder / "low.wav", machine_sound(70.0, rate_hz=2_000), 2_000)
    whole = write(folder / "whole.wav", machine_sound(70.0))
    (folder / "truncated.wav").write_bytes(whole.read_bytes()[: 2 * 16_000 * 30])
    whole.unlink()
    return {
        "absent.wav": "no such file",
        "*.ogg": "no file matches",
        "empty folder": "no recording in this folder",
        "zero.wav": "empty file (0 bytes)",
        "text.wav": "not a recording",
        "zeros.wav": "0 s of usable sound",
        "nan.wav": "0 s of usable sound",
        "short.wav": "record 40 s more",
        "low.wav": "2000 Hz is too low",
        "truncated.wav": "s of usable sound",
    }


def test_bad_recordings_get_one_message_each(command_line: CommandLine, tmp_path: Path) -> None:
    for name, told in _bad_recordings(tmp_path).items():
        called = command_line("train", "-m", "f", "-n", tmp_path / name, "--models", tmp_path / "m")
        assert called.code == 2, name
        assert told in called.verdict, name
        assert called.out == ""
        assert sum(line.startswith("asd-monitor: ") for line in called.err.splitlines()) == 1
    assert not (tmp_path / "m").exists()


@pytest.mark.parametrize(
    ("rate_hz", "channels", "subtype", "container", "notice"),
    [
        (16_000, 8, "PCM_16", "wav", "8 channels: channel 0 is heard"),
        (48_000, 1, "PCM_24", "wav", None),
        (8_000, 1, "PCM_16", "wav", "nothing above 4000 Hz"),
        pytest.param(192_000, 1, "PCM_16", "flac", None, marks=pytest.mark.slow),
        pytest.param(
            44_100, 1, "MPEG_LAYER_III", "mp3", "lossy compression", marks=pytest.mark.slow
        ),
    ],
)
def test_unusual_recordings_work_with_one_notice_where_hearing_suffers(
    command_line: CommandLine,
    tmp_path: Path,
    *,
    rate_hz: int,
    channels: int,
    subtype: str,
    container: str,
    notice: str | None,
) -> None:
    sound = machine_sound(62.0, rate_hz=rate_hz)
    columns = np.stack([sound] * channels, 1)
    path = write(tmp_path / f"a.{container}", columns, rate_hz, subtype)
    if container == "mp3":
        path = path.rename(tmp_path / "a.wav")
    models = tmp_path / "m"
    called = command_line("train", "-m", "f", "-n", path, "--models", models)
    assert called.code == 0, called.err
    told = [line for line in called.err.splitlines() if str(path) in line]
    assert len(told) == (0 if notice is None else 1), told
    assert notice is None or notice in told[0]
    scored = command_line("score", path, "-m", "f", "--models", models, "--per", "file", "--json")
    assert scored.code == 0, scored.err
    assert json.loads(scored.out)["score"] < 2


def test_how_another_channel_is_chosen(
    command_line: CommandLine, trained: Path, tmp_path: Path
) -> None:
    path = write(tmp_path / "a.wav", np.stack([machine_sound(62.0)] * 2, 1))
    told = "2 channels: channel 0 is heard; `--channel 1` chooses another"
    for command in (("score", path), ("backtest", path), ("train", "--check", "-n", path)):
        called = command_line(*command, "-m", "fan01", "--models", trained)
        assert called.err.count(told) == 1, command
        assert told not in command_line(*command, "-m", "fan01", "--channel", "1").err


def test_a_bad_file_among_good_ones_is_named_and_the_others_go_on(
    command_line: CommandLine, normal: Path, tmp_path: Path
) -> None:
    (tmp_path / "zero.wav").touch()
    files = [tmp_path / "zero.wav", *normal.iterdir()]
    called = command_line("train", "-m", "f", "-n", *files, "--models", tmp_path / "m")
    assert called.code == 0
    assert "zero.wav: empty file" in called.err


def test_no_permission_is_said(command_line: CommandLine, open_folder: Path, normal: Path) -> None:
    command_line("train", "--check", "-m", "f", "-n", normal)  # loads what it needs, as root
    secret = write(open_folder / "secret.wav", machine_sound(1.0))
    secret.chmod(0)
    closed = open_folder / "closed"
    write(closed / "a.wav", machine_sound(1.0))
    closed.chmod(0)
    with without_privileges():
        for path in (secret, closed):
            called = command_line("train", "-m", "f", "-n", path, "--check")
            assert called.code == 1
            assert f"{path}: no permission to read it" in called.verdict


def test_a_models_folder_that_may_not_be_written(
    command_line: CommandLine, open_folder: Path
) -> None:
    sound = write(open_folder / "a.wav", machine_sound(61.0))
    models = open_folder / "models"
    assert command_line("train", "-m", "f", "-n", sound, "--models", models).code == 0
    assert command_line("score", sound, "-m", "f", "--models", models).code == 0  # loads, as root
    with without_privileges():
        called = command_line("train", "-m", "f", "-n", sound, "--models", models)
        assert called.code == 1
        assert str(models / "f") in called.verdict
        assert "--models" in called.verdict
        assert command_line("score", sound, "-m", "f", "--models", models).code == 0
        called = command_line("models", "rollback", "-m", "f", "--models", models)
        assert called.code == 1
    (models / "f/v1" / MANIFEST).chmod(0)
    with without_privileges():
        called = command_line("score", sound, "-m", "f", "--models", models)
        assert called.code == 1
        assert "no permission" in called.verdict


# score


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
    assert "8000 Hz, while the model listens" in called.verdict


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
    assert (called.code, "choose one" in called.verdict) == (2, True)


@pytest.mark.parametrize("command", ["score", "backtest"])
def test_no_model_and_bad_versions(
    command_line: CommandLine, command: str, trained: Path, fault: Path
) -> None:
    called = command_line(command, fault, "-m", "pump", "--models", trained)
    assert called.code == 1
    assert "no model of pump" in called.verdict
    assert "asd-monitor train" in called.verdict
    arguments = (command, fault, "-m", "fan01", "--models", trained, "--version")
    called = command_line(*arguments, "../../x")
    assert (called.code, "not a version" in called.verdict) == (2, True)
    called = command_line(*arguments, "v9")
    assert called.code == 1
    assert "v9" in called.verdict


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
        assert told in called.verdict
        assert "train anew" in called.verdict


# backtest


def test_backtest_tells_alarms_and_states(
    command_line: CommandLine, trained: Path, fault: Path
) -> None:
    arguments = ("backtest", fault, "-m", "fan01", "--models", trained)
    called = command_line(*arguments, "--json")
    assert called.code == 0, called.err
    told = json.loads(called.out)
    assert told["machine"] == "fan01"
    assert told["seconds"] == pytest.approx(45.0)
    assert told["budget"] == "1 per month"
    [alarm] = told["alarms"]
    assert {"id", "severity", "raised_s", "cleared_s", "peak_score"} <= alarm.keys()
    assert alarm["severity"] == "alarm"
    assert 25 < alarm["raised_s"] < 40
    assert alarm["cleared_s"] is None
    assert told["states"][0] == {"from_s": 0.0, "state": "normal"}
    assert told["states"][-1]["state"] == "alarm"
    called = command_line(*arguments)
    assert "fan01: 1 alarm in 0:45.0" in called.out
    assert "stands" in called.out


def test_backtest_takes_budgets(command_line: CommandLine, trained: Path, fault: Path) -> None:
    arguments = ("backtest", fault, "-m", "fan01", "--models", trained, "--json")
    thresholds = []
    for budget in ("1 per hour", "1 per month", "1 per 10 years"):
        told = json.loads(command_line(*arguments, "--false-alarms", budget).out)
        assert told["budget"] == budget
        thresholds.append(told["thresholds"]["alarm"])
    assert thresholds == sorted(set(thresholds))
    called = command_line(*arguments, "--false-alarms", "seldom")
    assert (called.code, "not a budget" in called.verdict) == (2, True)


def test_backtest_of_bad_recordings(
    command_line: CommandLine, trained: Path, tmp_path: Path
) -> None:
    (tmp_path / "bad").mkdir()
    for name, told in _bad_recordings(tmp_path / "bad").items():
        if name in ("absent.wav", "*.ogg", "empty folder", "zero.wav", "text.wav", "low.wav"):
            path = tmp_path / "bad" / name
            called = command_line("backtest", path, "-m", "fan01", "--models", trained)
            assert called.code == 2, name
            expected = {"*.ogg": "no such file", "low.wav": "2000 Hz"}.get(name, told)
            assert expected in called.verdict, name
            if name != "low.wav":
                assert len(called.err.splitlines()) == 1, called.err


def test_a_dead_microphone_is_no_calm_machine(
    command_line: CommandLine, trained: Path, tmp_path: Path
) -> None:
    zeros = write(tmp_path / "zeros.wav", np.zeros(16_000 * 70))
    arguments = ("-m", "fan01", "--models", trained)
    called = command_line("backtest", zeros, *arguments)
    assert called.code == 0
    assert "no alarm in 0:02.0 judged of 1:10.0" in called.out
    assert "Nobody could listen for 1:08.0 of 1:10.0" in called.out
    assert "microphone was dead from 0:02.0 to its end" in called.out
    assert "share of the 0:02.0 judged" in called.out
    told = json.loads(command_line("backtest", zeros, *arguments, "--json").out)
    assert told["evaluated_s"] == 2.0
    for shape in ("--csv", "--json"):
        scored = command_line("score", zeros, *arguments, shape)
        assert scored.code == 0
        assert "zeros.wav: 70.0 s of dead silence" in scored.err


@pytest.mark.slow
def test_backtest_is_what_run_does(
    command_line: CommandLine, trained: Path, fault: Path, tmp_path: Path
) -> None:
    """A folder of two files, at full speed, without a broker."""
    folder = tmp_path / "sound"
    folder.mkdir()
    fault.rename(folder / "1.wav")
    write(folder / "2.wav", machine_sound(15.0, seed=7, fault=1.0))
    state = tmp_path / "state"
    subprocess.run(
        [sys.executable, "-m", "asd_monitor", "run", "--device", f"file:{folder}", "--speed", "0",
         "--machine", "fan01", "--models", trained, "--state", state, "--broker", "localhost:1"],
        check=True, capture_output=True, timeout=90,
    )  # fmt: skip
    ran = json.loads(command_line("alarms", "list", "--state", state, "--json").out)
    tested = json.loads(
        command_line("backtest", folder, "-m", "fan01", "--models", trained, "--json").out
    )
    assert len(ran) == len(tested["alarms"]) == 1
    assert ran[0]["peak_score"] == pytest.approx(tested["alarms"][0]["peak_score"], abs=1e-3)
    assert ran[0]["active"] is True


# models


def test_versions_are_listed_shown_promoted_and_rolled_back(
    command_line: CommandLine, trained: Path, normal: Path
) -> None:
    models = ("--models", trained)
    assert command_line("train", "-m", "fan01", "-n", normal, *models).code == 0

    def current() -> str:
        rows = json.loads(command_line("models", "list", *models, "--json").out)
        assert [(row["machine"], row["version"]) for row in rows] == [
            ("fan01", "v1"),
            ("fan01", "v2"),
        ]
        assert all(row["problem"] is None for row in rows)
        [name] = [row["version"] for row in rows if row["current"]]
        return str(name)

    assert current() == "v2"
    assert command_line("models", "rollback", "-m", "fan01", *models).code == 0
    assert current() == "v1"
    called = command_line("models", "rollback", "-m", "fan01", *models)
    assert (called.code, "no usable version before v1" in called.verdict) == (1, True)
    assert command_line("models", "promote", "-m", "fan01", "--version", "v2", *models).code == 0
    assert current() == "v2"
    called = command_line("models", "promote", "-m", "fan01", "--version", "v7", *models)
    assert (called.code, "it has v1, v2" in called.verdict) == (1, True)
    shown = command_line("models", "show", "-m", "fan01", *models).out
    assert "v2" in shown
    assert "0.flac" in shown
    assert "fan01" in command_line("models", "list", *models).out
    (trained / "fan01/v2/views.npz").unlink()
    called = command_line("models", "list", *models, "--json")
    assert called.code == 1
    rows = json.loads(called.out)
    assert "views.npz is missing" in rows[1]["problem"]
    called = command_line("models", "list", *models)
    assert called.code == 1
    assert "damaged" in called.out
    assert "missing" not in called.out
    assert "fan01 v2: " in called.verdict
    assert "views.npz is missing" in called.verdict
    called = command_line("models", "promote", "-m", "fan01", "--version", "v2", *models)
    assert called.code == 1


def test_a_version_is_exported_and_in_use_there(
    command_line: CommandLine, trained: Path, normal: Path, fault: Path, tmp_path: Path
) -> None:
    there = tmp_path / "there"
    arguments = ("models", "export", there, "-m", "fan01", "--models", trained)
    for _ in range(2):  # a second time changes nothing
        called = command_line(*arguments)
        assert called.code == 0, called.err
        assert f"{there / 'fan01/v1'}" in called.out
    scored = [
        command_line("score", fault, "-m", "fan01", "--models", folder, "--json").out
        for folder in (trained, there)
    ]
    assert scored[0] == scored[1]
    # another model has the name there already
    elsewhere = tmp_path / "elsewhere"
    assert command_line("train", "-m", "fan01", "-n", normal, "--models", elsewhere).code == 0
    called = command_line(
        "models", "export", there, "-m", "fan01", "--models", elsewhere, "--version", "v1"
    )
    assert called.code == 0
    assert "fan01 v2 is in" in called.out
    rows = json.loads(command_line("models", "list", "--models", there, "--json").out)
    assert [(row["version"], row["current"]) for row in rows] == [("v1", False), ("v2", True)]


def test_no_models_at_all(
    command_line: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    called = command_line("models", "list", "--models", tmp_path / "absent")
    assert (called.code, called.out) == (1, "")
    assert f"{tmp_path}/absent: No such file or directory" in called.verdict
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path))
    called = command_line("models", "list")
    assert (called.code, called.out) == (0, "")
    assert "`asd-monitor train` makes one" in called.err
    assert command_line("models", "list", "--models", tmp_path, "--json").out == "[]\n"


def test_folders_that_may_not_be_read_are_told_in_one_line(
    command_line: CommandLine, open_folder: Path
) -> None:
    command_line("models", "list", "--models", open_folder)
    closed = open_folder / "closed"
    closed.mkdir(mode=0o700)
    with without_privileges():
        called = command_line("models", "list", "--models", closed)
    assert (called.code, called.out) == (1, "")
    assert str(closed) in called.err
    assert len(called.err.splitlines()) == 1


# evaluate


def test_evaluate_writes_its_results(command_line: CommandLine, tmp_path: Path) -> None:
    for n in range(3):
        name = f"normal_id_00_{n:08}.wav"
        write(tmp_path / "d/fan/train" / name, machine_sound(8.0, seed=n))
    write(tmp_path / "d/fan/test/normal_id_00_00000003.wav", machine_sound(4.0, seed=3))
    broken = machine_sound(4.0, seed=4, fault=1.0)
    write(tmp_path / "d/fan/test/anomaly_id_00_00000000.wav", broken)
    arguments = ("evaluate", tmp_path / "d", "--output", tmp_path / "o", "--jobs", 1)
    called = command_line(*arguments)
    assert called.code == 0, called.err
    assert "fan id_00" in called.out
    report = (tmp_path / "o/report.html").read_text()
    assert "1 machine<" in report
    assert "of 1 type, 2 test clips" in report
    assert "by each view alone" in called.out
    told = json.loads((tmp_path / "o/results.json").read_text())
    assert told["mean"] == {"auc": 1.0, "pauc": 1.0}
    assert json.loads(command_line(*arguments, "--json").out) == told
    (tmp_path / "o/results.json").unlink()
    (tmp_path / "file").touch()
    called = command_line("evaluate", tmp_path / "d", "--output", tmp_path / "file")
    assert (called.code, "--output" in called.verdict) == (1, True)
    assert command_line("evaluate", tmp_path / "absent").code == 2
    assert command_line("evaluate", tmp_path / "d", "--rules", "1999").code == 2
