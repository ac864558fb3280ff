"""Supervision: work that fails is restarted with a growing delay, counted and reported.

Work that is done once is not restarted: `outcome_of` returns what it has raised.

It is the boundary behind which a failure of one part of the daemon does not affect the others,
and the one place where every exception is handled.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import TypeVar

import structlog

from asd_monitor.backoff import Backoff
from asd_monitor.daemon.failure_cause import FailureCause, StatedFailureError, failure_cause

log = structlog.get_logger()
R = TypeVar("R")


class StandstillError(Exception):
    """Work has not advanced for too long and is restarted."""


class EndedError(Exception):
    """Work that runs without end has ended."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Work has failed and is restarted."""

    cause: FailureCause
    restarts_in_s: float


class Supervision:
    """Runs work until it returns, restarted whenever it fails.

    Args:
        name: What the work is, for the log and as the name of its task.
        work: Does it.
        backoff: Delays between the attempts.
        report: Called after each failure; None: the log suffices.
        machine: Id of the machine that the work is for.

    """

    def __init__(
        self,
        name: str,
        work: Callable[[], Coroutine[None, None, None]],
        *,
        backoff: Backoff,
        report: Callable[[Failure], None] | None = None,
        machine: str | None = None,
    ) -> None:
        self.name = name
        self.restarts = 0
        """How often the work has failed and was restarted."""
        self.ended_attempts = 0
        """How often it has failed by itself: it did not stand still."""
        self.is_waiting = False
        """Whether the next attempt is awaited."""
        self.newest_failure: Failure | None = None
        self._work = work
        self._backoff = backoff
        self._report = report
        self._log = log.bind(work=name) if machine is None else log.bind(machine=machine)
        self._logged: set[str] = set()
        self._task: asyncio.Task[None] | None = None
        self._begun_s = 0.0
        self._standstill: StandstillError | None = None  # for which the work is cancelled

    @property
    def failures_in_a_row(self) -> int:
        """Failures since the last attempt that has worked for long."""
        return self._backoff.failures

    @property
    def worked_s(self) -> float:
        """How long the present attempt has worked, in s; 0 while the next one is awaited."""
        return 0.0 if self.is_waiting else time.monotonic() - self._begun_s

    def restart(self, reason: str) -> None:
        """Cancel the work because it stands still, and start it again."""
        if self._task is not None and not self._task.done():
            self._standstill = StandstillError(reason)
            self._task.cancel()

    async def run(self) -> None:
        """Do the work until it returns.

        A cancellation ends it, also if the end of the work fails.
        """
        while True:
            self._begun_s, self._standstill = time.monotonic(), None
            # a task of its own: in Python 3.11 a task group may leave a cancellation counted
            self._task = task = asyncio.create_task(self._work(), name=self.name)
            try:
                await task
            except Exception as error:  # one part must not end the others
                if _is_cancelled():
                    self._log_failure(failure_cause(error), error)
                    raise asyncio.CancelledError from error
                await self._wait_after(error)
            except asyncio.CancelledError:
                if _is_cancelled():
                    raise
                await self._wait_after(self._standstill or EndedError("it was cancelled"))
            else:
                return

    async def _wait_after(self, error: Exception) -> None:
        """Count and report a failure, and wait until the next attempt is due."""
        delay_s = self._backoff.delay_s(time.monotonic() - self._begun_s)
        self.restarts += 1
        self.is_waiting = True
        cause = failure_cause(error)
        if isinstance(error, StandstillError):
            cause = FailureCause(str(error), "see the log for what came before; please report it")
        else:
            self.ended_attempts += 1
        self._log_failure(cause, error, next_attempt_s=delay_s)
        self.newest_failure = failure = Failure(cause, delay_s)
        if self._report is not None:
            self._report(failure)
        await asyncio.sleep(delay_s)
        self.is_waiting = False

    def _log_failure(self, cause: FailureCause, error: Exception, **facts: float) -> None:
        """Log a failure, each cause only once."""
        if cause.text in self._logged:
            return
        self._logged.add(cause.text)
        of_group: BaseException = error
        while isinstance(of_group, BaseExceptionGroup):
            of_group = of_group.exceptions[0]
        where = None if isinstance(of_group, StatedFailureError) else of_group
        self._log.error(
            f"{self.name} failed: {cause.text}", hint=cause.remedy, exc_info=where, **facts
        )


async def outcome_of(work: Coroutine[None, None, R]) -> R | Exception:
    """Do work once; return its result or the exception that it raises, for what follows goes on.

    The caller counts and reports the exception.  A cancellation is raised, also if the end of the
    work fails.
    """
    try:
        return await work
    except Exception as error:
        if _is_cancelled():
            raise asyncio.CancelledError from error
        return error


async def without_end(work: Callable[[], Coroutine[None, None, None]]) -> None:
    """Do work that never returns; raise EndedError where it does."""
    await work()
    raise EndedError("it has ended, and should not")


def _is_cancelled() -> bool:
    """Return whether the task that runs was cancelled, also if an exception replaced that."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
