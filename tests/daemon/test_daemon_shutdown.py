"""The end of the daemon: limits of its steps, and work that does not end."""

import asyncio
import contextlib
import os
import re
import signal
import threading
from dataclasses import replace
from pathlib import Path

import pytest
import structlog

from asd_monitor.audio.devices.device_strings import DeviceSpec
from asd_monitor.audio.sharing.server import SharingServer
from asd_monitor.audio.source import Receiver
from asd_monitor.daemon.monitor_session import MonitorSession
from asd_monitor.daemon.runtime_options import Intervals, ShutdownLimits
from asd_monitor.daemon.scoring_thread import ScoringThread
from asd_monitor.daemon.shutdown import Step, longest_s, run_stage
from asd_monitor.daemon.state_lock import StateLock
from asd_monitor.journal.store import Journal
from tests.doubles.in_process_daemon import InProcessDaemon
from tests.doubles.level_detector import make_config
from tests.doubles.scripted_source import ScriptedSource
from tests.doubles.service_manager import Systemd
from tests.doubles.waiting import TIMEOUT_S, until

FAN_AND_PUMP = {"fan": {"device": "hw:1"}, "pump": {"device": "hw:2"}}
SHORT_LIMITS = ShutdownLimits(removal_s=0.05, cancel_s=0.05)


class UnreleasedSource(ScriptedSource):
    """A source whose release never ends."""

    async def close(self) -> None:
        await asyncio.Event().wait()


class UnendingSource(ScriptedSource):
    """A source with a defect: it continues after a cancellation, until `may_end`."""

    may_end = False

    async def run(self, receiver: Receiver) -> None:
        while not self.may_end:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(0.02)


class FailingSource(ScriptedSource):
    """A source with a defect in its release."""

    async def close(self) -> None:
        raise ZeroDivisionError("close")


async def test_defect_at_the_end_of_a_machine_does_not_restart_it(daemon):
    opened: list[ScriptedSource] = []

    def open_source(spec: DeviceSpec) -> ScriptedSource:
        opened.append(ScriptedSource() if opened else FailingSource())
        opened[-1].open().play(3)
        return opened[-1]

    with structlog.testing.capture_logs() as logs:
        daemon.start(make_config(**FAN_AND_PUMP), open_source=open_source)
        await daemon.until_state("fan", "normal")
        daemon.file = make_config(pump=FAN_AND_PUMP["pump"])
        daemon.service.request_reload()
        await until(lambda: "fan" not in daemon.service.config.machines, "the end of the reload")
        daemon.service.stop()
        await daemon.finish()
    assert len(opened) == 2
    assert daemon.broker.state("fan")["reason"] == "removed from the configuration"
    (defect,) = [entry for entry in logs if "defect" in entry["event"]]
    assert (defect["machine"], str(defect["exc_info"])) == ("fan", "close")


@pytest.mark.parametrize("kind", [UnreleasedSource, UnendingSource])
async def test_machine_that_does_not_end_delays_neither_a_reload_nor_the_stop(
    daemon: InProcessDaemon, kind: type[ScriptedSource]
) -> None:
    opened: list[ScriptedSource] = []

    def open_source(spec: DeviceSpec) -> ScriptedSource:
        if str(spec) == "hw:2":
            return daemon.open_source(spec)
        opened.append(kind())
        return opened[-1]

    three = make_config(**FAN_AND_PUMP, mill={"device": "hw:3"})
    with structlog.testing.capture_logs() as logs:
        daemon.start(three, limits=SHORT_LIMITS, open_source=open_source)
        await daemon.until_state("pump", "normal")
        await until(lambda: len(opened) == 2)
        daemon.file = make_config(**FAN_AND_PUMP)
        daemon.service.request_reload()
        await until(lambda: "mill" not in daemon.service.config.machines, "the end of the reload")
        assert daemon.broker.state("mill")["state"] == "stopped"
        daemon.service.stop()
        await daemon.finish()
    for machine in ("fan", "mill"):
        late = [entry for entry in logs if entry.get("task") == f"supervise {machine}"]
        assert late
        assert {entry["log_level"] for entry in late} == {"error"}
    assert daemon.broker.state("fan")["state"] == "stopped"
    assert daemon.broker.state("pump")["state"] == "stopped"
    assert daemon.broker.stopped
    StateLock(daemon.folder).release()
    UnendingSource.may_end = True
    await until(lambda: len(asyncio.all_tasks()) == 1)
    UnendingSource.may_end = False


