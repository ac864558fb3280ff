"""The one thread in which a journal uses the disk; every wait for it has a limit.

A disk may not answer for minutes, or ever.  The call that waits then returns at its limit, those
after it at once, and the thread goes on when the disk answers.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from queue import SimpleQueue
from typing import Any, TypeVar

R = TypeVar("R")


class StalledError(Exception):
    """The disk has not answered within the limit."""


class StoppedError(Exception):
    """No more work is accepted."""


class DiskThread:
    """Runs work on the disk in order.  It is a daemon thread: it does not keep the process alive.

    Args:
        name: Of the thread, which starts with the first work.

    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._work: SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()  # of what follows
        self._is_closed = False
        self._running: Future[Any] | None = None
        self._overdue: Future[Any] | None = None  # work that has exceeded a limit

    @property
    def is_stalled(self) -> bool:
        """Whether work that has exceeded its limit still runs."""
        overdue = self._overdue
        return overdue is not None and not overdue.done()

    def run(self, work: Callable[[], R], *, limit_s: float) -> R:
        """Return what ``work`` returns; raise what it raises.  May be called in any thread.

        Work that was not begun at the limit is not done; work that was begun ends later.  It is
        awaited in two halves: a pause of the process, at the end of which the limit is over, takes
        only one of them from the disk.

        Raises:
            StalledError: it has not ended within the limit, or earlier work has not.
            StoppedError: `close` was called.

        """
        if threading.current_thread() is self._thread:
            return work()
        if self.is_stalled:
            raise StalledError
        future: Future[R] = Future()
        self._put(future, work)
        if wait((future,), limit_s / 2).not_done:
            wait((future,), limit_s / 2)
        overdue = self._running if future.cancel() else future
        if future.done() and not future.cancelled():
            return future.result()
        self._overdue = overdue
        raise StalledError

    def await_overdue(self, limit_s: float) -> None:
        """Wait for work that has exceeded its limit, at most so long; not after `close`."""
        overdue = self._overdue
        if overdue is not None and not self._is_closed:
            wait((overdue,), limit_s)

    def close(self) -> None:
        """Accept no more work; the thread ends after that which is queued.  Does not wait.

        May be called in any state and more than once.
        """
        with self._starting:
            if not self._is_closed:
                self._is_closed = True
                self._work.put(None)

    def _put(self, future: Future[R], work: Callable[[], R]) -> None:
        with self._starting:
            if self._is_closed:
                raise StoppedError
            if self._thread is None:
                thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                thread.start()  # raises where memory is short: the next work tries again
                self._thread = thread
            self._work.put((future, work))

    def _run(self) -> None:
        while (queued := self._work.get()) is not None:
            future, work = queued
            if future.set_running_or_notify_cancel():
                self._running = future
                _carry_out(future, work)
            del queued, future, work  # else the last result is kept until the next work


def _carry_out(future: Future[R], work: Callable[[], R]) -> None:
    """Do the work in this thread and settle its future."""
    try:
        result = work()
    except BaseException as error:  # noqa: BLE001 - raised again where the future is awaited
        future.set_exception(error)
    else:
        future.set_result(result)
