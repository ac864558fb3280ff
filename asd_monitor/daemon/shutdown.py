"""Shutdown in steps: each step has its own time limit, and a failed step does not stop the rest."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass

import structlog

log = structlog.get_logger()

_abandoned: set[asyncio.Task[None]] = set()  # the event loop keeps weak references only


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a shutdown."""

    name: str
    """What the step does, for the log."""
    limit_s: float
    work: Callable[[], Coroutine[None, None, None]]


async def run_step(step: Step, *, cancel_s: float) -> None:
    """Run a step and log its failure.

    A step that exceeds its limit is cancelled; ``cancel_s`` later it is abandoned.
    """
    task = asyncio.create_task(step.work(), name=step.name)
    done, _ = await asyncio.wait((task,), timeout=step.limit_s)
    if not done:
        log.error("shutdown step exceeded its limit", step=step.name, limit_s=step.limit_s)
        await _cancel(task, cancel_s)
    elif task.cancelled():
        log.error("shutdown step was cancelled", step=step.name)
    elif error := task.exception():
        log.error("shutdown step failed", step=step.name, exc_info=error)


async def run_stage(steps: Iterable[Step], *, cancel_s: float) -> None:
    """Run steps that do not depend on each other at the same time, each as `run_step`."""
    await asyncio.gather(*(run_step(step, cancel_s=cancel_s) for step in steps))


def longest_s(stages: Iterable[Iterable[Step]], *, cancel_s: float) -> float:
    """Return how long stages take one after the other where each exceeds its limit, in s."""
    return sum(max((each.limit_s for each in steps), default=0.0) + cancel_s for steps in stages)


async def run_until_cancelled(
    work: Callable[[], Coroutine[None, None, None]], *, name: str, limit_s: float, cancel_s: float
) -> None:
    """Run ``work`` in a task of this name; raise what it raises.

    A cancellation is forwarded to the task, which has ``limit_s`` to end.  Then it is cancelled
    again, since the first cancellation may have started a release that does not end, and
    ``cancel_s`` later it is abandoned.
    """
    task = asyncio.create_task(work(), name=name)
    try:
        await asyncio.shield(task)
    finally:
        if not task.done():
            await _cancel_twice(task, limit_s, cancel_s)


async def _cancel_twice(task: asyncio.Task[None], limit_s: float, cancel_s: float) -> None:
    if await _cancel(task, limit_s):
        return
    log.error("task exceeded its limit; cancelling again", task=task.get_name(), limit_s=limit_s)
    if not await _cancel(task, cancel_s):
        log.error("task does not end; abandoned", task=task.get_name())


async def _cancel(task: asyncio.Task[None], limit_s: float) -> bool:
    """Cancel a task; return whether it ended within the limit."""
    task.cancel()
    done, _ = await asyncio.wait((task,), timeout=limit_s)
    if not done:
        _abandoned.add(task)
        task.add_done_callback(_abandoned.discard)
    return bool(done)
