"""Other programs that are asked for facts, such as `systemctl`; a time limit for what may hang."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence
from typing import TypeVar

from asd_monitor.journal.disk_thread import DiskThread, StalledError

LIMIT_S = 10.0

T = TypeVar("T")


def output_of(command: Sequence[str], limit_s: float = LIMIT_S) -> str | None:
    """Return what a program writes to stdout; None where it is absent, fails or takes too long."""
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=limit_s,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


def within(limit_s: float, function: Callable[[], T], otherwise: T) -> T:
    """Return the function's result, or ``otherwise`` where it takes longer.

    The function goes on in a daemon thread then.  What it raises in time is raised.
    """
    thread = DiskThread("doctor.within")
    try:
        return thread.run(function, limit_s=limit_s)
    except StalledError:
        return otherwise
    finally:
        thread.close()
