"""Help texts."""

from collections.abc import Iterator
from typing import Any

import pytest
import typer

from asd_monitor.cli.app import app
from tests.doubles.command_line import CommandLine


@pytest.mark.parametrize("group", [(), ("models",), ("alarms",), ("config",), ("box",)])
def test_the_list_of_commands_fits_80_columns(
    command_line: CommandLine, monkeypatch: pytest.MonkeyPatch, group: tuple[str, ...]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    commands = command_line(*group, "--help").out.split("Commands")[1]
    assert "..." not in commands
    assert "…" not in commands
    assert max(map(len, commands.splitlines())) <= 80


def test_the_help_of_each_command_fits_80_columns(
    command_line: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    for command in ((), *commands(typer.main.get_command(app))):
        lines = command_line(*command, "--help").out.splitlines()
        assert [line for line in lines if len(line) > 80] == []


def commands(group: Any, names: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*names, name))
        else:
            yield (*names, name)


@pytest.mark.parametrize("command", list(commands(typer.main.get_command(app))), ids=" ".join)
def test_arguments_are_listed_by_name(command_line: CommandLine, command: tuple[str, ...]) -> None:
    result = command_line(*command, "--help")
    assert result.code == 0
    arguments = result.out.partition("Arguments:")[2].partition("Options:")[0]
    assert "<" not in arguments


@pytest.mark.parametrize(
    ("arguments", "extra"),
    [
        (("run", "hall.yaml"), "'hall.yaml'"),
        (("run", "--device", "name:USB", "Mic", "--machine", "fan01"), "'Mic'"),
        (("backtest", "a.wav", "-m", "fan01", "--false-alarms", "1", "per", "week"), "'per week'"),
        (("devices", "hw:1"), "'hw:1'"),
    ],
)
def test_an_argument_too_many_tells_how_values_are_given(
    command_line: CommandLine, arguments: tuple[str, ...], extra: str
) -> None:
    result = command_line(*arguments)
    assert result.code == 2
    assert f"unexpected argument {extra}: write each value after its option" in result.message
    assert "--help`" in result.message
