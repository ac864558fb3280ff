"""The machine and the version of `models` commands, as arguments and as options."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.doubles.command_line import CommandLine

MACHINE = ("show", "promote", "rollback", "refit", "compare", "delete")
VERSION = ("show", "promote", "delete")


@pytest.mark.parametrize(
    "named",
    [
        ("fan01", "v1"),
        ("-m", "fan01", "--version", "v1"),
        ("fan01", "--version", "v1"),
        ("fan01", "v1", "-m", "fan01"),
    ],
)
@pytest.mark.parametrize("command", VERSION)
def test_machine_and_version_are_arguments_or_options(
    command_line: CommandLine, trained: Path, command: str, named: tuple[str, ...]
) -> None:
    result = command_line("models", command, *named, "--models", trained)
    if command == "delete":  # understood, and refused
        assert "is in use" in result.message
    else:
        assert result.code == 0, result.err
        assert "fan01" in result.out


@pytest.mark.parametrize("command", MACHINE)
def test_the_machine_alone_is_an_argument_or_an_option(
    command_line: CommandLine, tmp_path: Path, command: str
) -> None:
    folders = ("--models", tmp_path / "models")
    version = ("--version", "v1") if command in {"promote", "delete"} else ()
    by_argument = command_line("models", command, "fan01", *version, *folders)
    by_option = command_line("models", command, "--machine", "fan01", *version, *folders)
    assert by_argument == by_option
    assert "is named" not in by_option.message
    assert "fan01" in by_option.message


@pytest.mark.parametrize("command", MACHINE)
def test_no_machine_and_two_machines_are_refused_with_the_form(
    command_line: CommandLine, tmp_path: Path, command: str
) -> None:
    none = command_line("models", command, "--models", tmp_path)
    assert (none.code, none.out) == (2, "")
    assert f"no machine is named: write `asd-monitor models {command} MACHINE" in none.message
    two = command_line("models", command, "fan01", "-m", "fan02", "--models", tmp_path)
    assert (two.code, two.out) == (2, "")
    assert "fan01 and --machine fan02 are not the same: write `asd-monitor" in two.message


@pytest.mark.parametrize("command", ["promote", "delete"])
def test_no_version_and_two_versions_are_refused_with_the_form(
    command_line: CommandLine, tmp_path: Path, command: str
) -> None:
    none = command_line("models", command, "fan01", "--models", tmp_path)
    assert (none.code, none.out) == (2, "")
    assert f"no version is named: write `asd-monitor models {command} MACHINE" in none.message
    two = command_line("models", command, "fan01", "v1", "--version", "v2", "--models", tmp_path)
    assert (two.code, two.out) == (2, "")
    assert "v1 and --version v2 are not the same" in two.message


@pytest.mark.parametrize("command", MACHINE)
def test_an_id_that_is_none_is_refused_in_both_places(
    command_line: CommandLine, tmp_path: Path, command: str
) -> None:
    for named in (["a/b"], ["--machine", "a/b"]):
        result = command_line("models", command, *named, "--models", tmp_path)
        assert (result.code, result.out) == (2, "")
        assert "a/b" in result.message
