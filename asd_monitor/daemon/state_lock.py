"""Exclusive use of a state folder by one daemon."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from pathlib import Path

import structlog

from asd_monitor.errors import OperationError
from asd_monitor.limited_reading import read_limited
from asd_monitor.private_files import create_private_folder

log = structlog.get_logger()

_NAME = "daemon.lock"
_LOCKS = Path("/proc/locks")
_MAX_NOTE_BYTES = 8192
_WRONG_PATH = frozenset({errno.ENOTDIR, errno.EEXIST, errno.ELOOP, errno.ENAMETOOLONG})
_HELD = frozenset({errno.EWOULDBLOCK, errno.EACCES})


class StateLock:
    """Advisory locks on a state folder and on a file in it.

    They are held until `release`, or until the process ends in any way.  The lock on the folder
    serves where the file cannot be created, on a disk that is full or read-only.
    """

    def __init__(self, state: Path) -> None:
        """Create the folder if it is missing, and lock it.

        A folder that cannot be written is logged, and locked as far as that is possible: a daemon
        that monitors without it is better than none.

        Raises OperationError if another daemon holds a lock, or the path cannot be a folder.
        """
        self._handles: list[int] = []
        self._file = file = state / _NAME
        problem: OSError | None = None
        try:
            create_private_folder(state)
            self._lock(os.open(state, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC), state)
            self._lock(_open_file(file), state)
        except OSError as error:
            problem = error
        if problem is not None and problem.errno in _WRONG_PATH:
            self.release()
            raise OperationError(
                f"{state}: the state folder cannot be used ({problem.strerror}): choose another "
                "with --state"
            ) from problem
        if problem is not None and str(problem.filename) == str(file) and os.path.lexists(file):
            log.error(
                "the lock file of the state folder cannot be opened; the folder itself is locked"
                " and used",
                file=str(file),
                reason=problem.strerror or str(problem),
                hint="give it to this user by chown, or delete it while no daemon runs",
            )
        elif problem is not None:
            log.error(
                "the state folder cannot be written: nothing is kept over a restart",
                folder=str(state),
                reason=problem.strerror or str(problem),
                hint="make it writable for this user, free space, or choose another with --state",
            )

    def note_models(self, models: Path) -> None:
        """Note in the lock file that this process loads these models at SIGHUP, for `loader_of`.

        Where that cannot be written, it is not known.
        """
        flags = os.O_WRONLY | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        with contextlib.suppress(OSError):
            handle = os.open(self._file, flags)
            try:
                os.write(handle, _note(os.getpid(), models))
            finally:
                os.close(handle)

    def release(self) -> None:
        """Release the locks."""
        for handle in self._handles:
            os.close(handle)
        self._handles.clear()

    def _lock(self, handle: int, state: Path) -> None:
        self._handles.append(handle)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in _HELD:  # a file system without locks
                return
            self.release()
            raise OperationError(
                f"{state}: another daemon uses this state folder: stop it, or choose another "
                "folder with --state"
            ) from error


def is_in_use(state: Path, locks: Path = _LOCKS) -> bool:
    """Return whether a daemon uses a state folder; see `user_of`."""
    return user_of(state, locks) is not None


def user_of(state: Path, locks: Path = _LOCKS) -> int | None:
    """Return the process that holds the locks of a state folder, as far as this computer shows it.

    The kernel's list of locks is read: to try a lock would hinder a daemon that starts meanwhile.
    A file is known there by the number of its inode; the device is written in several ways.
    """
    inodes = set()
    for path in (state, state / _NAME):
        with contextlib.suppress(OSError):
            inodes.add(str(path.stat().st_ino))
    try:
        listed = locks.read_text().splitlines()
    except OSError:
        return None
    for fields in (line.split() for line in listed):
        if len(fields) > 5 and fields[1] == "FLOCK" and fields[5].rpartition(":")[2] in inodes:
            return int(fields[4])
    return None


def loader_of(models: Path, state: Path, locks: Path = _LOCKS) -> int | None:
    """Return the daemon that uses a state folder and loads the models of a folder; None: none does.

    The process must have said so itself: the list of locks may show another one that holds a lock
    of a file with the same number, and a command that restores a backup.
    """
    pid = user_of(state, locks)
    if pid is None:
        return None
    try:
        noted = read_limited(state / _NAME, _MAX_NOTE_BYTES)
    except (OSError, ValueError):
        return None
    return pid if noted == _note(pid, models) else None


def _note(pid: int, models: Path) -> bytes:
    return os.fsencode(f"{pid} {os.path.realpath(models)}\n")


def _open_file(path: Path) -> int:
    """Open the lock file; it is created where it is missing, for the owner of the folder.

    Root creates it where it restores a backup for a service that runs as another user.

    Raises OSError.
    """
    with contextlib.suppress(FileNotFoundError):
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    handle = os.open(path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    folder = path.parent.stat()
    if os.geteuid() == 0:
        os.fchown(handle, folder.st_uid, folder.st_gid)
    return handle
