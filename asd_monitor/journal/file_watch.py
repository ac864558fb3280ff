"""Whether the file of the journal is the one that this process has left there."""

from __future__ import annotations

import os
from pathlib import Path

from asd_monitor.journal.journal_file import log_identity, set_log_aside


class FileWatch:
    """The file of a journal that is open, and its write-ahead log.

    A transaction changes the log alone.  The file itself is changed by `checkpoint` of the journal
    only, after which it is noted; every other change is one by another program.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: os.stat_result | None = None  # as it was noted
        self._log: int | None = None  # as `log_identity`

    def forget(self) -> None:
        """Begin anew with whatever file is there."""
        self._file = self._log = None

    def note(self) -> None:
        """Note the file as it is after a change by this process."""
        try:
            found = self._path.stat()
        except OSError:
            return
        if self._file is None or _identity(found) == _identity(self._file):
            self._file, self._log = found, log_identity(self._path)

    def problem(self) -> str | None:
        """Return how the file was changed by others than SQLite; None: it was not."""
        try:
            found = self._path.stat()
        except FileNotFoundError:
            return "the file was removed"
        except OSError as error:
            return str(error)
        known = self._file
        if known is None or _identity(found) != _identity(known):
            return "the file was replaced by another"
        if (found.st_size, found.st_mtime_ns) != (known.st_size, known.st_mtime_ns):
            return "the file was overwritten"
        return None

    def set_log_aside(self) -> None:
        """Rename the log of a journal that is closed, so that it is not applied to another file.

        Raises OSError.
        """
        if self._log is not None and self._log == log_identity(self._path):
            set_log_aside(self._path, "abandoned")


def _identity(file: os.stat_result) -> tuple[int, int]:
    return file.st_dev, file.st_ino
