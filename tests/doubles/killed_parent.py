"""A process whose parent is killed."""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import signal
from pathlib import Path

from tests.doubles.waiting import until

_LIMIT_S = 20.0


def endless(ready: Path) -> str:
    """Return a program that writes its process id into a file and does not end."""
    return (
        "import os, pathlib, time\n"
        f"ready = pathlib.Path({str(ready)!r})\n"
        "ready.with_suffix('.part').write_text(str(os.getpid()))\n"
        "ready.with_suffix('.part').rename(ready)\n"
        "time.sleep(1000)\n"
    )


async def ends_with(parent: asyncio.subprocess.Process, ready: Path) -> bool:
    """Kill a parent; return whether its child, an `endless` program, ends too."""
    try:
        await until(ready.exists)
        child = os.pidfd_open(_pid(ready))
    finally:
        parent.kill()
        await parent.wait()
    try:
        ended, _, _ = await asyncio.to_thread(select.select, [child], [], [], _LIMIT_S)
        return bool(ended)
    finally:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(child, signal.SIGKILL)
        os.close(child)


def _pid(ready: Path) -> int:
    return int(ready.read_text())
