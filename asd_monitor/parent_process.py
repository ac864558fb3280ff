"""Processes that end with their parent, also where it is killed.

As a program, ``python -m asd_monitor.parent_process PID COMMAND…`` is replaced by the command,
which is killed when the process PID, its parent, ends.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Sequence

_PR_SET_PDEATHSIG = 1  # prctl(2); it outlives an exec


def with_parent(command: Sequence[str]) -> list[str]:
    """Return the command line by which this process starts a command that ends with it.

    The thread that starts it must not end before: Linux takes it for the parent.
    """
    return [sys.executable, "-m", "asd_monitor.parent_process", str(os.getpid()), *command]


def _end_with_parent(parent_pid: int) -> None:
    """Let this process be killed when its parent ends; end it at once if that has happened."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent_pid:
        os._exit(1)


def main() -> None:
    """Run the command in the arguments in place of this program."""
    parent_pid, *command = sys.argv[1:]
    _end_with_parent(int(parent_pid))
    try:
        os.execvp(command[0], command)  # noqa: S606 - of the daemon
    except OSError as error:
        sys.exit(f"{command[0]} could not be started: {error.strerror}")


if __name__ == "__main__":
    main()