def raise_after(monkeypatch: pytest.MonkeyPatch, owner: type, name: str) -> None:
    """Let a method raise after it has done its work."""
    work = getattr(owner, name)
    if asyncio.iscoroutinefunction(work):

        async def raising_late(*arguments: object) -> None:
            await work(*arguments)
            raise ZeroDivisionError(name)

        monkeypatch.setattr(owner, name, raising_late)
    else:

        def raising(*arguments: object) -> None:
            work(*arguments)
            raise ZeroDivisionError(name)

        monkeypatch.setattr(owner, name, raising)


async def test_every_step_runs_although_others_fail(daemon, monkeypatch):
    with structlog.testing.capture_logs() as logs:
        daemon.start(make_config(**FAN_AND_PUMP))
        await daemon.until_state("fan", "normal")
        await daemon.until_state("pump", "normal")
        raise_after(monkeypatch, MonitorSession, "publish_stopped")
        raise_after(monkeypatch, SharingServer, "stop")
        raise_after(monkeypatch, ScoringThread, "close")
        raise_after(monkeypatch, type(daemon.broker), "stop")
        raise_after(monkeypatch, Journal, "close")
        daemon.service.stop()
        await daemon.finish()
    assert daemon.broker.state("fan")["state"] == "stopped"
    assert daemon.broker.state("pump")["state"] == "stopped"
    steps = [entry["step"] for entry in logs if "step" in entry]
    assert set(steps[:2]) == {"remove fan", "remove pump"}  # concurrently
    assert set(steps[2:4]) == {"stop sharing sound", "stop scoring"}  # concurrently
    assert steps[4:] == [
        "disconnect from the broker",
        "close the journal",
    ]
    StateLock(daemon.folder).release()  # the lock is free


async def test_step_that_does_not_end_is_abandoned_at_its_limit(daemon, monkeypatch):
    limits = replace(SHORT_LIMITS, step_s=0.05, margin_s=0.05, stop_delivery_s=0.05)
    may_end = threading.Event()
    with structlog.testing.capture_logs() as logs:
        daemon.start(make_config(fan={"device": "hw:1"}), limits=limits)
        await daemon.until_state("fan", "normal")
        never = asyncio.Event()
        monkeypatch.setattr(ScoringThread, "close", lambda _: never.wait())
        monkeypatch.setattr(daemon.broker, "stop", lambda _: may_end.wait())
        daemon.service.stop()
        await daemon.finish()
    may_end.set()
    late = [entry for entry in logs if "exceeded its limit" in entry["event"] and "step" in entry]
    assert [entry["step"] for entry in late] == ["stop scoring", "disconnect from the broker"]
    StateLock(daemon.folder).release()


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM, signal.SIGINT])
async def test_signal_during_the_shutdown_does_not_end_the_process(daemon, monkeypatch, number):
    daemon.start(make_config(fan={"device": "hw:1"}))
    await daemon.until_state("fan", "normal")
    stop = daemon.broker.stop
    handled = []

    def stop_late(timeout_s: float) -> None:
        default = signal.SIG_IGN, signal.SIG_DFL, signal.default_int_handler
        handled.append(signal.getsignal(number) not in default)
        if handled == [True]:
            os.kill(os.getpid(), number)
        stop(timeout_s)

    monkeypatch.setattr(daemon.broker, "stop", stop_late)
    daemon.service.stop()
    await daemon.finish()
    assert handled == [True]
    assert daemon.broker.stopped


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM, signal.SIGINT])
async def test_signal_during_the_shutdown_has_no_effect(
    daemon: InProcessDaemon, number: signal.Signals
) -> None:
    gate = threading.Event()
    stop = daemon.broker.stop

    def stop_late(timeout_s: float) -> None:
        assert gate.wait(TIMEOUT_S)
        stop(timeout_s)

    daemon.broker.stop = stop_late  # type: ignore[method-assign]
    daemon.start(make_config(**FAN_AND_PUMP))
    await daemon.until_state("fan", "normal")
    daemon.service.stop()
    await until(lambda: daemon.broker.state("fan")["state"] == "stopped")
    signal.raise_signal(number)
    await asyncio.sleep(0.01)
    gate.set()
    await daemon.finish()
    signal.raise_signal(number)  # until the event loop is closed
    assert daemon.broker.stopped


