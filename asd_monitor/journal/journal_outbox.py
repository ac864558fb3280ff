"""The events of a journal that is open, on their way to the broker: taken, published, settled."""

from __future__ import annotations

import threading
from functools import partial

from asd_monitor.journal.limited_disk import LimitedDisk
from asd_monitor.journal.outbox_records import OutboxFigures, WaitingEvent
from asd_monitor.journal.sqlite_errors import JournalError
from asd_monitor.journal.stored_journal import StoredJournal


class JournalOutbox:
    """The events that wait to be published; safe for several threads.

    Args:
        stored: What uses the file.
        disk: The disk, awaited with limits.

    """

    def __init__(self, stored: StoredJournal, disk: LimitedDisk) -> None:
        self._stored = stored
        self._disk = disk
        self._taking = threading.Lock()  # for one machine after the other

    @property
    def machines_due(self) -> frozenset[str]:
        """Machines of which `take` may return events.  Does not wait."""
        return frozenset(self._stored.outbox.reader.due)

    def take(self, machine: str, limit: int) -> list[WaitingEvent]:
        """Return the next events of a machine to be published, in order; each is returned once.

        While the file cannot be read, those that are in memory are returned: at once where no
        earlier one is in the file, else after `event_reading.HELD_BACK_S`.  Raises `JournalError`
        where there is none to be returned and earlier ones cannot be read.
        """
        reader = self._stored.outbox.reader
        with self._taking:
            try:
                read, unwritten, due = self._disk.use(
                    partial(self._stored.read_events, machine, limit)
                )
            except JournalError:
                unwritten, due = self._stored.unwritten_events(machine)
                taken = reader.take_without_file(unwritten, machine, limit, due)
                if not taken and reader.has_unread(machine):
                    raise
                return taken
            return reader.take(read, unwritten, machine, limit, due)

    def settle(self, waiting: WaitingEvent, refusal: str | None) -> None:
        """Note that an event was acknowledged, or why the broker does not accept it.

        Does not wait: it is written with the next entry or by `Journal.maintain`.
        """
        self._stored.outbox.settle(waiting, refusal)

    def is_historical(self, waiting: WaitingEvent) -> bool:
        """Return whether an event would be published late now.  Does not wait."""
        return self._stored.outbox.is_historical(waiting)

    @property
    def figures(self) -> OutboxFigures:
        """The events that wait, those that are not written included.  Does not wait."""
        return self._stored.entries.outbox_figures

    @property
    def damaged(self) -> int:
        """Number of events that were found damaged before they were published."""
        return self._stored.outbox.damaged
