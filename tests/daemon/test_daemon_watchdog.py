"""What stands still or fails in the daemon is found: by the watchdog, or as a condition."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import pytest
from structlog.testing import capture_logs

from asd_monitor.daemon import evaluation_loop, monitor_session
from asd_monitor.daemon.box_conditions import BoxConditions
from asd_monitor.daemon.box_status import BoxStatus
from asd_monitor.daemon.broker_check import BrokerCheck
from asd_monitor.daemon.event_delivery import EventDelivery
from asd_monitor.daemon.hang_detection import WorkProgress
from asd_monitor.daemon.load_monitor import LoadMonitor
from asd_monitor.daemon.machine_registry import MachineRegistry
from asd_monitor.daemon.runtime_options import Intervals, StandstillLimits
from asd_monitor.daemon.self_test_intervals import SelfTestIntervals
from asd_monitor.daemon.supervised_tasks import SupervisedTasks
from asd_monitor.daemon.systemd import SystemdNotifier
from asd_monitor.daemon.watchdog import Watchdog
from asd_monitor.daemon.watched_work import WatchedWork
from asd_monitor.errors import OperationError
from asd_monitor.journal.store import Journal
from tests.doubles.in_process_daemon import INTERVALS, InProcessDaemon
from tests.doubles.level_detector import LevelDetector, StubBundle, make_config
from tests.doubles.memory_broker import MemoryBroker
from tests.doubles.service_manager import Systemd
from tests.doubles.waiting import until

LIMITS = StandstillLimits(2.5, 0.5, 0.5, 0.5, 0.5, 0.5)  # some tasks have turns of a second
SHORT = replace(
    INTERVALS,
    heartbeat_s=0.05,
    box_checks_s=0.05,
    restart_reset_s=2.0,
    standstill=LIMITS,
    self_test=SelfTestIntervals(3600.0, 0.02, 3600.0),
)
ALARM = "asd/box/testbox/alarm"


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """Return what blocks a part of the daemon until the end of the test."""
    gate = threading.Event()
    yield gate
    gate.set()


@pytest.fixture
async def fan(
    daemon: InProcessDaemon, systemd: Systemd, environment: dict[str, str]
) -> InProcessDaemon:
    """Return a daemon under systemd that monitors a fan, with short limits."""
    daemon.environment |= environment
    daemon.start(make_config(fan={"device": "hw:1"}), intervals=SHORT)
    await daemon.until_state("fan", "normal")
    await until(lambda: systemd.fed > 3)
    return daemon


def conditions(daemon: InProcessDaemon) -> dict[tuple[str, str], dict[str, Any]]:
    """Return the retained conditions of the box by kind and check."""
    listed = daemon.broker.retained.get(ALARM, {}).get("conditions", [])
    return {(each["kind"], each["check"]): each for each in listed}


async def until_not_fed(systemd: Systemd) -> None:
    """Wait until the watchdog has not been fed for ten intervals."""
    since_s, fed = time.monotonic(), systemd.fed

    def is_starved() -> bool:
        nonlocal since_s, fed
        if systemd.fed != fed:
            since_s, fed = time.monotonic(), systemd.fed
        return time.monotonic() - since_s > 0.4

    await until(is_starved, "the watchdog is not fed")


async def longest_pause_s(systemd: Systemd, seconds: float) -> float:
    """Return the longest time without a message to the watchdog during ``seconds``, in s."""
    begun_s = fed_s = time.monotonic()
    fed, longest_s = systemd.fed, 0.0
    while (now_s := time.monotonic()) < begun_s + seconds:
        if systemd.fed != fed:
            fed, fed_s = systemd.fed, now_s
        longest_s = max(longest_s, now_s - fed_s)
        await asyncio.sleep(0.02)
    return longest_s


# work that hangs


async def test_a_machine_that_hangs_is_restarted_and_then_the_watchdog_is_not_fed(
    daemon, systemd, environment, gate, monkeypatch
):
    for module in (monitor_session, evaluation_loop):
        monkeypatch.setattr(module, "END_LIMIT_S", 0.1)
    daemon.environment |= environment
    daemon.models.bundles["fan"] = StubBundle(detector=LevelDetector(gate=gate))
    config = make_config(fan={"device": "hw:1"}, pump={"device": "hw:2"})
    with capture_logs() as logs:
        daemon.start(config, intervals=replace(INTERVALS, hang_s=0.3))
        await until(lambda: "READY=1" in systemd.received())
        daemon.source("hw:1").play(3)
        daemon.source("hw:2").interrupt("unplugged")  # which explains the standstill
        await daemon.until_state("fan", "unavailable", "fault")
        assert "scoring has not advanced" in daemon.broker.state("fan")["reason"]
        await until(lambda: len(daemon.sources["hw:1"]) > 1)
        await until(lambda: any("work hangs" in entry["event"] for entry in logs))
    (entry,) = [entry for entry in logs if "work hangs" in entry["event"]]
    assert entry["work"] == ["fan"]
    await until_not_fed(systemd)
    fed = systemd.fed
    gate.set()
    await until(lambda: systemd.fed > fed)
    assert (await daemon.box_status())["counters"]["monitoring"]["standstills"] >= 1


async def test_a_capture_that_delivers_nothing_is_declared_and_restarted(
    daemon, systemd, environment
):
    daemon.environment |= environment
    daemon.start(make_config(fan={"device": "hw:1"}), intervals=replace(INTERVALS, hang_s=0.3))
    await daemon.until_state("fan", "normal")
    await daemon.until_state("fan", "unavailable", "fault")
    assert "the capture of sound has not advanced" in daemon.broker.state("fan")["reason"]
    await until(lambda: len(daemon.sources["hw:1"]) > 1)


async def test_a_microphone_whose_capture_ends_is_declared(fan):
    fan.source("hw:1").finish()
    await fan.until_state("fan", "stopped")
    assert fan.broker.state("fan")["reason"]


async def test_a_blocked_event_loop_does_not_feed(fan, systemd):
    await asyncio.sleep(0)
    fed = systemd.fed
    time.sleep(0.3)  # noqa: ASYNC251 - the fault
    assert systemd.fed == fed


@pytest.mark.parametrize("work", ["the delivery of events", "the journal"])
async def test_a_thread_that_hangs_is_declared_and_the_watchdog_is_not_fed(
    fan, systemd, monkeypatch, gate, work
):
    monkeypatch.setattr(EventDelivery, "deliver", lambda _: gate.wait())
    if work == "the journal":
        monkeypatch.undo()
        monkeypatch.setattr(Journal, "maintain", lambda _: gate.wait())
    await until(lambda: ("standstill", work) in conditions(fan))
    await until_not_fed(systemd)
    fed = systemd.fed
    monkeypatch.undo()
    gate.set()
    await until(lambda: systemd.fed > fed)
    await until(lambda: ("standstill", work) not in conditions(fan))


async def test_a_session_with_the_broker_that_hangs_is_found(fan, systemd):
    fan.broker.is_pausing = False  # and its thread does not come round
    await until(lambda: ("standstill", "the session with the broker") in conditions(fan))
    await until_not_fed(systemd)


async def test_a_scoring_thread_that_hangs_is_found_while_no_machine_is_captured(
    fan, systemd, gate
):
    fan.source("hw:1").interrupt("unplugged")
    await fan.until_state("fan", "unavailable", "no_device")
    fan.service._scoring.between_batches(gate.wait)
    await until(lambda: ("standstill", "the scoring thread") in conditions(fan))
    await until_not_fed(systemd)


@pytest.mark.parametrize("task", ["heartbeat", "load"])
async def test_a_task_that_fails_is_restarted_counted_and_a_condition_while_it_lasts(
    fan, monkeypatch, task
):
    work = {"heartbeat": (BoxStatus, "publish"), "load": (LoadMonitor, "_front_ends")}

    def fail(_: object) -> None:
        raise RuntimeError("a fault")

    with capture_logs() as logs:
        monkeypatch.setattr(*work[task], fail)
        await until(lambda: ("task_failing", task) in conditions(fan))
    assert any("a defect in asd-monitor (RuntimeError: a fault)" in each["event"] for each in logs)
    monkeypatch.undo()
    await until(lambda: ("task_failing", task) not in conditions(fan))
    status = await fan.box_status()
    assert status["counters"]["tasks"][task] >= 3
    assert status["restarted"]["tasks"] >= 3
    await until(lambda: fan.broker.state("fan")["state"] == "normal")


@pytest.mark.parametrize("task", ["load", "events"])
async def test_the_watchdog_is_fed_while_a_task_fails_at_every_attempt(
    fan, systemd, monkeypatch, task
):
    def fail(_: object) -> None:
        raise ValueError("a fault")

    work = {"load": (LoadMonitor, "_front_ends"), "events": (EventDelivery, "deliver")}
    monkeypatch.setattr(*work[task], fail)
    await until(lambda: ("task_failing", task) in conditions(fan))
    assert await longest_pause_s(systemd, 2.5 * LIMITS.task_s) < LIMITS.task_s
    assert not [key for key in conditions(fan) if key[0] == "standstill"]


async def test_a_delivery_of_events_that_fails_goes_on_later(fan, monkeypatch):
    def fail(_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(EventDelivery, "deliver", fail)
    await until(lambda: ("task_failing", "events") in conditions(fan))
    found = conditions(fan)[("task_failing", "events")]
    assert "memory does not suffice" in found["text"]
    assert "MemoryMax=" in found["remedy"]
    before = len(fan.broker.messages("fan/event"))
    fan.source("hw:1").interrupt("unplugged")
    await fan.until_state("fan", "unavailable", "no_device")
    assert len(fan.broker.messages("fan/event")) == before
    monkeypatch.undo()
    await until(lambda: len(fan.broker.messages("fan/event")) > before)
    await until(lambda: ("task_failing", "events") not in conditions(fan))


async def test_a_daemon_that_cannot_start_its_threads_names_the_limit(daemon, monkeypatch):
    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    daemon.start(make_config(fan={"device": "hw:1"}))
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        with pytest.raises(OperationError, match="no more threads can be started: raise TasksMax="):
            await daemon.finish()


async def test_a_self_test_that_hangs_is_declared_and_monitoring_goes_on(
    daemon, systemd, environment, monkeypatch
):
    async def hang(_: BrokerCheck) -> None:
        await asyncio.Event().wait()

    daemon.environment |= environment
    monkeypatch.setattr(BrokerCheck, "run", hang)
    at_once = replace(SHORT, self_test=SelfTestIntervals(0.0, 0.02, 60.0))
    daemon.start(make_config(fan={"device": "hw:1"}), intervals=at_once)
    await until(lambda: ("standstill", "the self-test") in conditions(daemon))
    fed = systemd.fed
    await until(lambda: systemd.fed > fed + 3)
    # it was restarted: the test is noted as failed, and others are made
    await until(lambda: ("self_test_failed", "round_trip") in conditions(daemon))
    await until(lambda: ("standstill", "the self-test") not in conditions(daemon))
    assert (await daemon.box_status())["counters"]["self_test"]["failed"] >= 1


async def test_a_self_test_that_fails_is_noted_and_others_are_made(daemon, monkeypatch):
    async def fail(_: BrokerCheck) -> None:
        raise RuntimeError("a fault")

    monkeypatch.setattr(BrokerCheck, "run", fail)
    at_once = replace(SHORT, self_test=SelfTestIntervals(0.0, 0.02, 60.0))
    daemon.start(make_config(fan={"device": "hw:1"}), intervals=at_once)
    await until(lambda: ("self_test_failed", "round_trip") in conditions(daemon))
    machines = lambda: daemon.broker.retained["asd/box/testbox/selftest"]["machines"]  # noqa: E731
    await until(lambda: "fan" in machines())
    assert (await daemon.box_status())["counters"]["tasks"]["selftest"] == 1


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("how", ["hangs", "ends"])
async def test_a_thread_that_stores_live_sound_is_declared_and_monitoring_goes_on(
    fan, systemd, gate, how
):
    storing = fan.service._refits.storing

    def end() -> None:
        raise SystemExit

    if how == "hangs":
        storing.post(gate.wait)
    else:
        storing.post(end)
        storing.post(lambda: None)
    await until(lambda: ("standstill", "storing live sound") in conditions(fan))
    fed = systemd.fed
    await until(lambda: systemd.fed > fed + 3)


async def test_a_reload_that_hangs_is_declared(fan, systemd, gate, monkeypatch):
    fan.service._config_reload._read = gate.wait
    fan.service.request_reload()
    await until(lambda: ("standstill", "the reload") in conditions(fan))
    fed = systemd.fed
    await until(lambda: systemd.fed > fed + 3)


async def test_a_slow_reload_that_advances_is_not_ended(daemon, systemd, environment, monkeypatch):
    remove = MachineRegistry.remove

    async def remove_slowly(registry: MachineRegistry, machine: str, reason: str) -> None:
        await asyncio.sleep(0.7 * LIMITS.reload_s)
        await remove(registry, machine, reason)

    monkeypatch.setattr(MachineRegistry, "remove", remove_slowly)
    daemon.environment |= environment
    daemon.start(make_config(**machines_on(1)), intervals=SHORT)
    await until(lambda: "READY=1" in systemd.received())
    daemon.file = make_config(**machines_on(11))
    daemon.service.request_reload()
    with capture_logs() as logs:
        await until(lambda: systemd.received().count("READY=1") == 2)
    assert devices(daemon) == ["hw:11", "hw:12", "hw:13"]
    assert daemon.service.config is daemon.file
    assert not [entry for entry in logs if "has not advanced" in entry["event"]]


async def test_a_reload_that_was_ended_halfway_is_made_again(
    daemon, systemd, environment, monkeypatch
):
    remove, is_first = MachineRegistry.remove, True

    async def remove_or_hang(registry: MachineRegistry, machine: str, reason: str) -> None:
        nonlocal is_first
        await remove(registry, machine, reason)
        if machine == "pump" and is_first:
            is_first = False
            await asyncio.Event().wait()

    monkeypatch.setattr(MachineRegistry, "remove", remove_or_hang)
    daemon.environment |= environment
    daemon.start(make_config(**machines_on(1)), intervals=SHORT)
    await until(lambda: "READY=1" in systemd.received())
    daemon.file = make_config(**machines_on(11))
    daemon.service.request_reload()
    notified = {"READY=1", "RELOADING=1"}
    expected = ["READY=1", "RELOADING=1", "READY=1", "RELOADING=1", "READY=1"]
    with capture_logs() as logs:
        await until(lambda: [each for each in systemd.received() if each in notified] == expected)
    assert any("the reload has not advanced" in entry["event"] for entry in logs)
    assert sorted(devices(daemon)) == ["hw:11", "hw:12", "hw:13"]
    assert daemon.service.config is daemon.file
    await until(lambda: ("standstill", "the reload") not in conditions(daemon))


def machines_on(first: int) -> dict[str, dict[str, str]]:
    """Return the settings of three machines on devices from this number on."""
    return {
        machine: {"device": f"hw:{number}"}
        for number, machine in enumerate(("fan", "pump", "mill"), first)
    }


def devices(daemon: InProcessDaemon) -> list[str]:
    """Return the devices of the machines that are monitored."""
    return [each.settings.device_text for each in daemon.service._registry.machines.values()]


# healthy daemons


async def test_several_machines_are_always_fed_also_during_a_self_test(
    daemon, systemd, environment
):
    daemon.environment |= environment
    intervals = replace(
        SHORT,
        hang_s=1.0,
        self_test=SelfTestIntervals(0.0, 0.02, 0.1),
        standstill=replace(LIMITS, self_test_s=60.0),
    )
    config = make_config(fan={"device": "hw:1"}, pump={"device": "hw:2"}, mill={"device": "hw:3"})
    with capture_logs() as logs:
        daemon.start(config, intervals=intervals)
        await daemon.until_state("fan", "normal")
        await daemon.until_state("mill", "normal")
        daemon.source("hw:3").interrupt("unplugged")
        sources = [daemon.source("hw:1"), daemon.source("hw:2")]
        longest_s, fed, fed_s = 0.0, systemd.fed, time.monotonic()
        for _ in range(40):
            for source in sources:
                source.play(2)
            await asyncio.sleep(0.1)
            if systemd.fed > fed:
                fed, fed_s = systemd.fed, time.monotonic()
            longest_s = max(longest_s, time.monotonic() - fed_s)
    assert longest_s < 2
    assert not [entry for entry in logs if "hang" in entry["event"]]
    assert not [key for key in conditions(daemon) if key[0] in ("standstill", "task_failing")]
    assert daemon.broker.retained["asd/box/testbox/selftest"]["machines"]["fan"]
    assert all(len(daemon.sources[f"hw:{number}"]) == 1 for number in (1, 2, 3))


@pytest.mark.parametrize("work", ["a step of a self-test", "the measurement of the capacity"])
async def test_a_machine_is_not_restarted_while_the_scoring_thread_does_other_work(
    daemon, systemd, environment, gate, work
):
    hang_s = 0.3
    daemon.environment |= environment
    daemon.start(make_config(fan={"device": "hw:1"}), intervals=replace(INTERVALS, hang_s=hang_s))
    await daemon.until_state("fan", "normal")
    scoring = daemon.service._scoring
    if work == "a step of a self-test":
        scoring.between_batches(gate.wait)
    else:
        scoring._estimate = lambda _: gate.wait()
        scoring.capacity([])
    await until(lambda: scoring.does_other_work)
    daemon.source("hw:1").play(3)
    session = daemon.service._registry.machines["fan"]
    await until(lambda: session.stage == "scoring")
    assert await longest_pause_s(systemd, 4 * hang_s) < hang_s
    assert session.restarts == 0
    gate.set()
    await until(lambda: session.stage == "the capture of sound")


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
