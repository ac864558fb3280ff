"""Writing that survives a power failure, and of which only one at a time is in progress."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from asd_monitor.errors import OperationError

_PARTIAL_SUFFIX = ".partial"


def write_durably(path: Path, data: bytes) -> None:
    """Write a file and flush it to the disk.  Raises OSError."""
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def replace_durably(path: Path, data: bytes) -> None:
    """Write or replace a file atomically and durably.  Raises OSError."""
    partial = _partial(path)
    try:
        write_durably(partial, data)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    sync_folder(path.parent)


def create_folder_durably(
    folder: Path, files: Mapping[str, bytes], links: Mapping[str, Path] | None = None
) -> None:
    """Create a folder with these files atomically and durably.

    ``links`` are existing files that are never changed: they are linked, which takes no space, or
    copied where the file system has no links.

    Raises:
        OSError: it exists and is not empty, or cannot be written.

    """
    partial = _partial(folder)
    try:
        partial.mkdir()
        for name, data in files.items():
            write_durably(partial / name, data)
        for name, path in (links or {}).items():
            try:
                (partial / name).hardlink_to(path)
            except (FileNotFoundError, NotADirectoryError):
                raise
            except OSError:
                write_durably(partial / name, path.read_bytes())
        sync_folder(partial)
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    sync_folder(folder.parent)


def hide_for_removal(folder: Path) -> Path:
    """Rename a folder, so that it is complete or absent; return its name, to be removed.

    What an interrupted removal leaves is removed by the next `writing_to`.  Raises OSError.
    """
    hidden = _partial(folder)
    folder.rename(hidden)
    sync_folder(folder.parent)
    return hidden


@contextmanager
def writing_to(folder: Path) -> Iterator[None]:
    """Let one process at a time write to a folder, which is created where it is missing.

    What writings that were interrupted have left there is removed.  The lock ends with the
    process, however it ends.  Raises OSError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        _remove_partial(folder)
        yield
    finally:
        os.close(handle)


def _remove_partial(folder: Path) -> None:
    """Remove unfinished files and folders; those of this user, as far as it is possible."""
    for path in folder.glob(f".*{_PARTIAL_SUFFIX}"):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            with suppress(OSError):
                path.unlink()


@contextmanager
def os_errors_reported(path: Path, failure: str, remedy: str) -> Iterator[None]:
    """Raise an OSError as an OperationError: ``PATH: FAILURE (REASON): REMEDY``.

    The path is the one that the OSError names, else ``path``; of an unfinished file it is the
    folder.  ``remedy`` is for a lack of permission; a wrong path and a full disk have their own.
    """
    try:
        yield
    except OSError as error:
        where = Path(error.filename or path)
        if where.suffix == _PARTIAL_SUFFIX:
            where = where.parent
        match error.errno:
            case errno.ENOENT:
                remedy = f"correct the path, or {remedy}"
            case errno.ENOTDIR | errno.EEXIST:
                remedy = f"part of this path is a file where a folder is needed: {remedy}"
            case errno.ENOSPC | errno.EDQUOT:
                remedy = f"free some space, or {remedy}"
        raise OperationError(f"{where}: {failure} ({error.strerror or error}): {remedy}") from error


def _partial(path: Path) -> Path:
    return path.with_name(f".{path.name.lstrip('.')}.{os.getpid()}{_PARTIAL_SUFFIX}")


def sync_folder(folder: Path) -> None:
    """Flush the names in a folder to the disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
