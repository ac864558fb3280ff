"""Work on the disk in threads: its end is awaited within a limit, so that a page has an answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from anyio import CapacityLimiter, fail_after, to_thread

from asd_monitor.errors import OperationError

ANSWER_S = 10.0
"""In which work that only reads is done."""
T = TypeVar("T")


async def on_disk(
    work: Callable[[], T], *, limiter: CapacityLimiter, limit_s: float | None = None
) -> T:
    """Return what ``work`` returns, done in a thread; one that hangs is abandoned.

    ``limit_s`` is `ANSWER_S` where it is None.

    Raises:
        OperationError: It did not end in time; it may do so later.

    """
    limit_s = ANSWER_S if limit_s is None else limit_s
    try:
        with fail_after(limit_s):
            return await to_thread.run_sync(work, limiter=limiter, abandon_on_cancel=True)
    except TimeoutError as error:
        raise OperationError(
            f"the disk has not answered for {limit_s:g} s, and what was asked may be done later:"
            " see the conditions of the box on the first page, and the log of the system"
            " (`dmesg`)"
        ) from error
