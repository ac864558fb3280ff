"""The command by which a person lets a running daemon read configuration and models again."""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path

_PROC = Path("/proc")
_UNIT = re.compile(r"/(asd-monitor@[^/\s]+)\.service")
_OF_USER = re.compile(r"/user@\d+\.service/")


def reload_command(pid: int, proc: Path = _PROC) -> str:
    """Return the command for the daemon of a process: that of its service, or its signal."""
    group, sudo = "", ""
    with contextlib.suppress(OSError):
        group = (proc / str(pid) / "cgroup").read_text(errors="replace")
    if unit := _UNIT.search(group):
        user = _OF_USER.search(group) is not None
        return f"{'systemctl --user' if user else 'sudo systemctl'} reload {unit[1]}"
    with contextlib.suppress(OSError):
        if os.geteuid() not in {0, (proc / str(pid)).stat().st_uid}:
            sudo = "sudo "
    return f"{sudo}kill -HUP {pid}"


def own_reload_command() -> str:
    """Return the command for the daemon of this process."""
    return reload_command(os.getpid())
