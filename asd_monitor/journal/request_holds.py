"""Requests on their way to the disk: none is applied before whoever adds it knows it to be there.

The disk may not answer while a request is written, and be found to have written it later.  Until
then the request is held, and can be withdrawn: it is not applied then, whatever the disk does.
"""

from __future__ import annotations

import threading
from collections import deque

MAX_WITHDRAWN = 1000
"""Ids of withdrawn requests that are kept beside their outcomes."""


class RequestHolds:
    """The requests that are held, and those that were withdrawn; safe for several threads.

    Args:
        lock: Of what is in memory.

    """

    def __init__(self, lock: threading.RLock) -> None:
        self._lock = lock
        self._held: set[str] = set()
        self._uncertain: set[str] = set()  # of those held: the disk may have written them
        self._withdrawn: deque[str] = deque(maxlen=MAX_WITHDRAWN)

    def hold(self, request_id: str) -> None:
        """Hold a request that is about to be written."""
        with self._lock:
            self._held.add(request_id)

    def note_stalled(self, request_id: str) -> None:
        """Note that the disk has not answered: it may be found to have written a request."""
        with self._lock:
            if request_id in self._held:
                self._uncertain.add(request_id)

    def may_be_written(self, request_id: str) -> bool:
        """Return whether the disk may have written a request that is held."""
        with self._lock:
            return request_id in self._uncertain

    def release(self, request_id: str) -> None:
        """Note that a request is written, or was refused."""
        with self._lock:
            self._held.discard(request_id)
            self._uncertain.discard(request_id)

    def withdraw(self, request_id: str) -> bool:
        """Withdraw a request; return False where it is not held: it may have been applied."""
        with self._lock:
            if request_id not in self._held:
                return False
            self.release(request_id)
            self._withdrawn.append(request_id)
            return True

    def is_withdrawn(self, request_id: str) -> bool:
        """Return whether a request was withdrawn."""
        with self._lock:
            return request_id in self._withdrawn

    def may_be_applied(self, request_id: str) -> bool:
        """Return whether a request that was read may be applied."""
        with self._lock:
            return request_id not in self._held and request_id not in self._withdrawn