async def test_stop_ends_the_delivery_after_the_end_of_all_recordings(
    daemon: InProcessDaemon,
) -> None:
    gate = threading.Event()

    def wait_for(condition: object, timeout_s: float) -> bool:
        return timeout_s < ShutdownLimits().end_delivery_s or gate.wait(timeout_s)

    daemon.broker.wait_for = wait_for  # type: ignore[method-assign]
    daemon.start(make_config(fan={"device": "file:/a.wav"}))
    await until(lambda: daemon.sources)
    daemon.source("file:/a.wav").open().play(3)
    daemon.source("file:/a.wav").finish()
    await daemon.until_state("fan", "stopped")
    assert daemon.task is not None
    await asyncio.wait((daemon.task,), timeout=0.1)
    assert not daemon.task.done()
    daemon.service.stop()
    async with asyncio.timeout(5.0):
        await asyncio.wait((daemon.task,))
    gate.set()


async def test_a_stop_begins_for_systemd_after_the_delivery_of_recordings_that_have_ended(
    daemon: InProcessDaemon, systemd: Systemd, environment: dict[str, str]
) -> None:
    gate, delivering = threading.Event(), threading.Event()

    def wait_for(condition: object, timeout_s: float) -> bool:
        if timeout_s < ShutdownLimits().end_delivery_s:
            return True
        delivering.set()
        return gate.wait(timeout_s)

    daemon.environment |= environment
    daemon.broker.wait_for = wait_for  # type: ignore[method-assign]
    daemon.start(make_config(fan={"device": "file:/a.wav"}))
    await until(lambda: daemon.sources)
    daemon.source("file:/a.wav").open().play(3)
    daemon.source("file:/a.wav").finish()
    await until(lambda: bool(systemd.received()) and delivering.is_set())
    assert "STOPPING=1" not in systemd.received()
    gate.set()
    await daemon.finish()
    assert systemd.received().count("STOPPING=1") == 1


async def test_the_limits_of_a_stop_are_below_that_of_the_service_unit(
    daemon: InProcessDaemon,
) -> None:
    daemon.start(make_config(**FAN_AND_PUMP))
    await daemon.until_state("fan", "normal")
    await daemon.until_state("pump", "normal")
    unit = (Path(__file__).parents[2] / "deploy" / "asd-monitor@.service").read_text()
    (allowed_s,) = re.findall(r"^TimeoutStopSec=(\d+)$", unit, re.MULTILINE)
    margin_s = 5.0  # for the end of the process
    assert daemon.service.longest_stop_s + margin_s < float(allowed_s)
    # before STOPPING=1 the watchdog is on, and not fed while the last messages are delivered
    (watchdog_s,) = re.findall(r"^WatchdogSec=(\d+)$", unit, re.MULTILINE)
    limits = ShutdownLimits()
    delivery_s = limits.end_delivery_s + limits.margin_s + limits.cancel_s
    assert Intervals().watchdog_s + delivery_s + margin_s < float(watchdog_s)


async def test_the_steps_of_a_stage_run_at_the_same_time() -> None:
    met = asyncio.Barrier(2)

    async def meet() -> None:
        await met.wait()

    steps = [Step(name, TIMEOUT_S, meet) for name in ("one", "other")]
    with structlog.testing.capture_logs() as logs:
        await run_stage(steps, cancel_s=1.0)
    assert logs == []
    assert longest_s([steps, steps[:1]], cancel_s=1.0) == 2 * (TIMEOUT_S + 1.0)
