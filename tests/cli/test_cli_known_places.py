"""What is named to a command that was given no configuration and no state folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from asd_monitor.cli import known_places
from asd_monitor.cli.known_places import configuration_hint, known_configurations, state_hint
from tests.doubles.command_line import CommandLine


@pytest.fixture
def services(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of configurations of services, and a user who has one."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "own"))
    for name in ("etc/hall.yaml", "etc/hall.password", "own/asd-monitor/machines.yaml"):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    return tmp_path / "etc"


def test_the_configurations_of_services_and_of_the_user_are_named(services: Path) -> None:
    found = known_configurations(services)
    own = services.parent / "own/asd-monitor/machines.yaml"
    assert found == [services / "hall.yaml", own]
    assert configuration_hint(found) == f"`--config {services}/hall.yaml` or `--config {own}`"
    assert configuration_hint([]) is None


def test_the_state_folders_of_services_are_named(services: Path) -> None:
    hint = "`--state /var/lib/asd-monitor/hall`"
    assert state_hint(services, services) == hint
    assert state_hint(Path("/var/lib/asd-monitor/hall"), services) is None
    assert state_hint(services, services / "none") is None


def test_commands_say_what_to_add(
    services: Path, command_line: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(known_places.known_configurations, "__defaults__", (services,))
    monkeypatch.setattr(known_places.state_hint, "__defaults__", (services,))
    added = f"`--config {services}/hall.yaml`"
    assert f"or {added} or" in command_line("run").err
    assert f"remedy: add {added} or" in command_line("doctor").out
    state = services.parent / "state"
    state.mkdir()
    for command in (["list"], ["stats"], ["ack", "x"], ["show", "x"]):
        called = command_line("alarms", *command, "--state", state)
        assert "add `--state /var/lib/asd-monitor/hall`, with sudo" in called.err, command
