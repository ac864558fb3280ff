"""What puts a version into use prints the command by which the running daemon loads it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from asd_monitor.cli.reload_hint import running_reload_command
from asd_monitor.daemon.state_lock import StateLock, is_in_use
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
        lock.note_models(models)
        assert command_line("models", "promote", "fan01", "v2", *folders).err == f"{COMMAND}\n"
        lock.release()


def test_a_daemon_that_loads_other_models_is_not_named(tmp_path: Path) -> None:
    state, models = tmp_path / "state", tmp_path / "service/models"
    own = StateLock(state)
    own.note_models(tmp_path / "models")
    assert running_reload_command(tmp_path / "models", state) == f"kill -HUP {os.getpid()}"
    assert running_reload_command(models, state) is None
    service = StateLock(models.parent)
    assert running_reload_command(models, state) is None
    service.note_models(models)
    assert running_reload_command(models, state) == f"kill -HUP {os.getpid()}"
    own.release()
    service.release()


def test_a_process_that_only_holds_the_lock_is_not_named(tmp_path: Path) -> None:
    """Such as one that restores a backup, which a signal would end."""
    daemon = StateLock(tmp_path)
    daemon.note_models(tmp_path / "models")
    daemon.release()
    noted = (tmp_path / "daemon.lock").read_bytes()
    (tmp_path / "daemon.lock").write_bytes(noted.replace(b"%d" % os.getpid(), b"1"))
    restoring = StateLock(tmp_path)
    assert is_in_use(tmp_path)
    assert running_reload_command(tmp_path / "models", tmp_path) is None
    restoring.release()
