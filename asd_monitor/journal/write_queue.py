"""Changes of the journal that are not on the disk yet."""

from __future__ import annotations

import sqlite3
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import TypeVar

import structlog

from asd_monitor.journal.alarm_entries import Entry
from asd_monitor.journal.database import savepoint, transaction
from asd_monitor.journal.sqlite_errors import REFUSALS

R = TypeVar("R")

log = structlog.get_logger()


class WriteQueue:
    """Changes in order, each of one or several entries written together or not at all."""

    def __init__(self, *, max_entries: int) -> None:
        """Keep at most ``max_entries`` entries after `trim`."""
        self.dropped = 0
        """Entries given up: refused by SQLite, or dropped by `trim`."""
        self._max_entries = max_entries
        self._changes: deque[tuple[Entry, ...]] = deque()

    def __len__(self) -> int:
        """Return the number of entries."""
        return sum(map(len, self._changes))

    def __iter__(self) -> Iterator[Entry]:
        """Return the entries, the oldest first."""
        return chain.from_iterable(self._changes)

    def append(self, change: Sequence[Entry]) -> None:
        """Add a change."""
        self._changes.append(tuple(change))

    def write(self, database: sqlite3.Connection, finish: Callable[[], R]) -> tuple[list[Entry], R]:
        """Write all changes in one transaction, and call ``finish`` at its end.

        A change that SQLite refuses is logged and left out; the others are written.  Returns the
        refused entries and the result of ``finish``.  All changes are kept until `clear`.  Raises
        sqlite3.Error where the database cannot be written.
        """
        refused: list[tuple[tuple[Entry, ...], Exception]] = []
        with transaction(database):
            for change in self._changes:
                try:
                    with savepoint(database):
                        for entry in change:
                            entry.write(database)
                except REFUSALS as error:
                    refused.append((change, error))
            result = finish()
        for change, reason in refused:
            log.error(
                "the journal of alarms refused an entry, which is not stored",
                reason=str(reason),
                entry=str(change),
                hint="please report this",
            )
        return [entry for change, _ in refused for entry in change], result

    def clear(self) -> None:
        """Remove all changes, which are on the disk."""
        self._changes.clear()

    def count_dropped(self, entries: int) -> None:
        """Count entries that were refused."""
        self.dropped += entries

    def trim(self) -> list[Entry]:
        """Drop the oldest changes where there are more entries than allowed; return them."""
        dropped: list[Entry] = []
        surplus = len(self) - self._max_entries
        while surplus > len(dropped):
            dropped += self._changes.popleft()
        self.dropped += len(dropped)
        return dropped
