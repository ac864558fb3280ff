"""Ends what the daemon runs: each step within a limit, whatever becomes of the others."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Coroutine
from dataclasses import dataclass

import structlog

log = structlog.get_logger()

_CANCELLED_S = 1.0  # for what has not ended when its limit is over
_left: set[asyncio.Task[None]] = set()  # the loop keeps weak references only


@dataclass(frozen=True, slots=True)
class Step:
    """Part of a shutdown."""

    name: str  # what is done, for the log
    limit_s: float
    work: Callable[[], Coroutine[None, None, None]]


async def take(step: Step) -> None:
    """Do it; log what it raises, and that it has not ended within its limit."""
    task = asyncio.create_task(step.work(), name=step.name)
    done, _ = await asyncio.wait((task,), timeout=step.limit_s)
    if not done:
        log.error("a step of the shutdown has not ended", step=step.name, limit_s=step.limit_s)
        await _cancel(task, _CANCELLED_S)
    elif task.cancelled():
        log.error("a step of the shutdown was cancelled", step=step.name)
    elif error := task.exception():
        log.error("a step of the shutdown failed", step=step.name, exc_info=error)


async def run_until_cancelled(
    work: Callable[[], Coroutine[None, None, None]], *, name: str, limit_s: float
) -> None:
    """Run it in a task of this name; raise what it raises.

    A cancellation is passed on and waited for, `limit_s` at most and a second.  The task is
    cancelled again at the limit, since the first time may have ended the work and begun a
    release that does not end; then it is left behind.
    """
    task = asyncio.create_task(work(), name=name)
    try:
        await asyncio.shield(task)
    finally:
        if not task.done():
            await _cancel_twice(task, limit_s)


async def in_daemon_thread(work: Callable[[], None]) -> None:
    """Do blocking work in a thread that does not hold up the end of the process."""
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[None] = loop.create_future()

    def settle(error: Exception | None) -> None:
        if ended.done():
            return
        if error is None:
            ended.set_result(None)
        else:
            ended.set_exception(error)

    def run() -> None:
        error: Exception | None = None
        try:
            work()
        except Exception as raised:  # noqa: BLE001 - raised again where it is awaited
            error = raised
        with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile
            loop.call_soon_threadsafe(settle, error)

    threading.Thread(target=run, name="shutdown", daemon=True).start()
    await ended


async def _cancel_twice(task: asyncio.Task[None], limit_s: float) -> None:
    if await _cancel(task, limit_s):
        return
    log.error("a task has not ended: cancelled again", task=task.get_name(), limit_s=limit_s)
    if not await _cancel(task, _CANCELLED_S):
        log.error("a task does not end: left behind", task=task.get_name())


async def _cancel(task: asyncio.Task[None], limit_s: float) -> bool:
    """Cancel it; return whether it has ended within the limit."""
    task.cancel()
    done, _ = await asyncio.wait((task,), timeout=limit_s)
    if not done:
        _left.add(task)
        task.add_done_callback(_left.discard)
    return bool(done)
