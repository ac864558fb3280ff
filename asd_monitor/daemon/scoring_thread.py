"""The thread in which all machines' sound is scored, in batches.

What numpy and the network cost a call is shared by the machines whose sound is there, so a
batch waits a moment for others; while it runs, the next one gathers.  The busier the box,
the larger the batches, and the cheaper each machine.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from asd_monitor.daemon.load_shedding import carries
from asd_monitor.detector.detector import Detector
from asd_monitor.monitor import Monitor, Reading, push_batch
from asd_monitor.records import Block

GATHER_S = 0.02
"""So long a batch waits for more machines: the price in latency of sharing the cost."""


@dataclass(frozen=True, slots=True, eq=False)
class _Request:
    monitor: Monitor
    block: Block
    told: asyncio.Future[list[Reading]]


class Scoring:
    """Scores blocks of many machines; `close` it in the end."""

    def __init__(self, gather_s: float = GATHER_S) -> None:
        self.machines = 0
        """Machines that are listened to: a batch that has all of them waits no longer."""
        self.busy_s = 0.0
        """Seconds that the thread has worked."""
        self.every = 1
        """Which windows are scored: all, or every second one, …"""
        self._gather_s = gather_s
        self._waiting: list[_Request] = []
        self._changed = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="score")
        self._task: asyncio.Task[None] | None = None

    async def push(self, monitor: Monitor, block: Block) -> list[Reading]:
        """Return what the monitor's next block told; for one block of a monitor at a time.

        Raises what the monitor raises.
        """
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(), name="score")
        request = _Request(monitor, block, asyncio.get_running_loop().create_future())
        self._waiting.append(request)
        self._changed.set()
        return await request.told

    async def close(self) -> None:
        """End the thread, after the batch that is on its way."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait((self._task,))
        self._thread.shutdown(wait=False)

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            while not self._waiting:
                self._changed.clear()
                await self._changed.wait()
            await self._gather()
            batch, self._waiting = self._waiting, []
            told: Sequence[list[Reading] | Exception]
            try:
                told = await loop.run_in_executor(self._thread, self._score, batch)
            except Exception as error:  # noqa: BLE001 - a defect, told to all whose sound it was
                told = [error] * len(batch)
            for request, outcome in zip(batch, told, strict=True):
                if request.told.done():  # its machine was removed meanwhile
                    continue
                if isinstance(outcome, Exception):
                    request.told.set_exception(outcome)
                else:
                    request.told.set_result(outcome)

    def _score(self, batch: Sequence[_Request]) -> list[list[Reading] | Exception]:
        begun_s = time.monotonic()
        for request in batch:
            request.monitor.widen(self.every)
        told = push_batch(
            [request.monitor for request in batch], [request.block for request in batch]
        )
        self.busy_s += time.monotonic() - begun_s
        return told

    async def carries(self, detectors: Sequence[Detector]) -> int:
        """Try how many machines like these the box can listen to."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, carries, detectors)

    async def _gather(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._gather_s):
                while len(self._waiting) < self.machines:
                    self._changed.clear()
                    await self._changed.wait()
