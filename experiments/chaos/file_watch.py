"""Waits for writes to the files of a folder, by inotify(7)."""

from __future__ import annotations

import ctypes
import os
import select
import struct
import time
from pathlib import Path
from typing import Self

_MODIFIED = 0x2
_NONBLOCK, _CLOSE_ON_EXEC = 0o4000, 0o2000000
_HEAD = struct.Struct("iIII")
_BUFFER_BYTES = 65536


class FileWatch:
    """Reports each write to a file of a folder; use it with ``with``."""

    def __init__(self, folder: Path) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        self._descriptor = libc.inotify_init1(_NONBLOCK | _CLOSE_ON_EXEC)
        watch = libc.inotify_add_watch(self._descriptor, os.fsencode(folder), _MODIFIED)
        if self._descriptor < 0 or watch < 0:
            raise OSError(ctypes.get_errno(), f"inotify: {folder}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)

    def wait(self, name: str, timeout_s: float) -> bool:
        """Wait for a write to a file whose name begins so; False at the timeout."""
        deadline = time.monotonic() + timeout_s
        while (left_s := deadline - time.monotonic()) > 0:
            if not select.select([self._descriptor], [], [], left_s)[0]:
                break
            if any(found.startswith(name) for found in self._names()):
                return True
        return False

    def forget(self) -> None:
        """Leave out the writes so far."""
        while select.select([self._descriptor], [], [], 0)[0]:
            self._names()

    def _names(self) -> list[str]:
        data, names, at = os.read(self._descriptor, _BUFFER_BYTES), [], 0
        while at < len(data):
            length = _HEAD.unpack_from(data, at)[3]
            at += _HEAD.size
            names.append(os.fsdecode(data[at : at + length].rstrip(b"\0")))
            at += length
        return names
