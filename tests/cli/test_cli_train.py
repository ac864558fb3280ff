"""train: a version from recordings, and errors of recordings."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from asd_monitor.model_store.versions import MANIFEST
from tests.doubles.bad_recordings import bad_recordings
from tests.doubles.command_line import CommandLine, CommandResult, without_privileges
from tests.doubles.synthetic_sounds import machine_sound, write


def test_train_writes_a_version_and_names_its_report(
    training: tuple[CommandResult, Path],
) -> None:
    result, _ = training
    assert "fan01 v1: trained on 70 s of normal sound (2 files)" in result.out
    assert "Held-out 14 s: no alarm" in result.out
    assert "for 1 per day, provisional (configured: 1 per month)" in result.out
    assert "warning: provisional: training sound from within one hour" in result.err
    lines = result.out.splitlines()
    first = lines.index("Would be detected, after:") + 1
    assert lines[first].startswith("  an added tone 3 dB above its third-octave band: ")
    assert lines[first + 7].startswith("  bearing impacts at −4 dB: ")
    report = Path(result.out.split("Report: ")[1].strip())
    assert report.read_text().startswith("<!doctype html>")
    assert "70 s is little" in result.err


def test_a_second_training_writes_the_next_version(
    command_line: CommandLine, own_models: Path, normal: Path
) -> None:
    files = sorted(normal.iterdir())
    train = ("train", "-m", "fan01", "-n", *files, "--models", own_models, "--json")
    result = command_line(*train, "--no-shipped-encoder")
    assert result.code == 0, result.err
    document = json.loads(result.out)
    assert document["version"] == "v2"
    assert document["training"]["files"][0]["name"] == "0.flac"
    assert document["held_out"]["alarms"] == 0
    assert document["thresholds"]["provisional"] is True
    assert document["thresholds"]["effective_false_alarms"] == "1 per day"
    assert [mode["share"] for mode in document["modes"]] == [1.0]
    faults = document["sensitivity"]["faults"]
    assert [(each["kind"], each["severity_db"]) for each in faults] == [
        ("tone", 3.0),
        ("tone", 6.0),
        ("tone", 10.0),
        ("tone", 15.0),
        ("impacts", -18.0),
        ("impacts", -14.0),
        ("impacts", -9.0),
        ("impacts", -4.0),
    ]


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
    result = command_line("train", "--check", *arguments, "-m", "fan01")
    assert result.code == 0, result.err
    assert "70 s of usable sound in 2 files" in result.out


def test_check_trains_nothing(command_line: CommandLine, normal: Path, tmp_path: Path) -> None:
    arguments = ("train", "-m", "fan01", "--models", tmp_path / "m", "--check", "--json", "-n")
    result = command_line(*arguments, normal)
    assert result.code == 0
    assert json.loads(result.out)["sufficient"] is True
    result = command_line(*arguments, normal / "0.flac")
    assert result.code == 2
    document = json.loads(result.out)
    assert not document["sufficient"]
    assert (document["usable_s"], document["needed_s"]) == (35.0, 60.0)
    assert "record 25 s more" in result.message
    assert not (tmp_path / "m").exists()


def test_check_warns_of_what_training_warns_of(
    command_line: CommandLine, training: tuple[CommandResult, Path], normal: Path
) -> None:
    def warnings(text: str) -> set[str]:
        return {line for line in text.splitlines() if line.startswith("warning: ")}

    result = command_line("train", "--check", "-m", "fan01", "-n", normal)
    assert result.out.startswith("The recordings suffice, with 2 warnings: 70 s")
    assert warnings(result.err) < warnings(training[0].err)
    assert "70 s is little" in result.err
    assert "switching it off will raise an alarm" in result.err
    document = command_line("train", "--check", "-m", "fan01", "-n", normal, "--json").out
    assert len(json.loads(document)["warnings"]) == 2


def test_a_models_folder_is_checked_before_the_recordings_are_read(
    command_line: CommandLine, normal: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    result = command_line("train", "-m", "f", "-n", normal, "--models", tmp_path / "file")
    assert result.code == 1
    assert "file where a folder is needed" in result.message
    assert len(result.err.splitlines()) == 1


@pytest.mark.usefixtures("unmeasured")
def test_names_of_any_kind_stop_no_training(
    command_line: CommandLine, normal: Path, tmp_path: Path
) -> None:
    names = (b"fan [normal].flac", b"[link=x]latin \xe4\n.flac")
    for name, path in zip(names, sorted(normal.iterdir()), strict=True):
        shutil.copy(path, tmp_path / os.fsdecode(name))
    (tmp_path / "other.bin").touch()
    train = ("train", "-m", "f", "-n", tmp_path, "--models", tmp_path / "m")
    result = command_line(*train, "--no-shipped-encoder")
    assert result.code == 0, result.err
    assert "1 file left out, by the suffix no recording (.bin)" in result.err
    report = next((tmp_path / "m").rglob("report.html")).read_text("utf-8")
    assert "fan [normal].flac" in report
    assert r"[link=x]latin \udce4\n.flac" in report
    score = ("score", tmp_path, "-m", "f", "--models", tmp_path / "m", "--per", "file")
    table = command_line(*score).out
    assert "fan [normal].flac" in table
    assert r"[link=x]latin \udce4\n.flac" in table
    assert table.encode("utf-8")
    lines = command_line(*score, "--json").out
    assert lines.encode("utf-8")
    assert {Path(json.loads(line)["file"]).name for line in lines.splitlines()} == {
        os.fsdecode(name) for name in names
    }
    assert command_line(*score, "--csv").out.encode("utf-8").count(b"\n") == 3


@pytest.mark.usefixtures("unmeasured")
def test_settings_are_read_from_a_configuration_file(
    command_line: CommandLine, normal: Path, tmp_path: Path
) -> None:
    config = tmp_path / "edge.yaml"
    config.write_text(
        "version: 1\nbox: b\ndefaults: {window_s: 1.0}\n"
        "machines: {fan01: {device: 'hw:1', alarm: {false_alarms: 1 per week}}}\n"
    )
    arguments = ("train", "-n", normal, "--models", tmp_path / "m", "--config", config)
    assert command_line(*arguments, "-m", "fan01", "--no-shipped-encoder").code == 0
    manifest = json.loads(
        command_line("models", "show", "-m", "fan01", "--models", tmp_path / "m", "--json").out
    )
    assert manifest["thresholds"]["false_alarms"] == "1 per week"
    assert manifest["front_end"]["window_frames"] < 61
    result = command_line(*arguments, "-m", "fan02")
    assert (
        result.code,
        "there is no machine fan02: did you mean fan01?" in result.message,
    ) == (2, True)


@pytest.mark.parametrize("machine", ["../x", "a/b", "fan+", "#", "box", "", ".", "..", "a b", "é"])
def test_an_invalid_machine_id_is_refused(
    command_line: CommandLine, machine: str, normal: Path, tmp_path: Path
) -> None:
    result = command_line("train", "-n", normal, "--models", tmp_path, f"--machine={machine}")
    assert result.code == 2, result
    assert "cannot be an id" in result.message
    assert list(tmp_path.iterdir()) == []


def test_every_command_refuses_an_invalid_machine_id(
    command_line: CommandLine, normal: Path, tmp_path: Path
) -> None:
    for arguments in (
        ("score", normal),
        ("backtest", normal),
        ("models", "list"),
        ("models", "show"),
        ("models", "promote", "--version", "v1"),
        ("models", "rollback"),
        ("models", "export", tmp_path / "x"),
    ):
        result = command_line(*arguments, "--models", tmp_path, "--machine", "../x")
        assert result.code == 2, (arguments, result)
        assert "cannot be an id" in result.message
    assert list(tmp_path.iterdir()) == []


def test_each_unusable_recording_is_refused_with_one_message(
    command_line: CommandLine, tmp_path: Path
) -> None:
    for name, text in bad_recordings(tmp_path).items():
        result = command_line("train", "-m", "f", "-n", tmp_path / name, "--models", tmp_path / "m")
        assert result.code == 2, name
        assert text in result.message, name
        assert result.out == ""
        assert sum(line.startswith("asd-monitor: ") for line in result.err.splitlines()) == 1
    assert not (tmp_path / "m").exists()


@pytest.mark.usefixtures("unmeasured")
@pytest.mark.parametrize(
    ("rate_hz", "channels", "subtype", "container", "notice"),
    [
        (16_000, 8, "PCM_16", "wav", "8 channels: channel 0 is used"),
        (48_000, 1, "PCM_24", "wav", None),
        (8_000, 1, "PCM_16", "wav", "nothing above 4000 Hz"),
        pytest.param(192_000, 1, "PCM_16", "flac", None, marks=pytest.mark.slow),
        pytest.param(
            44_100, 1, "MPEG_LAYER_III", "mp3", "lossy compression", marks=pytest.mark.slow
        ),
    ],
)
def test_unusual_formats_are_accepted_with_a_notice_where_information_is_lost(
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
    train = ("train", "-m", "f", "-n", path, "--models", models)
    result = command_line(*train, "--no-shipped-encoder")
    assert result.code == 0, result.err
    lines = [line for line in result.err.splitlines() if str(path) in line]
    assert len(lines) == (0 if notice is None else 1), lines
    assert notice is None or notice in lines[0]
    scored = command_line("score", path, "-m", "f", "--models", models, "--per", "file", "--json")
    assert scored.code == 0, scored.err
    assert json.loads(scored.out)["score"] < 2


@pytest.mark.usefixtures("unmeasured")
def test_recordings_of_several_channels_are_noticed_unless_a_channel_is_chosen(
    command_line: CommandLine, trained: Path, tmp_path: Path
) -> None:
    path = write(tmp_path / "a.wav", np.stack([machine_sound(5.0)] * 2, 1))
    notice = "2 channels: channel 0 is used; `--channel 1` selects another"
    too_short = 2
    for command, code in (
        (("score", path), 0),
        (("backtest", path), 0),
        (("train", "--check", "-n", path), too_short),
    ):
        arguments = (*command, "-m", "fan01", "--models", trained)
        result = command_line(*arguments)
        assert (result.code, result.err.count(notice)) == (code, 1), command
        result = command_line(*arguments, "--channel", "1")
        assert (result.code, notice in result.err) == (code, False), command


@pytest.mark.usefixtures("unmeasured")
def test_an_unusable_file_is_reported_and_the_others_are_used(
    command_line: CommandLine, normal: Path, tmp_path: Path
) -> None:
    (tmp_path / "zero.wav").touch()
    files = [tmp_path / "zero.wav", *normal.iterdir()]
    train = ("train", "-m", "f", "-n", *files, "--models", tmp_path / "m")
    result = command_line(*train, "--check")
    assert result.code == 0
    assert "zero.wav: empty file" in result.err


def test_missing_permission_is_an_error(
    command_line: CommandLine, open_folder: Path, normal: Path
) -> None:
    command_line("train", "--check", "-m", "f", "-n", normal)  # loads what it needs, as root
    secret = write(open_folder / "secret.wav", machine_sound(1.0))
    secret.chmod(0)
    closed = open_folder / "closed"
    write(closed / "a.wav", machine_sound(1.0))
    closed.chmod(0)
    with without_privileges():
        for path in (secret, closed):
            result = command_line("train", "-m", "f", "-n", path, "--check")
            assert result.code == 1
            assert f"{path}: no permission to read it" in result.message


@pytest.mark.usefixtures("unmeasured")
def test_a_models_folder_that_is_not_writable_is_an_error(
    command_line: CommandLine, open_folder: Path, trained_without_encoder: Path
) -> None:
    sound = write(open_folder / "a.wav", machine_sound(61.0))
    models = open_folder / "models"
    shutil.copytree(trained_without_encoder, models)
    score = ("score", sound, "-m", "fan01", "--models", models)
    assert command_line(*score).code == 0  # loads what it needs, as root
    for folder in (models, models / "fan01", models / "fan01/v1"):
        folder.chmod(0o555)
    with without_privileges():
        train = ("train", "-m", "fan01", "-n", sound, "--models", models)
        result = command_line(*train, "--no-shipped-encoder")
        assert result.code == 1
        assert str(models / "fan01") in result.message
        assert "--models" in result.message
        assert command_line(*score).code == 0
        result = command_line("models", "rollback", "-m", "fan01", "--models", models)
        assert result.code == 1
    (models / "fan01/v1" / MANIFEST).chmod(0)
    with without_privileges():
        result = command_line(*score)
        assert result.code == 1
        assert "no permission" in result.message
