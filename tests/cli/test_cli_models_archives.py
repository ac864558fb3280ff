"""`models export|import|delete` on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from asd_monitor.journal.machine_journal import MachineJournal
from asd_monitor.journal.requests import Request, Verb
from asd_monitor.journal.store import Journal
from tests.doubles.command_line import CommandLine
from tests.doubles.journalled_machine import FAN_ALARM, NOW, RAISED, apply_requests
from tests.doubles.model_versions import current


def test_a_model_travels_with_its_labels_in_one_archive(
    command_line: CommandLine, trained_without_encoder: Path, fault: Path, tmp_path: Path
) -> None:
    state, file, there = tmp_path / "state", tmp_path / "fan01.tar", tmp_path / "there"
    with Journal(state) as journal:
        machine = MachineJournal(journal, "fan01")
        machine.record(RAISED, NOW, "v1")
        arguments = {"label": "invalid"}
        label = Request(Verb.LABEL, "fan01", "ann", NOW, FAN_ALARM, "a fork lift", arguments)
        journal.requests.add(label)
        apply_requests(machine)
    models = ("--models", trained_without_encoder, "-m", "fan01")
    result = command_line("models", "export", file, *models, "--state", state)
    assert result.code == 0, result.err
    assert "with 1 label of alarms" in result.out
    result = command_line("models", "import", file, "--models", there)
    assert result.code == 0, result.err
    assert f"{FAN_ALARM}  invalid by ann: a fork lift" in result.out
    assert "fan01 uses v1" in result.out
    result = command_line("models", "import", file, "--models", there, "--json")
    found = json.loads(result.out)
    assert (found["version"], found["new"], found["in_use"]) == ("v1", False, True)
    assert found["labels"] == [{"alarm_id": FAN_ALARM, "label": "invalid", "why": "a fork lift"}]
    scored = [
        command_line("score", fault, "-m", "fan01", "--models", folder, "--json").out
        for folder in (trained_without_encoder, there)
    ]
    assert scored[0] == scored[1]


@pytest.mark.parametrize(
    "named",
    [("fan01",), ("fan01", "v1"), ("-m", "fan01"), ("fan01", "--version", "v1")],
)
def test_machine_and_version_of_an_export_are_arguments_or_options(
    command_line: CommandLine,
    trained_without_encoder: Path,
    tmp_path: Path,
    named: tuple[str, ...],
) -> None:
    file = tmp_path / "fan01.tar"
    models = ("--models", trained_without_encoder, "--state", tmp_path)
    result = command_line("models", "export", *named, file, *models)
    assert (result.code, file.exists()) == (0, True), result.err
    assert f"{file}: fan01 v1" in result.out


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("fan01.tar",), "no machine is named"),
        (("fan01", "v1", "v2", "fan01.tar"), "too many words"),
        (("fan01", "v1"), "no file is named"),
        (("fan01", "first", "fan01.tar"), "'first' is not a version"),
        (("fan01", "fan01.tar", "-m", "fan02"), "fan01 and --machine fan02 are not the same"),
    ],
)
def test_other_words_of_an_export_are_refused(
    command_line: CommandLine, tmp_path: Path, words: tuple[str, ...], problem: str
) -> None:
    result = command_line("models", "export", *words, "--models", tmp_path)
    assert (result.code, result.out) == (2, "")
    assert problem in result.message
    assert "v1" in result.message or "MACHINE [VERSION] FILE.tar" in result.message


def test_an_imported_version_beside_another_is_put_into_use_by_the_printed_command(
    command_line: CommandLine, own_models: Path, trained_without_encoder: Path, tmp_path: Path
) -> None:
    file = tmp_path / "fan01.tar"
    models = ("--models", trained_without_encoder, "-m", "fan01")
    assert command_line("models", "export", file, *models, "--state", tmp_path / "none").code == 0
    result = command_line("models", "import", file, "--models", own_models)
    assert "fan01 v2, there v1: imported" in result.out
    assert current(own_models) == "v1"
    printed = result.out.partition("use with `asd-monitor ")[2].partition("`")[0]
    assert command_line(*printed.split()).code == 0
    assert current(own_models) == "v2"
    delete = ("models", "delete", "fan01", "v2", "--models", own_models)
    result = command_line(*delete)
    assert (result.code, "fan01 v2 is in use" in result.message) == (2, True)
    result = command_line(*delete, "--anyway")
    assert (result.code, result.out) == (0, "fan01 v2: deleted.\n")
    assert "so no version is in use: choose a version with `asd-monitor" in result.err


def test_a_folder_is_taken_as_by_earlier_versions_with_a_notice(
    command_line: CommandLine, trained_without_encoder: Path, tmp_path: Path
) -> None:
    models = ("--models", trained_without_encoder, "-m", "fan01")
    result = command_line("models", "export", tmp_path / "there", *models)
    assert result.code == 0, result.err
    assert "name a file FILE.tar for one archive" in result.err
    assert current(tmp_path / "there") == "v1"


def test_a_foreign_archive_is_refused_in_one_line(
    command_line: CommandLine, tmp_path: Path
) -> None:
    (tmp_path / "x.tar").write_bytes(bytes(2048))
    for name, reason in (("x.tar", "it is not a model of asd-monitor"), ("y.tar", "No such file")):
        result = command_line("models", "import", tmp_path / name, "--models", tmp_path / "m")
        assert result.code == 2
        assert reason in result.message
        assert len(result.err.splitlines()) == 1
