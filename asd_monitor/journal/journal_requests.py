"""The requests in a journal that is open: added, withdrawn, waiting, and their outcomes."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial

from asd_monitor.errors import OperationError, UsageError
from asd_monitor.journal.limited_disk import LimitedDisk
from asd_monitor.journal.requests import OutcomeEntry, Request
from asd_monitor.journal.sqlite_errors import LockedJournalError, StalledJournalError
from asd_monitor.journal.stored_journal import StoredJournal


class JournalRequests:
    """The requests of a journal; safe for several threads.

    Args:
        stored: What uses the file.
        disk: The disk, awaited with limits.
        lock: Of what is in memory.

    """

    def __init__(self, stored: StoredJournal, disk: LimitedDisk, lock: threading.RLock) -> None:
        self._stored = stored
        self._disk = disk
        self._lock = lock
        self._malformed = 0

    def waiting(self, machine: str) -> list[Request]:
        """Return the requests of a machine that no daemon has applied, the oldest first.

        Raises `JournalError`; the next `Journal.maintain` then reports a change once more.
        """
        return self._disk.use(partial(self._stored.requests, machine))

    def add(self, request: Request) -> None:
        """Add a request, as a command does in a process of its own; one of the same id stays.

        Where the disk does not answer, the request is not applied until another call with it has
        returned, and can be withdrawn until then, also where another process holds the journal.
        Raises `JournalError` where the journal cannot be written, and `TooManyRequestsError`: then
        it is not applied, also where an earlier call is found to have written it.
        """
        self.hold(request.id)
        holds = self._stored.holds
        try:
            self._disk.use(partial(self._stored.add_request, request))
        except StalledJournalError:
            holds.note_stalled(request.id)
            raise
        except LockedJournalError:
            raise
        except (OperationError, UsageError) as error:
            if holds.may_be_written(request.id):
                self.withdraw(request.id, f"it is not applied: {error}")
            holds.release(request.id)
            raise
        holds.release(request.id)

    def hold(self, request_id: str) -> None:
        """Let a request that is to be added be one that can be withdrawn.  Does not wait."""
        if not self._stored.holds.is_withdrawn(request_id):
            self._stored.holds.hold(request_id)

    def withdraw(self, request_id: str, why: str) -> bool:
        """Withdraw a request that is not known to be written: it is not applied.  Does not wait.

        It gets the outcome ``why`` where the disk has written it.  Returns False where it is
        written: it may have been applied.
        """
        with self._lock:
            if not self._stored.holds.withdraw(request_id):
                return False
            self._stored.entries.append([OutcomeEntry(request_id, why, accepted=False)])
            return True

    def listen(self, receive: Callable[[OutcomeEntry], None]) -> None:
        """Call ``receive`` with the outcome of each request, once it is written.

        It is called in the thread of the disk, and must not wait.
        """
        self._stored.entries.on_outcome = receive

    def count_malformed(self) -> None:
        """Count a request that could not be applied.  Does not wait."""
        with self._lock:
            self._malformed += 1

    @property
    def malformed(self) -> int:
        """Number of requests that could not be applied, whatever they ask."""
        return self._malformed
