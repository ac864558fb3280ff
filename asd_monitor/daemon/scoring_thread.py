"""The thread that scores the sound of all machines, in batches.

The fixed cost of a call into numpy or a network is shared by the machines of a batch.  A batch
waits briefly for further machines; while one is being scored, the next one gathers.  The higher
the load, the larger the batches, and the lower the cost per machine.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from asd_monitor.daemon.capacity import estimate_capacity
from asd_monitor.detector.detector import Detector
from asd_monitor.monitor import Monitor, Reading, push_batch
from asd_monitor.records import Block

GATHER_S = 0.02
"""How long a batch waits for further machines, in s: latency added for the shared cost."""

PushBatch = Callable[[Sequence[Monitor], Sequence[Block]], list[list[Reading] | Exception]]
EstimateCapacity = Callable[[Sequence[Detector]], int]


@dataclass(frozen=True, slots=True, eq=False)
class _Request:
    monitor: Monitor
    block: Block
    readings: asyncio.Future[list[Reading]]


class ScoringThread:
    """Scores blocks of many machines; `close` ends it.

    Args:
        gather_s: How long a batch waits for further machines, in s.
        push: Evaluates one block of each monitor.
        estimate: Estimates the capacity of this box for detectors.

    """

    def __init__(
        self,
        gather_s: float = GATHER_S,
        *,
        push: PushBatch = push_batch,
        estimate: EstimateCapacity = estimate_capacity,
    ) -> None:
        self.machine_count = 0
        """Machines that are monitored; a batch with all of them waits no longer."""
        self.busy_s = 0.0
        """Time that the thread has worked, in s."""
        self.stride = 1
        """Every n-th window is scored."""
        self._gather_s = gather_s
        self._push_batch = push
        self._estimate = estimate
        self._waiting: list[_Request] = []
        self._changed = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="score")
        self._task: asyncio.Task[None] | None = None

    async def push(self, monitor: Monitor, block: Block) -> list[Reading]:
        """Return the readings of a monitor's next block; one block of a monitor at a time.

        Raises what the monitor raises.
        """
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(), name="score")
        request = _Request(monitor, block, asyncio.get_running_loop().create_future())
        self._waiting.append(request)
        self._changed.set()
        return await request.readings

    async def capacity(self, detectors: Sequence[Detector]) -> int:
        """Estimate in the thread how many machines with such detectors can be monitored."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, self._estimate, detectors)

    async def close(self) -> None:
        """End the thread after the batch in progress."""
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
            outcomes: Sequence[list[Reading] | Exception]
            try:
                outcomes = await loop.run_in_executor(self._thread, self._score, batch)
            except Exception as error:  # noqa: BLE001 - a defect, raised for each request
                outcomes = [error] * len(batch)
            for request, outcome in zip(batch, outcomes, strict=True):
                if request.readings.done():  # its machine was removed meanwhile
                    continue
                if isinstance(outcome, Exception):
                    request.readings.set_exception(outcome)
                else:
                    request.readings.set_result(outcome)

    def _score(self, batch: Sequence[_Request]) -> list[list[Reading] | Exception]:
        begun_s = time.monotonic()
        for request in batch:
            request.monitor.set_stride(self.stride)
        outcomes = self._push_batch(
            [request.monitor for request in batch], [request.block for request in batch]
        )
        self.busy_s += time.monotonic() - begun_s
        return outcomes

    async def _gather(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._gather_s):
                while len(self._waiting) < self.machine_count:
                    self._changed.clear()
                    await self._changed.wait()
