"""One thread for blocking work: file access, the journal, loading a model, scoring.

It is a daemon thread, which does not keep the process alive: work that hangs, such as access to a
FIFO or to a disk on a network, ends with the process.  `concurrent.futures` would wait for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from functools import partial
from queue import SimpleQueue
from typing import TypeVar

R = TypeVar("R")


class WorkerThread:
    """Runs blocking work in order; the event loop goes on meanwhile."""

    def __init__(self, name: str) -> None:
        """``name`` is that of the thread, which starts with the first work."""
        self.name = name
        self.done = 0
        """How many pieces of work are done."""
        self._accepted = 0
        self._work: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self.is_finished = False
        """Whether no more work is accepted."""

    def submit(self, work: Callable[[], R]) -> asyncio.Future[R]:
        """Queue work; return the future of its result, or of the exception that it raises.

        Raises:
            RuntimeError: `finish` or `close` was called.

        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[R] = loop.create_future()
        self._put(partial(_carry_out, work, loop, future))
        return future

    def post(self, work: Callable[[], None]) -> None:
        """Queue work whose end is not awaited and that does not raise."""
        self._put(work)

    async def run(self, work: Callable[..., R], *arguments: object) -> R:
        """Return what ``work(*arguments)`` returns; raise what it raises."""
        return await self.submit(lambda: work(*arguments))

    @property
    def pending(self) -> int:
        """How many pieces of work are waiting or being done."""
        return self._accepted - self.done

    async def finish(self, limit_s: float) -> bool:
        """Accept no more work; return whether all is done within the limit, in s.

        May be called in any state and more than once.
        """
        if self._thread is None or not self._thread.is_alive():
            self.close()
            return True
        if self.is_finished:
            return False
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()
        self._put(partial(_carry_out, lambda: None, loop, done))
        self.close()
        await asyncio.wait((done,), timeout=limit_s)
        return done.done()

    def close(self) -> None:
        """Accept no more work; the thread ends after the work that is queued.  Does not wait.

        May be called in any state and more than once.
        """
        if not self.is_finished:
            self.is_finished = True
            self._work.put(None)

    def _put(self, work: Callable[[], None]) -> None:
        if self.is_finished:
            raise RuntimeError(f"{self.name}: it accepts no more work")
        if self._thread is None:
            thread = threading.Thread(target=self._run, name=self.name, daemon=True)
            thread.start()  # raises where memory is short: the next work tries again
            self._thread = thread
        self._accepted += 1
        self._work.put(work)

    def _run(self) -> None:
        while self._do_next():
            pass

    def _do_next(self) -> bool:
        """Do the next work; a name of `_run` would keep it, and its result, until the next."""
        work = self._work.get()
        if work is not None:
            work()
            self.done += 1
        return work is not None


async def in_daemon_thread(work: Callable[[], None], name: str) -> None:
    """Run blocking work in a thread of its own that does not keep the process alive."""
    worker = WorkerThread(name)
    future = worker.submit(work)
    worker.close()
    await future


def _carry_out(
    work: Callable[[], R], loop: asyncio.AbstractEventLoop, future: asyncio.Future[R]
) -> None:
    """Do the work in this thread and settle its future in the event loop."""
    try:
        settle = partial(_set_result, future, work())
    except BaseException as error:  # noqa: BLE001 - raised again where the future is awaited
        settle = partial(_set_exception, future, error)
    with contextlib.suppress(RuntimeError):  # the event loop was closed meanwhile
        loop.call_soon_threadsafe(settle)


def _set_result(future: asyncio.Future[R], result: R) -> None:
    if not future.done():
        future.set_result(result)


def _set_exception(future: asyncio.Future[R], error: BaseException) -> None:
    if not future.done():
        future.set_exception(error)
