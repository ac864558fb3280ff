"""The running capture children of a process, as the kernel lists them in /proc."""

from __future__ import annotations

import os
import re
from pathlib import Path

_PARENT = re.compile(r"^PPid:\s*(\d+)", re.MULTILINE)
_COMMAND = b"\0asd_monitor.audio.capture.child\0capture\0"


def capture_processes(parent: int | None = None) -> list[int]:
    """Return the process ids of the capture children of this process, or of ``parent``.

    Children that list the inputs are omitted.
    """
    pids = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes()
            parent_line = _PARENT.search((folder / "status").read_text())
        except OSError:  # it has ended
            continue
        if parent_line and int(parent_line[1]) == (parent or os.getpid()) and _COMMAND in command:
            pids.append(int(folder.name))
    return pids
