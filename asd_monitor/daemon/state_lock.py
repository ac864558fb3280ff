"""Exclusive use of a state folder by one daemon."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from asd_monitor.errors import OperationError

_NAME = "daemon.lock"


class StateLock:
    """An advisory lock on a state folder.

    It is held until `release`, or until the process ends in any way.
    """

    def __init__(self, state: Path) -> None:
        """Create the folder if it is missing, and lock it.

        Raises OperationError if another daemon holds the lock or the folder cannot be used.
        """
        try:
            state.mkdir(parents=True, exist_ok=True)
            self._file = os.open(state / _NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        except OSError as error:
            raise OperationError(
                f"{state}: the state folder cannot be used ({error.strerror}): choose another "
                "with --state"
            ) from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._file)
            raise OperationError(
                f"{state}: another daemon uses this state folder: stop it, or choose another "
                "folder with --state"
            ) from error

    def release(self) -> None:
        """Release the lock."""
        os.close(self._file)
