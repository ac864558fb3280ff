"""Reading a file of limited size: regular files only, and no more memory than the file is long."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

_HASHED_BYTES = 1 << 16  # at once


def read_limited(path: Path, max_bytes: int) -> bytes:
    """Return the content of a file.

    Raises:
        ValueError: it is larger than ``max_bytes``, or no regular file, such as a FIFO; nothing
            of it is read then.
        OSError: it cannot be read.

    """
    # a single read returns 2 GiB at most, and less where a signal interrupts it
    return b"".join(_chunks(path, max_bytes, chunk_bytes=max_bytes))


def sha256_limited(path: Path, max_bytes: int) -> str:
    """Return the SHA-256 of the content of a file, which is not held in memory.

    Raises as `read_limited`.
    """
    digest = hashlib.sha256()
    for chunk in _chunks(path, max_bytes, chunk_bytes=_HASHED_BYTES):
        digest.update(chunk)
    return digest.hexdigest()


def _chunks(path: Path, max_bytes: int, *, chunk_bytes: int) -> Iterator[bytes]:
    # a FIFO without a writer would block
    with open(path, "rb", buffering=0, opener=_open_without_waiting) as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise ValueError(f"{path.name} is not a regular file")
        if status.st_size > max_bytes:
            raise ValueError(f"{path.name} is larger than {max_bytes / 2**20:g} MiB")
        missing = status.st_size
        while missing and (chunk := file.read(min(missing, chunk_bytes))):
            yield chunk
            missing -= len(chunk)


def _open_without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)
