"""Why a daemon cannot write to a state folder now, as a command sees it."""

from __future__ import annotations

import os
from pathlib import Path

_IN_MEMORY = "a daemon keeps new alarms in memory and publishes them, and they are missing here"
_LITTLE_SPACE_BYTES = 64 << 10  # a transaction of the journal may need it


def disk_notices(folder: Path) -> list[str]:
    """Return why a daemon cannot write to a state folder now, one sentence each.

    Raises OSError.
    """
    disk = os.statvfs(folder)
    if disk.f_flag & os.ST_RDONLY:
        return [f"{folder}: the disk is read-only: {_IN_MEMORY}"]
    if disk.f_bavail * disk.f_frsize < _LITTLE_SPACE_BYTES:
        return [f"{folder}: the disk is full: {_IN_MEMORY}: free space"]
    return []
