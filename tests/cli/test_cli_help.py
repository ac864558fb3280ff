"""Help texts."""

import pytest

from tests.doubles.command_line import CommandLine


@pytest.mark.parametrize("group", [(), ("models",), ("alarms",), ("config",)])
def test_the_list_of_commands_fits_80_columns(
    command_line: CommandLine, monkeypatch: pytest.MonkeyPatch, group: tuple[str, ...]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    commands = command_line(*group, "--help").out.split("Commands")[1]
    assert "..." not in commands
    assert "…" not in commands
    assert max(map(len, commands.splitlines())) <= 80
