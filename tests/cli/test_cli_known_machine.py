"""Ids of machines without a model: mistyped ones are refused; `run` warns and starts."""

from __future__ import annotations

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from asd_monitor.cli.known_machine import log_notices
from tests.doubles.command_line import CommandLine

STATE = Path("/nonexistent/state")


@pytest.mark.parametrize(
    "command",
    [
        ("score", "absent.wav"),
        ("backtest", "absent.wav"),
        ("models", "list"),
        ("models", "show"),
        ("models", "promote", "--version", "v1"),
        ("models", "rollback"),
        ("models", "export", "other"),
    ],
    ids=" ".join,
)
def test_a_mistyped_machine_is_refused_with_a_suggestion(
    command_line: CommandLine, trained: Path, command: tuple[str, ...]
) -> None:
    result = command_line(*command, "--machine", "fan1", "--models", trained)
    assert result.code == 2
    assert result.message.endswith(f"{trained}: there is no machine fan1: did you mean fan01?")


def test_a_new_machine_is_told_to_train(command_line: CommandLine, trained: Path) -> None:
    result = command_line("models", "show", "--machine", "pump", "--models", trained)
    assert result.code == 1
    assert f"`asd-monitor train --machine pump --models {trained} --normal PATH`" in result.message


def test_run_warns_where_another_machine_was_probably_meant(trained: Path) -> None:
    with capture_logs() as logs:
        log_notices(trained, STATE, "fan1", learn=False)
        log_notices(trained, STATE, "fan1", learn=True)  # a new machine
        log_notices(trained, STATE, "pump", learn=False)
        log_notices(trained, STATE, "fan01", learn=False)
    (entry,) = logs
    assert (entry["machine"], entry["similar"]) == ("fan1", "fan01")
    assert entry["hint"] == "was `--machine fan01` meant?"


def test_run_reports_that_learn_has_no_effect(trained: Path) -> None:
    with capture_logs() as logs:
        log_notices(trained, STATE, "fan01", learn=True)
    (entry,) = logs
    assert entry["event"].startswith("--learn has no effect")
    # the sound of the earlier learning would be used again
    assert f"move {trained}/fan01 and {STATE}/learning/fan01 away to learn" in entry["hint"]
