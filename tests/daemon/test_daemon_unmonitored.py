"""Machines that are not monitored any more: what is published of them, and acknowledgements."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from asd_monitor.daemon.evaluation_loop import EvaluationLoop
from asd_monitor.journal.commands import make_request, read_journal
from asd_monitor.journal.database_file import DatabaseFile
from asd_monitor.journal.journal_requests import JournalRequests
from asd_monitor.journal.sqlite_errors import JournalError
from asd_monitor.publish.broker_session import BrokerSession
from tests.doubles.in_process_daemon import INTERVALS, InProcessDaemon
from tests.doubles.journalled_machine import acknowledgement
from tests.doubles.level_detector import make_config
from tests.doubles.mosquitto import Mosquitto, Subscriber
from tests.doubles.waiting import until

ALARM_LEVEL = 0.6
FAN = {"device": "hw:1"}
PUMP = {"device": "hw:2", "alarm": {"on_delay_s": 1}}
RAISED = ("normal", "unacknowledged")
ACKNOWLEDGED = ("unacknowledged", "acknowledged")
ENDED = ("acknowledged", "normal")
WITHOUT_PUMP = make_config(fan=FAN)


async def raise_alarm(daemon: InProcessDaemon) -> str:
    """Start with fan and pump, and raise an alarm of the pump; return its id."""
    daemon.start(make_config(fan=FAN, pump=PUMP))
    await daemon.until_state("fan", "normal")
    await daemon.until_state("pump", "normal")
    daemon.source("hw:2").play(20, ALARM_LEVEL)
    await daemon.until_state("pump", "alarm")
    return str(daemon.broker.alarm("pump")["id"])


def acknowledge(folder: Path, alarm_id: str) -> None:
    make_request(folder, acknowledgement(alarm_id, "ann", None, datetime.now(UTC)))


async def until_acknowledged(daemon: InProcessDaemon, machine: str) -> None:
    await until(lambda: daemon.broker.alarm(machine)["acknowledged"])
    await until(lambda: ACKNOWLEDGED in daemon.broker.transitions(machine))
    (alarm,) = read_journal(daemon.folder).alarms  # type: ignore[union-attr]
    assert (alarm.acknowledged, alarm.who) == (True, "ann")


async def until_ended(daemon: InProcessDaemon, machine: str) -> None:
    await until(lambda: not daemon.broker.alarm(machine)["active"])
    await until(lambda: ENDED in daemon.broker.transitions(machine))
    (event,) = (m for m in daemon.broker.messages(f"{machine}/event") if m["from"] == ENDED[0])
    assert (event["to"], event["who"], event["why"]) == ("normal", None, "not monitored any more")
    (alarm,) = read_journal(daemon.folder).alarms  # type: ignore[union-attr]
    assert (alarm.closed, alarm.cleared is not None) == (True, True)


async def alarm_of_a_killed_run(daemon: InProcessDaemon) -> tuple[InProcessDaemon, str]:
    """Return the next run, not started, whose broker has the pump in alarm; and the alarm's id."""
    alarm_id = await raise_alarm(daemon)
    retained = dict(daemon.broker.retained)
    daemon.service.stop()
    await daemon.finish()
    second = InProcessDaemon(daemon.folder, daemon.models)
    second.broker.retained.update(retained)
    return second, alarm_id


def of_pump(daemon: InProcessDaemon) -> list[tuple[str, dict[str, Any]]]:
    """Return the messages of the condition of the pump."""
    return [each for each in daemon.broker.sent if each[0] in ("asd/pump/state", "asd/pump/alarm")]


async def test_a_machine_of_an_earlier_run_that_is_not_configured_is_stopped(
    daemon: InProcessDaemon,
) -> None:
    second, alarm_id = await alarm_of_a_killed_run(daemon)
    second.start(WITHOUT_PUMP)
    await second.until_state("fan", "normal")
    await until(lambda: second.broker.state("pump")["state"] == "stopped")
    state = second.broker.state("pump")
    assert (state["state"], state["evaluated"]) == ("stopped", False)
    assert state["reason"] == "not in the configuration"
    alarm = second.broker.alarm("pump")
    assert (alarm["id"], alarm["active"], alarm["acknowledged"]) == (alarm_id, True, False)
    assert "(alarm score at least" in alarm["reason"]

    await until(lambda: not second.broker.topics_read, "the end of the subscription")
    acknowledge(second.folder, alarm_id)
    await until_acknowledged(second, "pump")
    await until_ended(second, "pump")
    assert len([each for each in of_pump(second) if each[0] == "asd/pump/state"]) == 1
    assert set((await second.box_status())["machines"]) == {"fan"}
    second.service.stop()
    await second.finish()


