"""One thread for blocking work, such as writing to the journal or loading a model."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

R = TypeVar("R")


class WorkerThread:
    """Runs blocking work in order; the event loop goes on meanwhile."""

    def __init__(self, name: str) -> None:
        self.completed = 0
        """How many pieces of work are done."""
        self._executor = ThreadPoolExecutor(1, thread_name_prefix=name)

    async def run(self, work: Callable[..., R], *arguments: object) -> R:
        """Return what ``work(*arguments)`` returns; raise what it raises."""
        loop = asyncio.get_running_loop()
        result = await loop.run_in_executor(self._executor, lambda: work(*arguments))
        self.completed += 1
        return result

    async def finish(self, limit_s: float) -> bool:
        """Accept no more work; return whether all is done within the limit, in s."""
        end = self._executor.submit(lambda: None)
        self._executor.shutdown(wait=False)
        done, _ = await asyncio.wait((asyncio.wrap_future(end),), timeout=limit_s)
        return bool(done)

    def close(self) -> None:
        """Discard the work that has not begun, and block until the rest is done."""
        self._executor.shutdown(cancel_futures=True)
