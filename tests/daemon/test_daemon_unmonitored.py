"""Machines that are not monitored any more: what is published of them, and acknowledgements."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest

from asd_monitor.daemon.evaluation_loop import EvaluationLoop
from asd_monitor.journal.commands import acknowledge_alarm, read_journal
from asd_monitor.journal.sqlite_errors import JournalError
from asd_monitor.journal.store import Journal
from tests.doubles.in_process_daemon import INTERVALS, InProcessDaemon
from tests.doubles.level_detector import make_config
from tests.doubles.waiting import until

ALARM_LEVEL = 0.6
FAN = {"device": "hw:1"}
PUMP = {"device": "hw:2", "alarm": {"on_delay_s": 1}}
RAISED = ("normal", "unacknowledged")
ACKNOWLEDGED = ("unacknowledged", "acknowledged")


async def raise_alarm(daemon: InProcessDaemon) -> str:
    """Start with fan and pump, and raise an alarm of the pump; return its id."""
    daemon.start(make_config(fan=FAN, pump=PUMP))
    await daemon.until_state("fan", "normal")
    await daemon.until_state("pump", "normal")
    daemon.source("hw:2").play(20, ALARM_LEVEL)
    await daemon.until_state("pump", "alarm")
    return str(daemon.broker.alarm("pump")["id"])


def acknowledge(folder: Path, alarm_id: str) -> None:
    acknowledge_alarm(folder, alarm_id, "ann", None, datetime.now(UTC))


async def until_acknowledged(daemon: InProcessDaemon, machine: str) -> None:
    await until(lambda: daemon.broker.alarm(machine)["acknowledged"])
    await until(lambda: ACKNOWLEDGED in daemon.broker.transitions(machine))
    (alarm,) = read_journal(daemon.folder).alarms  # type: ignore[union-attr]
    assert (alarm.acknowledged, alarm.who) == (True, "ann")


async def test_a_machine_of_an_earlier_run_that_is_not_configured_is_stopped(
    daemon: InProcessDaemon,
) -> None:
    alarm_id = await raise_alarm(daemon)
    daemon.service.stop()
    await daemon.finish()

    second = InProcessDaemon(daemon.folder, daemon.models)
    second.start(make_config(fan=FAN))
    await second.until_state("fan", "normal")
    state = second.broker.state("pump")
    assert (state["state"], state["evaluated"]) == ("stopped", False)
    assert state["reason"] == "not in the configuration"
    alarm = second.broker.alarm("pump")
    assert (alarm["id"], alarm["active"], alarm["acknowledged"]) == (alarm_id, True, False)
    assert alarm["reason"].startswith("alarm score at least")

    acknowledge(second.folder, alarm_id)
    await until_acknowledged(second, "pump")
    assert set((await second.box_status())["machines"]) == {"fan"}
    second.service.stop()
    await second.finish()


async def test_an_acknowledgement_between_two_runs_is_applied_without_the_machine(
    daemon: InProcessDaemon,
) -> None:
    alarm_id = await raise_alarm(daemon)
    daemon.service.stop()
    await daemon.finish()
    acknowledge(daemon.folder, alarm_id)

    second = InProcessDaemon(daemon.folder, daemon.models)
    second.start(make_config(fan=FAN))
    await second.until_state("fan", "normal")
    await until_acknowledged(second, "pump")
    second.service.stop()
    await second.finish()


async def test_the_alarm_of_a_removed_machine_is_acknowledged_and_taken_up_again(
    daemon: InProcessDaemon,
) -> None:
    alarm_id = await raise_alarm(daemon)
    daemon.file = make_config(fan=FAN)
    daemon.service.request_reload()
    await daemon.until_state("pump", "stopped")
    await until(lambda: "pump" not in daemon.service.config.machines, "the end of the reload")
    acknowledge(daemon.folder, alarm_id)
    await until_acknowledged(daemon, "pump")

    daemon.file = make_config(fan=FAN, pump=PUMP)
    daemon.service.request_reload()
    await daemon.until_state("pump", "alarm")
    daemon.source("hw:2").play(20, 0.05)
    await daemon.until_state("pump", "normal")
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


async def test_an_acknowledgement_that_cannot_be_read_is_read_later(
    daemon: InProcessDaemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    alarm_id = await raise_alarm(daemon)
    daemon.file = make_config(fan=FAN)
    daemon.service.request_reload()
    await until(lambda: "pump" not in daemon.service.config.machines, "the end of the reload")
    read, failures = Journal.unapplied_acknowledgements, [JournalError("disk I/O error")] * 2

    def fail_twice(journal: Journal, machine: str) -> object:
        if machine == "pump" and failures:
            journal._stored._version = None  # as the method does where it fails
            raise failures.pop()
        return read(journal, machine)

    monkeypatch.setattr(Journal, "unapplied_acknowledgements", fail_twice)
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
        daemon.file = make_config(fan=FAN)
        daemon.service.request_reload()
    else:
        daemon.source(device).finish()
    await ending.wait()
    acknowledge(daemon.folder, daemon.broker.alarm("pump")["id"])
    await asyncio.sleep(10 * INTERVALS.journal_poll_s)
    assert not daemon.broker.alarm("pump")["acknowledged"]
    may_end.set()
    await until_acknowledged(daemon, "pump")
