"""Work on the disk in threads: its end is awaited within a limit, so that a page has an answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

from anyio import CapacityLimiter, to_thread

from asd_monitor.errors import OperationError

ANSWER_S = 10.0
"""In which work that only reads is done."""
T = TypeVar("T")
_running: set[asyncio.Task[Any]] = set()  # the event loop keeps no task alive


async def on_disk(
    work: Callable[[], T], *, limiter: CapacityLimiter, limit_s: float | None = None
) -> T:
    """Return what ``work`` returns, done in a thread; one that hangs is no longer awaited.

    It keeps its place in ``limiter`` until the disk answers: however many pages are asked for
    meanwhile, there are no more threads, and what is for one at a time stays so.  What has no place
    within the limit is not done.  ``limit_s`` is `ANSWER_S` where it is None.

    Raises:
        OperationError: It did not end in time; it may do so later.

    """
    limit_s = ANSWER_S if limit_s is None else limit_s
    has_begun = False

    def begin() -> T:
        nonlocal has_begun
        has_begun = True
        return work()

    task = begin_on_disk(begin, limiter=limiter)
    try:
        await asyncio.wait((task,), timeout=limit_s)
    finally:
        if not has_begun:
            task.cancel()
    if task.done():
        return task.result()
    later = ", and what was asked may be done later" if has_begun else ""
    raise OperationError(
        f"the disk has not answered for {limit_s:g} s{later}:"
        " see the conditions of the box on the first page, and the log of the system (`dmesg`)"
    )


def begin_on_disk(work: Callable[[], T], *, limiter: CapacityLimiter) -> asyncio.Task[T]:
    """Begin work in a thread.

    Who awaits it shields it, so that it keeps its place in ``limiter``.
    """
    task = asyncio.create_task(to_thread.run_sync(work, limiter=limiter), name="page.disk")
    _running.add(task)
    task.add_done_callback(_forget)
    return task


def _forget(task: asyncio.Task[Any]) -> None:
    _running.discard(task)
    if not task.cancelled():
        task.exception()  # else it is reported where nobody awaits it any longer
