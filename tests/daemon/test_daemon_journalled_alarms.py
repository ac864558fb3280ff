"""Alarms and events of the journal that a whole daemon publishes."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

from asd_monitor.daemon.runtime_options import Intervals
from asd_monitor.journal.machine_journal import MachineJournal
from asd_monitor.journal.store import Journal
from tests.doubles.in_process_daemon import InProcessDaemon
from tests.doubles.journalled_machine import NOW, RAISED
from tests.doubles.level_detector import StubModels, make_config
from tests.doubles.mosquitto import PATIENCE_S
from tests.doubles.scripted_source import ScriptedSource
from tests.doubles.waiting import TIMEOUT_S, until


async def test_the_alarm_of_a_machine_without_model_and_device_is_published_after_a_kill(
    daemon: InProcessDaemon, tmp_path: Path
) -> None:
    with Journal(tmp_path) as journal:
        raised = MachineJournal(journal, "fan").record(RAISED, NOW, "v1")
    daemon.models = StubModels()
    daemon.start(make_config(fan={"device": "hw:1"}), open_source=lambda _: ScriptedSource())
    await until(lambda: daemon.broker.alarm("fan"))
    alarm = daemon.broker.alarm("fan")
    assert (alarm["id"], alarm["active"], alarm["reason"]) == (raised.alarm_id, True, "a test")
    await until(lambda: daemon.broker.messages("fan/event"))
    assert daemon.broker.messages("fan/event")[0]["historical"]
    await until(lambda: daemon.broker.state("fan"))


async def test_alarm_and_state_are_published_while_a_model_is_being_loaded(
    daemon: InProcessDaemon, tmp_path: Path
) -> None:
    with Journal(tmp_path) as journal:
        raised = MachineJournal(journal, "fan").record(RAISED, NOW, "v1")
    gate = threading.Event()
    load = daemon.models.load

    def slow_load(models: Path, machine: str) -> Any:
        assert gate.wait(TIMEOUT_S)
        return load(models, machine)

    intervals = Intervals(starting_s=0.05)
    daemon.start(make_config(fan={"device": "hw:1"}), load_model=slow_load, intervals=intervals)
    await until(lambda: daemon.broker.alarm("fan").get("id") == raised.alarm_id)
    await until(lambda: daemon.broker.state("fan"))
    assert daemon.broker.state("fan")["state"] == "unavailable"
    assert daemon.broker.state("fan")["reason"] == "starting"
    gate.set()
    await daemon.until_state("fan", "alarm")


async def test_the_status_of_the_box_has_the_figures_of_the_outbox(
    daemon: InProcessDaemon,
) -> None:
    daemon.broker.put_events = lambda events: None  # type: ignore[method-assign]
    daemon.start(make_config(fan={"device": "hw:1"}))
    await daemon.until_state("fan", "normal")
    daemon.source("hw:1").play(20, 0.6)
    await daemon.until_state("fan", "alarm")
    outbox = (await daemon.box_status())["outbox"]
    assert outbox["waiting"] == 2
    assert outbox["bytes"] > 600
    assert 0 <= outbox["oldest_s"] < PATIENCE_S
    assert (outbox["dropped"], outbox["set_aside"]) == ({}, 0)
    assert (outbox["refused"], outbox["retried"]) == (0, 0)
