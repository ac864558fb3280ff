"""The exchange of two folders in one step, so that a name is never without its folder."""

from __future__ import annotations

import ctypes
import errno
import os
from pathlib import Path

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2  # renameat2(2), Linux 3.15
_NOT_SUPPORTED = frozenset({errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP})


def exchange(one: Path, other: Path) -> None:
    """Exchange two folders of one file system.

    It is one step where the file system can do that (ext4, XFS, Btrfs, tmpfs), else three
    renames, of which the first two leave ``other`` missing if the process is killed between them.

    Raises OSError.
    """
    try:
        _exchange_at_once(one, other)
    except OSError as error:
        if error.errno not in _NOT_SUPPORTED:
            raise
        beside = one.with_name(f"{one.name}.exchanged")
        other.rename(beside)
        one.rename(other)
        beside.rename(one)


def _exchange_at_once(one: Path, other: Path) -> None:
    library = ctypes.CDLL(None, use_errno=True)
    if not hasattr(library, "renameat2"):
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS), str(one))
    paths = os.fsencode(one), os.fsencode(other)
    if library.renameat2(_AT_FDCWD, paths[0], _AT_FDCWD, paths[1], _RENAME_EXCHANGE) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), str(one), None, str(other))
