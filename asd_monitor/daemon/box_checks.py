"""The checks of the box itself that are made every few seconds: its disk and its clock."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from asd_monitor.daemon.box_conditions import BoxConditions
from asd_monitor.daemon.clock_check import ClockCheck
from asd_monitor.daemon.disk_check import DiskCheck, DiskReading, read_disk
from asd_monitor.daemon.stream_clock import clock_synced
from asd_monitor.worker_thread import WorkerThread


def _steady_s() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class BoxChecks:
    """Reads disk and clock while `run` runs.

    Args:
        state: The state folder.
        conditions: Receives what is found.
        past_s: Unix time, in s, that must be past, see `clock_check.newest_time_s`.
        journal_fault: Returns why alarms are not written; None: they are.
        interval_s: Time between two checks, in s.
        answer_s: How long a check waits for the disk, in s.
        wall_s, steady_s: Read the clocks, in s.

    """

    def __init__(
        self,
        state: Path,
        conditions: BoxConditions,
        *,
        past_s: float,
        journal_fault: Callable[[], str | None],
        interval_s: float,
        answer_s: float,
        wall_s: Callable[[], float] = time.time,
        steady_s: Callable[[], float] = _steady_s,
    ) -> None:
        self.checks = 0
        """How many were made."""
        self.clock = ClockCheck(past_s)
        self._disk = DiskCheck(state)
        self._state = state
        self._conditions = conditions
        self._journal_fault = journal_fault
        self._interval_s = interval_s
        self._answer_s = answer_s
        self._wall_s = wall_s
        self._steady_s = steady_s
        self._worker = WorkerThread("disk")
        self._reading: asyncio.Future[DiskReading] | None = None  # in progress

    async def run(self) -> None:
        """Check until cancelled."""
        while True:
            await self.check()
            await asyncio.sleep(self._interval_s)

    async def check(self) -> None:
        """Read disk and clock once; a disk that does not answer in time is judged as such."""
        wall_s, steady_s = self._wall_s(), self._steady_s()
        clock = self.clock.judge(wall_s=wall_s, steady_s=steady_s, is_synced=clock_synced())
        self._conditions.update("clock", clock)
        reading = await self._read_disk(wall_s)
        disk = self._disk.judge(reading, journal_fault=self._journal_fault(), now_s=steady_s)
        self._conditions.update("disk", disk)
        self.checks += 1

    async def _read_disk(self, wall_s: float) -> DiskReading:
        if self._reading is None:
            self._reading = self._worker.submit(partial(read_disk, self._state, wall_s=wall_s))
        await asyncio.wait((self._reading,), timeout=self._answer_s)
        if not self._reading.done():  # the next check waits for the same reading
            fault = f"the disk has not answered for {self._answer_s:g} s"
            return DiskReading(0, 0, fault)
        reading, self._reading = self._reading, None
        return reading.result()

    @property
    def thread(self) -> WorkerThread:
        """The thread that reads the disk."""
        return self._worker

    def close(self) -> None:
        """End the thread, without waiting.  May be called in any state and more than once."""
        self._worker.close()
