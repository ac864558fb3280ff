"""The capture processes that run, as the kernel shows them."""

from __future__ import annotations

import os
import re
from pathlib import Path

_PARENT = re.compile(r"^PPid:\s*(\d+)", re.MULTILINE)


def capture_processes(parent: int | None = None) -> list[int]:
    """Return those that this process (or another) has started and that hear something."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes()
            started_by = _PARENT.search((folder / "status").read_text())
        except OSError:  # it has ended
            continue
        ours = started_by and int(started_by[1]) == (parent or os.getpid())
        if ours and b"asd_monitor.audio.capture.child" in command and b'"list"' not in command:
            found.append(int(folder.name))
    return found
