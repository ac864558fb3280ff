"""One daemon to a state folder."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from asd_monitor.errors import OperationError

_NAME = "daemon.lock"


class StateLock:
    """Held until `release` or the end of the process, however that comes about."""

    def __init__(self, state: Path) -> None:
        """Raise OperationError where another daemon holds the folder, or it cannot be made."""
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
        """Let another daemon have the folder."""
        os.close(self._file)
