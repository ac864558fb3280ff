"""What puts a version into use prints the command by which the running daemon loads it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from asd_monitor.daemon.state_lock import StateLock
from tests.doubles.command_line import CommandLine

COMMAND = f"The running daemon loads it at `kill -HUP {os.getpid()}`."
ANY = "A daemon that runs loads it at `sudo systemctl reload asd-monitor@NAME`, or"


@pytest.mark.parametrize("named", ["state", "models"])
def test_the_daemon_is_named_where_it_runs(
    command_line: CommandLine,
    trained: Path,
    trained_without_encoder: Path,
    tmp_path: Path,
    named: str,
) -> None:
    state = tmp_path / "state"
    models = state / "models" if named == "models" else tmp_path / "models"
    shutil.copytree(trained_without_encoder, models)
    second = ("models", "export", models, "-m", "fan01", "--models", trained)
    assert command_line(*second).code == 0
    folders = ["--models", models, "--state", state if named == "state" else tmp_path / "none"]
    for command in (("promote", "fan01", "v2"), ("rollback", "fan01")):
        result = command_line("models", *command, *folders)
        assert (result.code, result.out) == (
            0,
            f"fan01 uses {'v2' if 'v2' in command else 'v1'}.\n",
        )
        assert ANY in result.err
        lock = StateLock(state)
        assert command_line("models", "promote", "fan01", "v2", *folders).err == f"{COMMAND}\n"
        lock.release()
