"""The journal as the page reads it: in a thread, and not more often than it changes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import anyio

from asd_monitor.journal.commands import read_journal
from asd_monitor.journal.content import JournalContent
from asd_monitor.journal.journal_file import find_journal
from asd_monitor.web.disk_access import on_disk

_MOST_AGE_S = 1.0  # of a content that seems to be unchanged
_READERS = 3
T = TypeVar("T")
Stamp = tuple[tuple[int, int, int], ...]


class JournalView:
    """Reads the journal of a state folder.

    Args:
        state: The folder.

    """

    def __init__(self, state: Path) -> None:
        self.state = state
        self._lock = threading.Lock()
        self._content: JournalContent | None = None
        self._stamp: Stamp = ()
        self._read_s = 0.0
        self._readers = anyio.CapacityLimiter(_READERS)

    async def read(self, use: Callable[[JournalContent | None], T]) -> T:
        """Return what ``use`` makes of the journal, None where there is none; in a thread.

        Raises JournalError, OperationError where the disk hangs, and what ``use`` raises.
        """
        return await on_disk(lambda: self._use(use), limiter=self._readers)

    async def work(self, work: Callable[[], T]) -> T:
        """Do work on the state folder in a thread.  Raises `OperationError`: the disk hangs."""
        return await on_disk(work, limiter=self._readers)

    def _use(self, use: Callable[[JournalContent | None], T]) -> T:
        with self._lock:  # the database in memory is for one thread at a time
            now_s, stamp = time.monotonic(), _stamp(self.state)
            if stamp != self._stamp or now_s - self._read_s > _MOST_AGE_S or self._content is None:
                self._content = read_journal(self.state)
                self._stamp, self._read_s = stamp, now_s
            return use(self._content)


def _stamp(state: Path) -> Stamp:
    """Return inode, size and time of the files of the journal."""
    path = find_journal(state)
    found = []
    for each in () if path is None else (path, path.with_name(f"{path.name}-wal")):
        try:
            status = each.stat()
        except OSError:
            continue
        found.append((status.st_ino, status.st_size, status.st_mtime_ns))
    return tuple(found)