@pytest.mark.parametrize(
    "retained",
    [
        None,
        {"box": "otherbox", "state": "normal"},
        {"box": "otherbox", "state": "stopped"},
        {"state": "normal"},
        ["box", "testbox"],
    ],
)
async def test_nothing_is_published_over_the_messages_of_another_box(
    daemon: InProcessDaemon, retained: Any
) -> None:
    second, alarm_id = await alarm_of_a_killed_run(daemon)
    if retained is None:
        del second.broker.retained["asd/pump/state"]
    else:
        second.broker.retained["asd/pump/state"] = retained
    second.start(WITHOUT_PUMP, intervals=replace(INTERVALS, retained_s=0.2))
    await second.until_state("fan", "normal")
    acknowledge(second.folder, alarm_id)
    await until(lambda: ENDED in second.broker.transitions("pump"))
    await until(lambda: not second.broker.topics_read, "the end of the subscription")
    assert of_pump(second) == []
    second.service.stop()
    await second.finish()


@pytest.mark.parametrize("box", ["testbox", "otherbox"])
async def test_the_box_of_the_state_that_a_broker_has_retained_decides(
    daemon: InProcessDaemon, mosquitto: Mosquitto, box: str
) -> None:
    second, alarm_id = await alarm_of_a_killed_run(daemon)
    acknowledge(second.folder, alarm_id)
    state = second.broker.state("pump") | {"box": box}
    settings = WITHOUT_PUMP.mqtt.model_copy(update={"port": mosquitto.port})
    with Subscriber(mosquitto.port) as subscriber:
        subscriber.publish("asd/pump/state", json.dumps(state).encode(), retain=True)
        config = WITHOUT_PUMP.model_copy(update={"mqtt": settings})
        second.start(config, connect=BrokerSession)
        await asyncio.to_thread(mosquitto.wait_for_log, "Received UNSUBSCRIBE")
        await asyncio.to_thread(subscriber.wait_for, "asd/pump/event", times=2)
        second.service.stop()
        await second.finish()
        subscriber.catch_up()
        states = [json.loads(each) for each in subscriber.payloads("asd/pump/state")]
        alarms = [json.loads(each) for each in subscriber.payloads("asd/pump/alarm")]
    if box == "testbox":
        assert [each["state"] for each in states] == ["alarm", "stopped"]
        assert (alarms[-1]["id"], alarms[-1]["active"]) == (alarm_id, False)
    else:
        assert (states, alarms) == ([state], [])


async def test_a_subscription_is_not_given_up_without_a_connection(
    daemon: InProcessDaemon,
) -> None:
    second, _ = await alarm_of_a_killed_run(daemon)
    state = second.broker.retained.pop("asd/pump/state")
    second.start(WITHOUT_PUMP, intervals=replace(INTERVALS, retained_s=0.3))
    await until(lambda: second.broker.topics_read == {"asd/pump/state"})
    second.broker.connected = False
    await asyncio.sleep(0.6)
    assert second.broker.topics_read == {"asd/pump/state"}
    second.broker.receive("asd/pump/state", json.dumps(state).encode(), retained=True)
    await until(lambda: second.broker.state("pump").get("state") == "stopped")
    second.service.stop()
    await second.finish()


async def test_a_subscription_is_given_up_some_time_after_a_late_connection(
    daemon: InProcessDaemon,
) -> None:
    second, _ = await alarm_of_a_killed_run(daemon)
    del second.broker.retained["asd/pump/state"]
    second.broker.connected = False
    second.start(WITHOUT_PUMP, intervals=replace(INTERVALS, retained_s=0.05))
    await until(lambda: second.broker.topics_read == {"asd/pump/state"})
    second.broker.connected = True
    await asyncio.to_thread(second.on_connect)
    await until(lambda: not second.broker.topics_read)
    assert of_pump(second) == []
    second.service.stop()
    await second.finish()


