"""A journal's waits for its disk: each has a limit, and one that is exceeded is a fault."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from asd_monitor.journal.disk_thread import DiskThread, StalledError, StoppedError
from asd_monitor.journal.sqlite_errors import JournalError, StalledJournalError
from asd_monitor.journal.stored_journal import StoredJournal

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class DiskLimits:
    """How long a call waits for the disk, in s."""

    answer_s: float = 2.0
    """To write or read entries; then the alarm is published from memory."""
    opening_s: float = 30.0
    """To open the file, which may have to be migrated or repaired."""
    closing_s: float = 9.0
    """To write the last entries, the wait for earlier work included."""


class LimitedDisk:
    """The disk of a journal, used in one thread and awaited with limits; safe for several threads.

    Args:
        path: The file of the journal.
        limits: How long a call waits.
        stored: What uses the file; its ``fault`` is set where the disk does not answer.

    """

    def __init__(self, path: Path, limits: DiskLimits, stored: StoredJournal) -> None:
        self._path = path
        self._limits = limits
        self._stored = stored
        self._thread = DiskThread("journal disk")

    def use(self, work: Callable[[], R]) -> R:
        """Return what ``work`` returns in the thread of the disk, and raise what it raises.

        Raises `StalledJournalError`, and sets the fault, where it has not ended within the limit,
        and `JournalError` where the journal is closed.
        """
        return self._use(work, self._limits.answer_s)

    def open(self, opening: Callable[[], R]) -> R:
        """Return what ``opening`` returns; as `use`, with the limit of opening the file."""
        return self._use(opening, self._limits.opening_s)

    def write(self, portion: Callable[[], bool]) -> bool:
        """Write a portion and return whether there are more.

        Where that fails the fault is set, and the entries that are too many are given up.
        """
        try:
            return self.use(portion)
        except JournalError as error:
            self._stored.fault = self._stored.fault or str(error)
            self._stored.entries.trim()
            return False

    def close(self) -> None:
        """Close the journal and end the thread; give up where the disk does not answer.

        It waits for a disk that has not answered before, within the same limit.  May be called in
        any state and more than once.
        """
        begun_s = time.monotonic()
        self._thread.await_overdue(self._limits.closing_s)
        left_s = max(0.0, self._limits.closing_s - (time.monotonic() - begun_s))
        with contextlib.suppress(JournalError):  # the fault is set, or it is closed
            self._use(self._stored.close, left_s)
        self._thread.close()

    def _use(self, work: Callable[[], R], limit_s: float) -> R:
        try:
            return self._thread.run(work, limit_s=limit_s)
        except StoppedError as error:
            raise JournalError(self._stored.fault or "the journal is closed") from error
        except StalledError as error:
            folder = self._path.parent
            text = f"{self._path}: the disk does not answer: check the disk of {folder}"
            self._stored.fault = text
            raise StalledJournalError(text) from error
