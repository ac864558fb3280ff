"""When machines are restarted and the watchdog is fed, in simulated time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest

from asd_monitor.daemon.box_conditions import BoxConditions
from asd_monitor.daemon.hang_detection import WorkProgress
from asd_monitor.daemon.runtime_options import Intervals
from asd_monitor.daemon.supervised_tasks import SupervisedTasks
from asd_monitor.daemon.systemd import SystemdNotifier
from asd_monitor.daemon.watchdog import Watchdog
from asd_monitor.daemon.watched_work import WatchedWork
from tests.doubles.memory_broker import MemoryBroker


@dataclass
class Machine:
    """Stands in for a supervised session."""

    progress: WorkProgress = field(default_factory=lambda: WorkProgress(0))
    stage: str = "scoring"
    restarted: int = 0

    def restart(self, _reason: str) -> None:
        self.restarted += 1


class Registry:
    """Stands in for the machines of a daemon."""

    summary = ""

    def __init__(self, **machines: Machine) -> None:
        self.machines = machines


class Simulation:
    """A watchdog whose time the test passes in."""

    def __init__(self, machines: dict[str, Machine], *work: WatchedWork) -> None:
        self.now_s = 0.0
        intervals = Intervals()
        self.watchdog = Watchdog(
            SystemdNotifier(watchdog_s=60.0),
            Registry(**machines),  # type: ignore[arg-type]
            work,
            tasks=SupervisedTasks(intervals),
            conditions=BoxConditions(MemoryBroker(), lambda: datetime.now(UTC)),
            intervals=intervals,
            monotonic_s=lambda: self.now_s,
        )

    def run(self, seconds: float, advance: Callable[[int], None]) -> list[bool]:
        """Return whether the watchdog was fed at each check."""
        fed = []
        for step in range(round(seconds / 5)):
            self.now_s += 5
            advance(step)
            fed.append(self.watchdog.check())
        return fed


def test_a_machine_that_is_unavailable_for_hours_does_not_affect_the_others() -> None:
    fan, pump = Machine(), Machine(WorkProgress(0, "no_device"))

    def advance(step: int) -> None:
        fan.progress = WorkProgress(step)

    assert all(Simulation({"fan": fan, "pump": pump}).run(12 * 3600, advance))
    assert (fan.restarted, pump.restarted) == (0, 0)


def test_a_machine_is_restarted_once_and_then_the_watchdog_is_not_fed_within_a_minute() -> None:
    fan = Machine(WorkProgress(7))
    simulation = Simulation({"fan": fan})
    fed = simulation.run(60, lambda _: None)
    assert fed[:5] == [True] * 5
    assert fan.restarted == 1
    assert not fed[-1]
    assert simulation.watchdog.standstills == 1


def test_a_restarted_machine_that_opens_its_device_and_hangs_again_is_not_restarted_again() -> None:
    fan = Machine(WorkProgress(7))

    def advance(step: int) -> None:
        opening = 5 <= step < 8
        fan.progress = WorkProgress(7, "opening hw:1" if opening else None)

    fed = Simulation({"fan": fan}).run(90, advance)
    assert fan.restarted == 1
    assert not fed[-1]


def test_a_machine_that_advances_after_its_restart_may_be_restarted_again() -> None:
    fan = Machine()

    def advance(step: int) -> None:
        fan.progress = WorkProgress(step // 8)  # every 40 s

    assert all(Simulation({"fan": fan}).run(400, advance))
    assert fan.restarted > 3


def test_a_pause_of_the_whole_process_is_no_standstill() -> None:
    fan = Machine()
    simulation = Simulation({"fan": fan})
    simulation.run(30, lambda step: setattr(fan, "progress", WorkProgress(step)))
    simulation.now_s += 3600  # suspended
    assert all(simulation.run(10, lambda _: None))
    assert fan.restarted == 0


@pytest.mark.parametrize(("essential", "fed"), [(True, False), (False, True)])
def test_only_essential_work_ends_the_feeding(essential: bool, fed: bool) -> None:
    work = WatchedWork("work", lambda: WorkProgress(1), "nothing", is_essential=essential)
    assert Simulation({}, work).run(60, lambda _: None)[-1] is fed


def test_work_that_has_hung_and_pauses_before_its_next_attempt_is_no_reason_for_a_restart() -> None:
    now = WorkProgress(1)
    simulation = Simulation({}, WatchedWork("work", lambda: now, "nothing"))
    assert not simulation.run(60, lambda _: None)[-1]
    now = WorkProgress(1, "a pause between two attempts")
    assert all(simulation.run(60, lambda _: None))