async def test_a_stopped_machine_is_not_stopped_again_and_has_its_true_alarm(
    daemon: InProcessDaemon,
) -> None:
    second, alarm_id = await alarm_of_a_killed_run(daemon)
    second.broker.retained["asd/pump/state"]["state"] = "stopped"
    second.start(WITHOUT_PUMP)
    await until(lambda: of_pump(second))
    await second.until_state("fan", "normal")
    ((topic, alarm),) = of_pump(second)
    assert (topic, alarm["id"], alarm["active"]) == ("asd/pump/alarm", alarm_id, True)
    second.service.stop()
    await second.finish()


async def test_a_machine_that_a_late_journal_shows_is_stopped(daemon: InProcessDaemon) -> None:
    second, _ = await alarm_of_a_killed_run(daemon)
    journal, elsewhere = second.folder / "alarms.db", second.folder / "disk"
    elsewhere.mkdir()
    moved = journal.rename(elsewhere / "moved")
    journal.symlink_to(elsewhere / "alarms.db")  # a disk that is not mounted
    second.start(WITHOUT_PUMP)
    await second.until_state("fan", "normal")
    assert of_pump(second) == []
    journal.unlink()
    moved.rename(journal)
    await until(lambda: second.broker.state("pump")["state"] == "stopped")
    assert second.broker.alarm("pump")["active"]
    second.service.stop()
    await second.finish()


