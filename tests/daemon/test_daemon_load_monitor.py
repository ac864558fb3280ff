"""What is done, logged and published when a box has too much to do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any, cast

import pytest
import structlog
from tests.doubles import daemon_fakes
from tests.doubles.daemon_fakes import until

from asd_monitor.daemon.load_monitor import LoadMonitor
from asd_monitor.daemon.load_shedding import BEHIND_S
from asd_monitor.daemon.monitor_session import MonitorSession
from asd_monitor.daemon.scoring_thread import Scoring
from asd_monitor.encoders.session import EncoderError


class Box:
    """A box whose scoring carries so many machines, and what its listeners say."""

    def __init__(self, machines: int, carries: int | Exception) -> None:
        self.behind_s = 0.0
        self.machines = machines
        self.scoring = Scoring()
        self._carries = carries
        self.scoring.carries = self._try  # type: ignore[method-assign]
        self.watch = LoadMonitor(self.scoring, self.listeners, every_s=0.001)

    async def _try(self, detectors: Any) -> int:
        assert len(detectors) == self.machines
        if isinstance(self._carries, Exception):
            raise self._carries
        return self._carries

    def listeners(self) -> list[MonitorSession]:
        one = SimpleNamespace(
            detector=daemon_fakes.LevelDetector(),
            behind_s=self.behind_s,
        )
        return [cast("MonitorSession", one)] * self.machines


@pytest.fixture
async def boxes() -> AsyncIterator[list[Box]]:
    made: list[Box] = []
    yield made
    for box in made:
        await box.scoring.close()


async def test_a_box_that_carries_its_machines_says_so(boxes: list[Box]) -> None:
    boxes.append(box := Box(machines=3, carries=210))
    with structlog.testing.capture_logs() as logs:
        await box.watch.try_how_many()
    assert [entry["event"] for entry in logs] == [
        "this box carries about 210 microphones at these settings"
    ]
    assert (box.watch.message.carries, box.watch.message.every) == (210, 1)


@pytest.mark.parametrize(("machines", "every"), [(4, 2), (5, 3), (60, 3)])
async def test_with_too_many_machines_windows_are_passed_over_from_the_start(
    boxes: list[Box], machines: int, every: int
) -> None:
    """Never more than so that the windows still touch each other: one of three."""
    boxes.append(box := Box(machines, carries=2))
    with structlog.testing.capture_logs() as logs:
        await box.watch.try_how_many()
    assert box.scoring.every == box.watch.message.every == every
    warnings = [entry for entry in logs if entry["log_level"] == "warning"]
    assert warnings[0]["machines"] == machines
    assert all(entry["hint"] for entry in warnings)


async def test_a_network_that_fails_does_not_end_the_daemon(boxes: list[Box]) -> None:
    boxes.append(box := Box(machines=1, carries=EncoderError("it cannot be run")))
    await box.watch.try_how_many()
    assert box.watch.message.carries is None


async def test_no_model_no_trial(boxes: list[Box]) -> None:
    boxes.append(box := Box(machines=0, carries=1))
    await box.watch.try_how_many()
    assert box.watch.message.carries is None


async def test_who_falls_behind_is_told_and_relieved(
    boxes: list[Box], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("asd_monitor.daemon.load_shedding.PATIENCE_S", 0.02)
    monkeypatch.setattr("asd_monitor.daemon.load_shedding.BUSY", 0.0)
    boxes.append(box := Box(machines=2, carries=2))
    watching = asyncio.create_task(box.watch.run())
    with structlog.testing.capture_logs() as logs:
        box.behind_s = BEHIND_S + 1.0
        await until(lambda: box.scoring.every == 2)
    (entry,) = logs
    assert entry["log_level"] == "warning"
    assert entry["scored"] == "1 of 2"
    assert entry["behind_s"] == BEHIND_S + 1.0
    assert box.watch.message.behind_s == BEHIND_S + 1.0
    watching.cancel()
