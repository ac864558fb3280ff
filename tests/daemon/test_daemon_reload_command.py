"""The command for a reload: that of the service, or the signal."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from asd_monitor.daemon.reload_command import own_reload_command, reload_command
from asd_monitor.daemon.state_lock import StateLock, loader_of, user_of
from tests.doubles.in_process_daemon import InProcessDaemon
from tests.doubles.level_detector import make_config
from tests.doubles.waiting import until

SERVICE = r"0::/system.slice/system-asd\x2dmonitor.slice/asd-monitor@hall.service"
OF_USER = "0::/user.slice/user-1000.slice/user@1000.service/app.slice/asd-monitor@hall.service"
LEGACY = f"12:pids:/x\n1:name=systemd:{SERVICE.removeprefix('0::')}\n"
SESSION = "0::/user.slice/user-1000.slice/session-3.scope"
OTHER = "0::/system.slice/docker.service"


@pytest.mark.parametrize(
    ("group", "command"),
    [
        (SERVICE, "sudo systemctl reload asd-monitor@hall"),
        (LEGACY, "sudo systemctl reload asd-monitor@hall"),
        (OF_USER, "systemctl --user reload asd-monitor@hall"),
        (SESSION, "kill -HUP 4711"),
        (OTHER, "kill -HUP 4711"),
        (None, "kill -HUP 4711"),
    ],
)
def test_the_command_is_that_of_the_service_or_the_signal(
    tmp_path: Path, group: str | None, command: str
) -> None:
    (tmp_path / "4711").mkdir()
    if group is not None:
        (tmp_path / "4711/cgroup").write_text(group)
    assert reload_command(4711, tmp_path) == command


def test_the_process_of_another_user_needs_privileges(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "4711").mkdir()
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    assert reload_command(4711, tmp_path) == "sudo kill -HUP 4711"


def test_a_daemon_is_found_by_its_state_folder(tmp_path: Path) -> None:
    assert user_of(tmp_path) is None
    lock = StateLock(tmp_path)
    assert user_of(tmp_path) == os.getpid()
    assert str(os.getpid()) in own_reload_command()
    lock.release()
    assert user_of(tmp_path) is None


async def test_a_daemon_that_takes_the_signal_says_which_models_it_loads(
    daemon: InProcessDaemon,
) -> None:
    daemon.start(make_config(fan={"device": "hw:1"}))
    models = daemon.folder / "models"
    await until(lambda: loader_of(models, daemon.folder) == os.getpid())
    assert loader_of(daemon.folder / "others", daemon.folder) is None
    daemon.service.stop()
    await daemon.finish()
    assert loader_of(models, daemon.folder) is None