async def test_a_machine_of_a_journal_that_can_only_be_read_is_stopped(
    daemon: InProcessDaemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(file: DatabaseFile, _fill: object) -> None:
        raise JournalError("read-only file system")

    second, _ = await alarm_of_a_killed_run(daemon)
    monkeypatch.setattr(DatabaseFile, "open", fail)
    second.start(WITHOUT_PUMP)
    await until(lambda: second.broker.state("pump")["state"] == "stopped")
    second.service.stop()
    await second.finish()


async def test_a_machine_that_is_added_while_its_state_is_awaited_is_not_stopped(
    daemon: InProcessDaemon,
) -> None:
    second, _ = await alarm_of_a_killed_run(daemon)
    state = second.broker.retained.pop("asd/pump/state")
    second.start(WITHOUT_PUMP)
    await until(lambda: second.broker.topics_read == {"asd/pump/state"})
    second.file = make_config(fan=FAN, pump=PUMP)
    second.service.request_reload()
    await second.until_state("pump", "alarm")
    second.broker.receive("asd/pump/state", json.dumps(state).encode(), retained=True)
    await until(lambda: not second.broker.topics_read)
    assert "stopped" not in [each["state"] for each in second.broker.messages("pump/state")]
    second.service.stop()
    await second.finish()


async def test_an_acknowledgement_between_two_runs_is_applied_without_the_machine(
    daemon: InProcessDaemon,
) -> None:
    second, alarm_id = await alarm_of_a_killed_run(daemon)
    acknowledge(daemon.folder, alarm_id)
    second.start(WITHOUT_PUMP)
    await second.until_state("fan", "normal")
    await until_acknowledged(second, "pump")
    await until_ended(second, "pump")
    second.service.stop()
    await second.finish()


async def test_an_acknowledged_alarm_ends_when_its_machine_is_removed(
    daemon: InProcessDaemon,
) -> None:
    acknowledge(daemon.folder, await raise_alarm(daemon))
    await until_acknowledged(daemon, "pump")
    assert daemon.broker.alarm("pump")["active"]
    daemon.file = WITHOUT_PUMP
    daemon.service.request_reload()
    await until_ended(daemon, "pump")


async def test_an_acknowledged_alarm_continues_when_its_configuration_changes(
    daemon: InProcessDaemon,
) -> None:
    acknowledge(daemon.folder, await raise_alarm(daemon))
    await until_acknowledged(daemon, "pump")
    daemon.file = make_config(fan=FAN, pump={**PUMP, "device": "hw:3"})
    daemon.service.request_reload()
    await until(lambda: "hw:3" in daemon.sources)
    daemon.source("hw:3").play(20, ALARM_LEVEL)
    await daemon.until_state("pump", "alarm")
    await asyncio.sleep(10 * INTERVALS.journal_poll_s)
    assert daemon.broker.alarm("pump")["active"]
    assert ENDED not in daemon.broker.transitions("pump")


async def test_the_acknowledged_alarm_of_a_removed_machine_ends(
    daemon: InProcessDaemon,
) -> None:
    alarm_id = await raise_alarm(daemon)
    daemon.file = WITHOUT_PUMP
    daemon.service.request_reload()
    await daemon.until_state("pump", "stopped")
    await until(lambda: "pump" not in daemon.service.config.machines, "the end of the reload")
    acknowledge(daemon.folder, alarm_id)
    await until_acknowledged(daemon, "pump")
    await until_ended(daemon, "pump")

    daemon.file = make_config(fan=FAN, pump=PUMP)
    daemon.service.request_reload()
    await daemon.until_state("pump", "normal")
    assert daemon.broker.alarm("pump")["id"] == alarm_id
    daemon.source("hw:2").play(20, ALARM_LEVEL)
    await daemon.until_state("pump", "alarm")
    assert daemon.broker.alarm("pump")["id"] != alarm_id
    assert daemon.broker.transitions("pump").count(ACKNOWLEDGED) == 1


async def test_the_alarm_of_a_recording_that_has_ended_is_acknowledged(
    daemon: InProcessDaemon,
) -> None:
    pump = {**PUMP, "device": "file:/pump.wav"}
    daemon.start(make_config(fan=FAN, pump=pump))
    await until(lambda: "file:/pump.wav" in daemon.sources)
    daemon.source("file:/pump.wav").open().play(20, ALARM_LEVEL)
    daemon.source("file:/pump.wav").finish()
    await daemon.until_state("pump", "stopped")
    await daemon.until_state("fan", "normal")
    assert RAISED in daemon.broker.transitions("pump")
    acknowledge(daemon.folder, daemon.broker.alarm("pump")["id"])
    await until_acknowledged(daemon, "pump")
    assert daemon.broker.alarm("pump")["active"]


async def test_an_acknowledgement_that_cannot_be_read_is_read_later(
    daemon: InProcessDaemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    alarm_id = await raise_alarm(daemon)
    daemon.file = WITHOUT_PUMP
    daemon.service.request_reload()
    await until(lambda: "pump" not in daemon.service.config.machines, "the end of the reload")
    read, failures = JournalRequests.waiting, [JournalError("disk I/O error")] * 2

    def fail_twice(requests: JournalRequests, machine: str) -> object:
        if machine == "pump" and failures:
            requests._stored._version = None  # as the method does where it fails
            raise failures.pop()
        return read(requests, machine)

    monkeypatch.setattr(JournalRequests, "waiting", fail_twice)
    acknowledge(daemon.folder, alarm_id)
    await until_acknowledged(daemon, "pump")
    assert not failures


@pytest.mark.parametrize("device", ["file:/pump.wav", "hw:2"])
async def test_an_acknowledgement_while_the_session_ends_is_applied(
    daemon: InProcessDaemon, monkeypatch: pytest.MonkeyPatch, device: str
) -> None:
    ending, may_end = asyncio.Event(), asyncio.Event()
    end = EvaluationLoop.end

    async def end_late(loop: EvaluationLoop) -> None:
        ending.set()
        await may_end.wait()
        await end(loop)

    daemon.start(make_config(fan=FAN, pump={**PUMP, "device": device}))
    await until(lambda: device in daemon.sources)
    daemon.source(device).open().play(20, ALARM_LEVEL)
    await daemon.until_state("pump", "alarm")
    await daemon.until_state("fan", "normal")
    monkeypatch.setattr(EvaluationLoop, "end", end_late)
    if device == "hw:2":
        daemon.file = WITHOUT_PUMP
        daemon.service.request_reload()
    else:
        daemon.source(device).finish()
    await ending.wait()
    acknowledge(daemon.folder, daemon.broker.alarm("pump")["id"])
    await asyncio.sleep(10 * INTERVALS.journal_poll_s)
    assert not daemon.broker.alarm("pump")["acknowledged"]
    may_end.set()
    await until_acknowledged(daemon, "pump")
