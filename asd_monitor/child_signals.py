"""Signals to the child processes of asyncio."""

from __future__ import annotations

import asyncio
import contextlib
import os


def send_signal(process: asyncio.subprocess.Process, number: int) -> None:
    """Send a signal to a child; one that has ended, or whose end is not collected yet, gets none.

    `Process.kill` and its like ask first whether the child has ended, and so collect the end for
    which asyncio waits: it would then report a child that it does not know, with a wrong status.
    """
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, number)
