"""Measures the load of the scoring thread and sets its stride."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

import structlog

from asd_monitor.daemon.load_shedding import (
    DEFAULT_THRESHOLDS,
    Load,
    LoadShedder,
    SheddingThresholds,
)
from asd_monitor.daemon.monitor_session import MonitorSession
from asd_monitor.daemon.scoring_thread import ScoringThread
from asd_monitor.dsp.front_end import FrontEnd
from asd_monitor.pipeline import max_stride
from asd_monitor.publish import messages

log = structlog.get_logger()

INTERVAL_S = 1.0


class LoadMonitor:
    """Measures the load at a fixed interval and applies load shedding.

    Args:
        scoring: The thread whose load is measured and whose stride is set.
        sessions: Returns the sessions that are monitoring now.
        interval_s: Time between two measurements, in s.
        thresholds: When the stride changes.

    """

    def __init__(
        self,
        scoring: ScoringThread,
        sessions: Callable[[], Sequence[MonitorSession]],
        *,
        interval_s: float = INTERVAL_S,
        thresholds: SheddingThresholds = DEFAULT_THRESHOLDS,
    ) -> None:
        self._scoring = scoring
        self._sessions = sessions
        self._interval_s = interval_s
        self._thresholds = thresholds
        self.turns = 0
        """How often the load was measured."""
        self._capacity: int | None = None
        self._load = Load(0.0, 0.0)

    @property
    def message(self) -> messages.Scoring:
        """The load, the stride and the capacity, for the status of the box."""
        return messages.Scoring(
            busy=round(self._load.busy, 3),
            backlog_s=round(self._load.backlog_s, 2),
            stride=self._scoring.stride,
            capacity=self._capacity,
        )

    async def measure_capacity(self) -> None:
        """Estimate and log the capacity; with more machines than that, start load shedding."""
        detectors = [each.detector for each in self._sessions() if each.detector]
        if not detectors:
            return
        estimate = self._scoring.capacity(detectors)
        await asyncio.wait((estimate,))
        if (error := estimate.exception()) is not None:  # which the machine itself reports
            log.warning("capacity not measured", reason=f"{type(error).__name__}: {error}")
            return
        self._capacity = estimate.result()
        log.info("capacity measured", machines=len(detectors), capacity_machines=self._capacity)
        if len(detectors) > self._capacity:
            log.warning(
                "more machines than this box can monitor at these settings",
                machines=len(detectors),
                capacity_machines=self._capacity,
                hint="distribute them over more boxes, or train with a larger hop_s",
            )
            needed = -(-len(detectors) // self._capacity)
            stride = max(self._scoring.stride, needed)
            self._set_stride(min(_largest_stride(self._front_ends()), stride))

    async def run(self) -> None:
        """Measure and adjust until cancelled."""
        shedder = LoadShedder(thresholds=self._thresholds)
        before_s, busy_before_s = time.monotonic(), self._scoring.busy_s
        while True:
            await asyncio.sleep(self._interval_s)
            now_s, busy_s = time.monotonic(), self._scoring.busy_s
            self._load = Load(
                busy=(busy_s - busy_before_s) / (now_s - before_s),
                backlog_s=max((each.backlog_s for each in self._sessions()), default=0.0),
            )
            before_s, busy_before_s = now_s, busy_s
            largest = _largest_stride(self._front_ends())
            self._set_stride(
                shedder.next_stride(self._scoring.stride, self._load, now_s, max_stride=largest)
            )
            self.turns += 1

    def _front_ends(self) -> list[FrontEnd]:
        return [each.detector.front_end for each in self._sessions() if each.detector]

    def _set_stride(self, stride: int) -> None:
        if stride > self._scoring.stride:
            log.warning(
                "load shedding: the box is too slow for its machines, windows are skipped",
                scored=f"1 of {stride}",
                backlog_s=round(self._load.backlog_s, 1),
                hint="end other programs that use the processor, or distribute the machines "
                "over more boxes",
            )
        elif stride < self._scoring.stride:
            log.info("load shedding reduced: fewer windows are skipped", scored=f"1 of {stride}")
        self._scoring.stride = stride


def _largest_stride(front_ends: Sequence[FrontEnd]) -> int:
    return max(map(max_stride, front_ends), default=1)
