"""models: versions listed, promoted, rolled back and exported."""

import json
from pathlib import Path

import pytest

from tests.doubles.command_line import CommandLine, without_privileges


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
    assert (called.code, "no usable version before v1" in called.message) == (1, True)
    assert command_line("models", "promote", "-m", "fan01", "--version", "v2", *models).code == 0
    assert current() == "v2"
    called = command_line("models", "promote", "-m", "fan01", "--version", "v7", *models)
    assert (called.code, "it has v1, v2" in called.message) == (1, True)
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
    assert "fan01 v2: " in called.message
    assert "views.npz is missing" in called.message
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
    assert f"{tmp_path}/absent: No such file or directory" in called.message
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
