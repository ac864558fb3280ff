"""Capacity and load shedding: what is set, logged and published."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from types import SimpleNamespace
from typing import cast

import pytest
import structlog

from asd_monitor.daemon.load_monitor import LoadMonitor
from asd_monitor.daemon.load_shedding import SheddingThresholds
from asd_monitor.daemon.monitor_session import MonitorSession
from asd_monitor.daemon.scoring_thread import ScoringThread
from asd_monitor.detector.detector import Detector
from asd_monitor.encoders.session import EncoderError
from tests.doubles.level_detector import LevelDetector
from tests.doubles.waiting import until

# every load is busy, and an overload of a few measurements is long enough
EAGER = SheddingThresholds(busy_share=0.0, overload_delay_s=0.02)


class Box:
    """A box of a given capacity, whose sessions have a given backlog."""

    def __init__(self, machines: int, capacity: int | Exception) -> None:
        self.backlog_s = 0.0
        self.machines = machines
        self._capacity = capacity
        self.scoring = ScoringThread(estimate=self._estimate)
        self.monitor = LoadMonitor(self.scoring, self._sessions, interval_s=0.001, thresholds=EAGER)

    def _estimate(self, detectors: Sequence[Detector]) -> int:
        assert len(detectors) == self.machines
        if isinstance(self._capacity, Exception):
            raise self._capacity
        return self._capacity

    def _sessions(self) -> list[MonitorSession]:
        one = SimpleNamespace(detector=LevelDetector(), backlog_s=self.backlog_s)
        return [cast("MonitorSession", one)] * self.machines


@pytest.fixture
async def boxes() -> AsyncIterator[list[Box]]:
    boxes: list[Box] = []
    yield boxes
    for box in boxes:
        await box.scoring.close()


async def test_capacity_is_logged_and_published(boxes: list[Box]) -> None:
    boxes.append(box := Box(machines=3, capacity=210))
    with structlog.testing.capture_logs() as logs:
        await box.monitor.measure_capacity()
    (entry,) = logs
    assert (entry["machines"], entry["capacity_machines"]) == (3, 210)
    assert (box.monitor.message.capacity, box.monitor.message.stride) == (210, 1)


@pytest.mark.parametrize(("machines", "stride"), [(4, 2), (5, 3), (60, 3)])
async def test_windows_are_skipped_from_the_start_with_too_many_machines(
    boxes: list[Box], machines: int, stride: int
) -> None:
    """The stride is at most 3, at which consecutive windows still touch."""
    boxes.append(box := Box(machines, capacity=2))
    with structlog.testing.capture_logs() as logs:
        await box.monitor.measure_capacity()
    assert box.scoring.stride == box.monitor.message.stride == stride
    warnings = [entry for entry in logs if entry["log_level"] == "warning"]
    assert warnings[0]["machines"] == machines
    assert all(entry["hint"] for entry in warnings)


async def test_capacity_is_unknown_where_a_network_fails(boxes: list[Box]) -> None:
    boxes.append(box := Box(machines=1, capacity=EncoderError("it cannot be run")))
    await box.monitor.measure_capacity()
    assert box.monitor.message.capacity is None


async def test_capacity_is_unknown_without_a_model(boxes: list[Box]) -> None:
    boxes.append(box := Box(machines=0, capacity=1))
    await box.monitor.measure_capacity()
    assert box.monitor.message.capacity is None


async def test_backlog_raises_the_stride_and_is_logged(boxes: list[Box]) -> None:
    boxes.append(box := Box(machines=2, capacity=2))
    running = asyncio.create_task(box.monitor.run())
    with structlog.testing.capture_logs() as logs:
        box.backlog_s = EAGER.max_backlog_s + 1.0
        await until(lambda: box.scoring.stride == 2)
    (entry,) = logs
    assert entry["log_level"] == "warning"
    assert entry["scored"] == "1 of 2"
    assert entry["backlog_s"] == box.backlog_s
    assert box.monitor.message.backlog_s == box.backlog_s
    running.cancel()
