"""train: from recordings to a version, and what is said of bad ones."""

import json
from pathlib import Path

import numpy as np
import pytest

from asd_monitor.model_store.versions import MANIFEST
from tests.doubles.bad_recordings import bad_recordings
from tests.doubles.command_line import CommandLine, without_privileges
from tests.doubles.synthetic_sounds import machine_sound, write


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
    assert "record 25 s more" in called.message
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
    assert (called.code, "there is no machine fan02: it has fan01" in called.message) == (2, True)


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
        assert "cannot be an id" in called.message
    assert list(tmp_path.iterdir()) == []


def test_bad_recordings_get_one_message_each(command_line: CommandLine, tmp_path: Path) -> None:
    for name, told in bad_recordings(tmp_path).items():
        called = command_line("train", "-m", "f", "-n", tmp_path / name, "--models", tmp_path / "m")
        assert called.code == 2, name
        assert told in called.message, name
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
            assert f"{path}: no permission to read it" in called.message


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
        assert str(models / "f") in called.message
        assert "--models" in called.message
        assert command_line("score", sound, "-m", "f", "--models", models).code == 0
        called = command_line("models", "rollback", "-m", "f", "--models", models)
        assert called.code == 1
    (models / "f/v1" / MANIFEST).chmod(0)
    with without_privileges():
        called = command_line("score", sound, "-m", "f", "--models", models)
        assert called.code == 1
        assert "no permission" in called.message
