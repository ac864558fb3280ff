"""Changes of the journal that are not on the disk yet."""

from __future__ import annotations

import sqlite3
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, islice
from typing import TypeVar

import structlog

from asd_monitor.alarm.state import TransitionKind
from asd_monitor.journal.alarm_entries import AlarmEntry, Entry, EventEntry
from asd_monitor.journal.connections import savepoint, transaction
from asd_monitor.journal.normal_spans import NormalSpanEntry, WithdrawnSpanEntry
from asd_monitor.journal.requests import OutcomeEntry
from asd_monitor.journal.sqlite_errors import REFUSALS

R = TypeVar("R")

log = structlog.get_logger()

PORTION = 250
"""Changes written in one transaction: a long backlog must not delay other work on the disk."""

_OF_PEOPLE_AND_ALARMS = frozenset(
    {TransitionKind.ALARM, TransitionKind.SERVICE, TransitionKind.MARK}
)

Change = tuple[Entry, ...]


class WriteQueue:
    """Changes in order, each of one or several entries written together or not at all.

    Not for concurrent calls, but for `write_changes`.
    """

    def __init__(self, *, max_entries: int) -> None:
        """Keep at most ``max_entries`` entries after `trim`."""
        self.dropped: Counter[str] = Counter()
        """Entries given up, by kind: refused by SQLite, or dropped by `trim`."""
        self._max_entries = max_entries
        self._changes: deque[Change] = deque()
        self._begun = 0  # changes at the front that are being written

    def __len__(self) -> int:
        """Return the number of entries."""
        return sum(map(len, self._changes))

    def __iter__(self) -> Iterator[Entry]:
        """Return the entries, the oldest first."""
        return chain.from_iterable(self._changes)

    def append(self, change: Sequence[Entry]) -> None:
        """Add a change."""
        self._changes.append(tuple(change))

    def begin(self) -> tuple[list[Change], list[Entry]]:
        """Return the next portion of changes, to be written, and the entries of the others.

        All are kept until `clear`.
        """
        portion = list(islice(self._changes, PORTION))
        self._begun = len(portion)
        return portion, list(chain.from_iterable(islice(self._changes, PORTION, None)))

    def clear(self) -> list[Entry]:
        """Remove the changes of the last `begin`, which are on the disk; return their entries."""
        removed = [self._changes.popleft() for _ in range(self._begun)]
        self._begun = 0
        return list(chain.from_iterable(removed))

    def give_up(self) -> None:
        """Note that the changes of the last `begin` are not being written any more."""
        self._begun = 0

    def count_dropped(self, entries: Sequence[Entry]) -> None:
        """Count entries that were given up."""
        self.dropped.update(map(_kind, entries))

    def trim(self) -> list[Entry]:
        """Drop changes where there are more entries than allowed; return their entries.

        The oldest that have no transition of an alarm are dropped first, then the oldest others.
        Those that are being written stay.
        """
        surplus = len(self) - self._max_entries
        if surplus <= 0:
            return []
        begun = list(islice(self._changes, self._begun))
        others = list(islice(self._changes, self._begun, None))
        dropped: list[Entry] = []
        positions: set[int] = set()
        for position in sorted(range(len(others)), key=lambda at: _is_of_alarm(others[at])):
            if surplus <= len(dropped):
                break
            dropped += others[position]
            positions.add(position)
        kept = (change for at, change in enumerate(others) if at not in positions)
        self._changes = deque((*begun, *kept))
        self.count_dropped(dropped)
        return dropped


def write_changes(
    database: sqlite3.Connection, changes: Sequence[Change], finish: Callable[[], R]
) -> tuple[list[Entry], R]:
    """Write changes in one transaction, and call ``finish`` at its end.

    A change that SQLite refuses is logged and left out; the others are written.  Returns the
    refused entries and the result of ``finish``.  Raises sqlite3.Error where the database cannot be
    written.
    """
    refused: list[tuple[Change, Exception]] = []
    with transaction(database):
        for change in changes:
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


def _kind(entry: Entry) -> str:
    if isinstance(entry, EventEntry):
        return str(entry.event.kind)
    if isinstance(entry, OutcomeEntry):
        return "outcome of a request"
    if isinstance(entry, (NormalSpanEntry, WithdrawnSpanEntry)):
        return "mark"
    return "alarm record" if isinstance(entry, AlarmEntry) else "machine"


def _is_of_alarm(change: Change) -> bool:
    return any(
        isinstance(entry, EventEntry) and entry.event.kind in _OF_PEOPLE_AND_ALARMS
        for entry in change
    )
