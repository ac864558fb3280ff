"""Supervision of work that fails, hangs or ends."""

from __future__ import annotations

import asyncio
import errno

import pytest
from structlog.testing import capture_logs

from asd_monitor.backoff import Backoff
from asd_monitor.daemon.failure_cause import failure_cause
from asd_monitor.daemon.supervision import Failure, Supervision, outcome_of, without_end
from tests.doubles.waiting import until


class Work:
    """Work that raises what the test gives it, or waits."""

    def __init__(self, *outcomes: Exception | None) -> None:
        self.outcomes = list(outcomes)
        self.begun = 0

    async def __call__(self) -> None:
        self.begun += 1
        if not self.outcomes:
            await asyncio.Event().wait()
        elif (outcome := self.outcomes.pop(0)) is not None:
            raise outcome


async def test_work_that_fails_is_restarted_counted_and_reported() -> None:
    work, failures = Work(RuntimeError("one"), RuntimeError("one"), None), list[Failure]()
    backoff = Backoff((0.01, 0.02))
    supervision = Supervision("work", work, backoff=backoff, report=failures.append)
    with capture_logs() as logs:
        await supervision.run()
    assert (work.begun, supervision.restarts) == (3, 2)
    assert [each.restarts_in_s for each in failures] == [0.01, 0.02]
    assert len(logs) == 1  # each cause once


async def test_work_that_must_not_end_and_ends_is_restarted() -> None:
    work = Work(None)
    supervision = Supervision("work", lambda: without_end(work), backoff=Backoff((0.01,)))
    task = asyncio.create_task(supervision.run())
    await until(lambda: work.begun == 2)
    assert "ended" in str(supervision.newest_failure)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_work_that_is_cancelled_from_elsewhere_is_restarted() -> None:
    work = Work()
    supervision = Supervision("some work", work, backoff=Backoff((0.01,)))
    task = asyncio.create_task(supervision.run())
    await until(lambda: work.begun == 1)
    (own,) = [each for each in asyncio.all_tasks() if each.get_name() == "some work"]
    own.cancel()
    await until(lambda: work.begun == 2)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert supervision.restarts == 1


async def test_work_that_stands_still_is_restarted_with_the_reason() -> None:
    work = Work()
    supervision = Supervision("work", work, backoff=Backoff((0.01,)))
    supervision.restart("it has not begun")  # without effect
    task = asyncio.create_task(supervision.run())
    await until(lambda: work.begun == 1)
    supervision.restart("it has not advanced for 20 s")
    await until(lambda: work.begun == 2)
    assert supervision.newest_failure is not None
    assert supervision.newest_failure.cause.text == "it has not advanced for 20 s"
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize(
    ("error", "lacking", "remedy"),
    [
        (RuntimeError("can't start new thread"), "threads", "TasksMax="),
        (MemoryError(), "memory", "MemoryMax="),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), "memory", "MemoryMax="),
        (OSError(errno.EMFILE, "Too many open files"), "files", "LimitNOFILE="),
        (OSError(errno.ENFILE, "Too many open files in system"), "files", "fs.file-max"),
        (ExceptionGroup("", [MemoryError()]), "memory", "MemoryMax="),
        (RuntimeError("another"), "a defect in asd-monitor (RuntimeError: another)", "report"),
        (OSError(errno.EIO, "I/O error"), "a defect in asd-monitor", "report"),
    ],
)
def test_what_is_lacking_is_named_with_its_remedy(
    error: Exception, lacking: str, remedy: str
) -> None:
    cause = failure_cause(error)
    assert lacking in cause.text
    assert remedy in cause.remedy


async def test_the_outcome_of_work_that_is_done_once() -> None:
    async def work(number: int) -> float:
        return 1 / number

    assert await outcome_of(work(2)) == 0.5
    assert isinstance(await outcome_of(work(0)), ZeroDivisionError)


async def test_a_cancellation_of_work_that_is_done_once_is_raised_though_its_end_fails() -> None:
    begun = asyncio.Event()

    async def work() -> None:
        try:
            begun.set()
            await asyncio.Event().wait()
        finally:
            raise ZeroDivisionError

    task = asyncio.create_task(outcome_of(work()))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
