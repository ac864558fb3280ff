"""demo, before it starts anything."""

import sys
from pathlib import Path

import pytest

from tests.doubles.command_line import CommandLine


def test_without_its_broker_the_command_that_installs_it_is_named(
    command_line: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "amqtt", None)
    result = command_line("demo", "--output", tmp_path / "demo")
    assert (result.code, result.out) == (1, "")
    assert "demo needs amqtt, which is not installed" in result.message
    assert f"run `{sys.prefix}/bin/pip install -c constraints.txt '.[demo]'`" in result.message
    assert not (tmp_path / "demo").exists()
