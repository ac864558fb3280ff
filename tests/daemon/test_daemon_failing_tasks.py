"""Work of the daemon that fails is restarted, and is a condition of the box while it lasts."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from asd_monitor.daemon.box_status import BoxStatus
from asd_monitor.daemon.broker_check import BrokerCheck
from asd_monitor.daemon.event_delivery import EventDelivery
from asd_monitor.daemon.load_monitor import LoadMonitor
from asd_monitor.daemon.self_test_intervals import SelfTestIntervals
from asd_monitor.daemon.state_lock import StateLock
from asd_monitor.errors import OperationError
from tests.doubles.level_detector import make_config
from tests.doubles.waiting import until
from tests.doubles.watched_daemon import LIMITS, SHORT, conditions, longest_pause_s


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
    daemon.service.parts.journal.journal.close()  # what closes it had no thread


async def test_a_daemon_that_cannot_open_its_parts_names_the_limit(daemon, monkeypatch):
    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        with pytest.raises(OperationError, match="no more threads can be started: raise TasksMax="):
            daemon.start(make_config(fan={"device": "hw:1"}))
    StateLock(daemon.folder).release()  # the lock is free


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
