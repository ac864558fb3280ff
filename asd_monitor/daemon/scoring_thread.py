"""The thread that scores the sound of all machines, in batches.

The fixed cost of a call into numpy or a network is shared by the machines of a batch.  A batch
waits briefly for further machines; while one is being scored, the next one gathers.  The higher
the load, the larger the batches, and the lower the cost per machine.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from asd_monitor.daemon.capacity import estimate_capacity
from asd_monitor.detector.detector import Detector
from asd_monitor.monitor import Monitor, Reading, push_batch
from asd_monitor.records import Block
from asd_monitor.worker_thread import WorkerThread

GATHER_S = 0.05
"""How long a batch waits for further machines, in s: latency added for the shared cost."""

R = TypeVar("R")
Outcomes = list[list[Reading] | Exception]
PushBatch = Callable[[Sequence[Monitor], Sequence[Block], int], Outcomes]
EstimateCapacity = Callable[[Sequence[Detector]], int]


@dataclass(frozen=True, slots=True, eq=False)
class _Request:
    monitor: Monitor
    block: Block
    readings: asyncio.Future[list[Reading]]
    at_s: float  # when it was made, in s of the event loop


class ScoringThread:
    """Scores blocks of many machines; `close` ends it.

    Args:
        gather_s: How long a batch waits for further machines, in s.
        push: Evaluates one block of each monitor with a stride.
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
        """Every n-th window is scored, as far as a machine's `Scorer.max_stride` permits."""
        self.does_other_work = False
        """Whether the thread does work now for which the batches wait."""
        self._gather_s = gather_s
        self._push_batch = push
        self._estimate = estimate
        self._waiting: list[_Request] = []
        self._gathering: asyncio.TimerHandle | None = None
        self._is_scoring = False
        self._thread = WorkerThread("score")

    @property
    def thread(self) -> WorkerThread:
        """The thread itself, whose progress is observed."""
        return self._thread

    def push(self, monitor: Monitor, block: Block) -> asyncio.Future[list[Reading]]:
        """Return the future readings of a monitor's next block; one block of it at a time.

        The future raises what the monitor raises.
        """
        loop = asyncio.get_running_loop()
        request = _Request(monitor, block, loop.create_future(), loop.time())
        self._waiting.append(request)
        self._gather()
        return request.readings

    def capacity(self, detectors: Sequence[Detector]) -> asyncio.Future[int]:
        """Estimate in the thread how many machines with such detectors can be monitored."""
        return self.between_batches(partial(self._estimate, detectors))

    def between_batches(self, work: Callable[[], R]) -> asyncio.Future[R]:
        """Do other work in the thread after the batch in progress; the next batch waits for it."""
        return self._thread.submit(partial(self._do_other_work, work))

    async def close(self) -> None:
        """End the thread after the batch in progress, without waiting; cancel what waits.

        May be called in any state and more than once.
        """
        self._thread.close()
        if self._gathering is not None:
            self._gathering.cancel()
            self._gathering = None
        waiting, self._waiting = self._waiting, []
        for request in waiting:
            request.readings.cancel()

    def _gather(self) -> None:
        """Score what waits, at once if it is complete or has waited long enough."""
        if self._is_scoring or not self._waiting:
            return
        if len(self._waiting) >= self.machine_count:
            self._score_waiting()
        elif self._gathering is None:
            loop = asyncio.get_running_loop()
            due_s = self._waiting[0].at_s + self._gather_s
            self._gathering = loop.call_at(due_s, self._score_waiting)

    def _score_waiting(self) -> None:
        if self._gathering is not None:
            self._gathering.cancel()
            self._gathering = None
        batch, self._waiting = self._waiting, []
        self._is_scoring = True
        scored = self._thread.submit(partial(self._score, batch))
        scored.add_done_callback(partial(self._deliver, batch))

    def _deliver(self, batch: Sequence[_Request], scored: asyncio.Future[Outcomes]) -> None:
        self._is_scoring = False
        defect = None if scored.cancelled() else scored.exception()
        for number, request in enumerate(batch):
            if request.readings.done():  # its machine was removed meanwhile
                continue
            outcome = defect if defect is not None else scored.result()[number]
            if isinstance(outcome, BaseException):
                request.readings.set_exception(outcome)
            else:
                request.readings.set_result(outcome)
        self._gather()

    def _do_other_work(self, work: Callable[[], R]) -> R:
        self.does_other_work = True
        try:
            return work()
        finally:
            self.does_other_work = False

    def _score(self, batch: Sequence[_Request]) -> Outcomes:
        begun_s = time.monotonic()
        monitors = [request.monitor for request in batch]
        outcomes = self._push_batch(monitors, [request.block for request in batch], self.stride)
        self.busy_s += time.monotonic() - begun_s
        return outcomes
