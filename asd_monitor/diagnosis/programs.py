"""Other programs that are asked for facts, such as `systemctl`; a time limit for what may hang."""

from __future__ import annotations

import contextlib
import queue
import subprocess
import threading
from collections.abc import Callable, Sequence
from typing import TypeVar

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

    The function goes on in a daemon thread then.
    """
    results: queue.SimpleQueue[T] = queue.SimpleQueue()
    threading.Thread(target=lambda: results.put(function()), daemon=True).start()
    with contextlib.suppress(queue.Empty):
        return results.get(timeout=limit_s)
    return otherwise
