"""Reading a file of limited size: regular files only, and no more memory than the file is long."""

from __future__ import annotations

import os
import stat
from pathlib import Path


def read_limited(path: Path, max_bytes: int) -> bytes:
    """Return the content of a file.

    Raises:
        ValueError: it is larger than ``max_bytes``, or no regular file, such as a FIFO; nothing
            of it is read then.
        OSError: it cannot be read.

    """
    # a FIFO without a writer would block
    with open(path, "rb", buffering=0, opener=_open_without_waiting) as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise ValueError(f"{path.name} is not a regular file")
        if status.st_size > max_bytes:
            raise ValueError(f"{path.name} is larger than {max_bytes / 2**20:g} MiB")
        chunks, missing = [], status.st_size
        # a single read returns 2 GiB at most, and less where a signal interrupts it
        while missing and (chunk := file.read(missing)):
            chunks.append(chunk)
            missing -= len(chunk)
    return b"".join(chunks)


def _open_without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)
