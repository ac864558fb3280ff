"""Files and folders for their owner only, whatever the umask is."""

from __future__ import annotations

import os
from pathlib import Path

_FILE_MODE = 0o600
_FOLDER_MODE = 0o700
_SHARED_FOLDER_MODE = 0o755
_OF_ALL_SERVICES = ("var", "lib", "asd-monitor")


def create_private_folder(folder: Path) -> None:
    """Create a folder, and those above it that are missing; an existing one keeps its mode.

    The folder with the state folders of all services can be passed by all users, since each service
    has a user of its own.  Raises OSError.
    """
    for missing in (*reversed(folder.parents), folder):
        if not missing.is_dir():
            missing.mkdir(_FOLDER_MODE, exist_ok=True)
            if missing.parts[-3:] == _OF_ALL_SERVICES:
                missing.chmod(_SHARED_FOLDER_MODE)


def create_private_file(path: Path) -> None:
    """Create an empty file.  Raises OSError: FileExistsError where there is one already."""
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _FILE_MODE))


def write_private_file(path: Path, data: bytes) -> None:
    """Write or overwrite a file, and flush it to the disk.  Raises OSError."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
    with os.fdopen(os.open(path, flags, _FILE_MODE), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def rename_without_overwriting(source: Path, target: Path) -> None:
    """Rename a file or a folder.  Raises OSError: FileExistsError where the target exists."""
    if source.is_dir() and not source.is_symlink():
        target.mkdir(_FOLDER_MODE)  # an empty folder may be replaced by another
    else:
        create_private_file(target)
    source.replace(target)


def sync_folder(folder: Path) -> None:
    """Flush the names in a folder to the disk.  Raises OSError."""
    handle = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
