"""models: list, show, promote, roll back and export versions."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.doubles.bundle_files import edit_manifest
from tests.doubles.command_line import CommandLine, without_privileges


def test_versions_are_listed_shown_promoted_and_rolled_back(
    command_line: CommandLine, own_models: Path, trained_without_encoder: Path
) -> None:
    models = ("--models", own_models)
    export = ("models", "export", own_models, "--models", trained_without_encoder)
    assert command_line(*export, "-m", "fan01").code == 0

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
    result = command_line("models", "rollback", "-m", "fan01", *models)
    assert (result.code, "no usable version before v1" in result.message) == (1, True)
    assert command_line("models", "promote", "-m", "fan01", "--version", "v2", *models).code == 0
    assert current() == "v2"
    result = command_line("models", "promote", "-m", "fan01", "--version", "v7", *models)
    assert (result.code, "it has v1, v2" in result.message) == (1, True)
    shown = command_line("models", "show", "-m", "fan01", *models).out
    assert "v2" in shown
    assert "0.flac" in shown
    assert "(1 per day)" in shown
    assert "provisional: training sound from within one hour" in shown
    assert "fan01" in command_line("models", "list", *models).out
    one = command_line("models", "list", "fan01", *models, "--json")
    assert one == command_line("models", "list", "-m", "fan01", *models, "--json")
    assert len(json.loads(one.out)) == 2
    two = command_line("models", "list", "fan01", "-m", "fan02", *models)
    assert (two.code, "write `asd-monitor models list [MACHINE]`" in two.message) == (2, True)
    (own_models / "fan01/v2/views.npz").unlink()
    result = command_line("models", "list", *models, "--json")
    assert result.code == 1
    rows = json.loads(result.out)
    assert "views.npz is missing" in rows[1]["problem"]
    result = command_line("models", "list", *models)
    assert result.code == 1
    assert "damaged" in result.out
    assert "missing" not in result.out
    assert "fan01 v2: " in result.message
    assert "views.npz is missing" in result.message
    result = command_line("models", "promote", "-m", "fan01", "--version", "v2", *models)
    assert result.code == 1


def test_an_exported_version_is_in_use_in_the_other_folder(
    command_line: CommandLine,
    trained: Path,
    trained_without_encoder: Path,
    fault: Path,
    tmp_path: Path,
) -> None:
    there = tmp_path / "there"
    arguments = ("models", "export", there, "-m", "fan01", "--models", trained)
    for _ in range(2):  # a second time changes nothing
        result = command_line(*arguments)
        assert result.code == 0, result.err
        assert f"{there / 'fan01/v1'}" in result.out
    scored = [
        command_line("score", fault, "-m", "fan01", "--models", folder, "--json").out
        for folder in (trained, there)
    ]
    assert scored[0] == scored[1]
    # another model has the same version in the other folder
    other = ("models", "export", there, "-m", "fan01", "--models", trained_without_encoder)
    result = command_line(*other, "--version", "v1")
    assert result.code == 0
    assert f"fan01 v2: copied to {there / 'fan01/v2'}" in result.out
    rows = json.loads(command_line("models", "list", "--models", there, "--json").out)
    assert [(row["version"], row["current"]) for row in rows] == [("v1", False), ("v2", True)]


def test_a_missing_folder_is_an_error_unless_it_is_the_default(
    command_line: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = command_line("models", "list", "--models", tmp_path / "absent")
    assert (result.code, result.out) == (1, "")
    assert f"{tmp_path}/absent: cannot be accessed (No such file or directory)" in result.message
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path))
    result = command_line("models", "list")
    assert (result.code, result.out) == (0, "")
    assert "train one with `asd-monitor train`" in result.err
    named = tmp_path / "named"
    named.mkdir()
    result = command_line("models", "list", "--models", named)
    assert f"train one with `asd-monitor train --models {named}`" in result.err
    assert command_line("models", "list", "--models", tmp_path, "--json").out == "[]\n"


def test_an_unreadable_folder_is_reported_in_one_line(
    command_line: CommandLine, open_folder: Path
) -> None:
    command_line("models", "list", "--models", open_folder)
    closed = open_folder / "closed"
    closed.mkdir(mode=0)
    with without_privileges():
        result = command_line("models", "list", "--models", closed)
    assert (result.code, result.out) == (1, "")
    assert str(closed) in result.err
    assert len(result.err.splitlines()) == 1


def test_a_version_without_facts_of_its_training_is_listed_and_shown(
    command_line: CommandLine, own_models: Path
) -> None:
    facts: dict[str, object] = {
        "trained": None,
        "training": None,
        "thresholds": None,
        "warnings": [],
    }
    edit_manifest(own_models / "fan01/v1", lambda manifest: manifest.update(facts))
    for command in ("list", "show"):
        for form in ((), ("--json",)):
            result = command_line("models", command, "-m", "fan01", "--models", own_models, *form)
            assert result.code == 0, result.err


def test_names_that_are_no_text_are_shown_as_escapes(
    command_line: CommandLine, own_models: Path
) -> None:
    warnings = {"warnings": ["a\udcff.wav is short"]}
    edit_manifest(own_models / "fan01/v1", lambda manifest: manifest.update(warnings))
    result = command_line("models", "show", "-m", "fan01", "--models", own_models)
    assert "a\\udcff.wav is short" in result.out
    shown = command_line("models", "show", "-m", "fan01", "--models", own_models, "--json")
    assert json.loads(shown.out)["warnings"] == warnings["warnings"]


def test_a_version_without_a_baseline_of_the_microphone_is_shown_as_such(
    command_line: CommandLine, own_models: Path
) -> None:
    folder = own_models / "fan01/v1"
    shown = command_line("models", "show", "-m", "fan01", "--models", own_models).out
    assert "microphone  judged by the spectra of 1 operating mode" in shown

    def remove(manifest: dict[str, Any]) -> None:
        del manifest["microphone"]
        del manifest["files"]["microphone.npz"]

    edit_manifest(folder, remove)
    shown = command_line("models", "show", "-m", "fan01", "--models", own_models).out
    assert "microphone  not judged by its spectrum: train again for that" in shown
