"""Work on a disk that hangs: it is no longer awaited, and keeps its place."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest
from anyio import CapacityLimiter

from asd_monitor.errors import OperationError
from asd_monitor.web.disk_access import on_disk
from tests.doubles.waiting import until


class HangingDisk:
    """Counts who waits for it."""

    def __init__(self) -> None:
        self.answers = threading.Event()
        self.waiting = self.begun = 0

    def read(self) -> int:
        self.begun += 1
        self.waiting += 1
        self.answers.wait()
        self.waiting -= 1
        return self.begun


@pytest.fixture
def disk() -> Iterator[HangingDisk]:
    found = HangingDisk()
    yield found
    found.answers.set()


async def test_however_often_it_is_asked_no_more_threads_wait(disk: HangingDisk) -> None:
    limiter = CapacityLimiter(2)
    for _ in range(5):
        asked = (on_disk(disk.read, limiter=limiter, limit_s=0.05) for _ in range(3))
        found = await asyncio.gather(*asked, return_exceptions=True)
        assert all(isinstance(each, OperationError) for each in found)
    assert (disk.waiting, disk.begun) == (2, 2)
    disk.answers.set()
    assert await on_disk(disk.read, limiter=limiter) == 3
    await until(lambda: not disk.waiting)


async def test_what_had_no_place_is_not_done_later(disk: HangingDisk) -> None:
    limiter = CapacityLimiter(1)
    with pytest.raises(OperationError, match="may be done later"):
        await on_disk(disk.read, limiter=limiter, limit_s=0.05)
    with pytest.raises(OperationError, match=r"for 0\.05 s: see"):
        await on_disk(disk.read, limiter=limiter, limit_s=0.05)
    disk.answers.set()
    await until(lambda: limiter.available_tokens == 1)
    assert disk.begun == 1


async def test_who_goes_away_leaves_no_work_behind(disk: HangingDisk) -> None:
    limiter = CapacityLimiter(1)
    first = asyncio.create_task(on_disk(disk.read, limiter=limiter))
    await until(lambda: disk.waiting == 1)
    second = asyncio.create_task(on_disk(disk.read, limiter=limiter))
    await until(lambda: limiter.statistics().tasks_waiting == 1)
    for each in (first, second):
        each.cancel()
    await asyncio.wait((first, second))
    await until(lambda: limiter.statistics().tasks_waiting == 0)
    assert limiter.borrowed_tokens == 1
    disk.answers.set()
    await until(lambda: limiter.borrowed_tokens == 0)
    assert disk.begun == 1
