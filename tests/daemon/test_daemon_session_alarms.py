"""Alarms of one monitor session: latch, acknowledgement, restart."""

import threading
from datetime import UTC, datetime
from typing import Any

import pytest

from asd_monitor.journal.alarm_records import Event
from asd_monitor.journal.machine_journal import MachineJournal
from asd_monitor.journal.sqlite_errors import JournalError
from tests.doubles.level_detector import StubBundle
from tests.doubles.monitored_machine import MonitoredMachine
from tests.doubles.scripted_source import ScriptedSource
from tests.doubles.waiting import TIMEOUT_S, until

ALARM_LEVEL = 0.6
NORMAL_LEVEL = 0.05


async def test_alarm_stays_latched_until_it_is_acknowledged(make):
    machine = make(alarm={"off_delay_s": 2})
    machine.start()
    machine.source.open().play(5, NORMAL_LEVEL)
    machine.source.play(20, ALARM_LEVEL)
    await machine.until_state("alarm")
    alarm = machine.broker.alarm("fan")
    assert (alarm["active"], alarm["acknowledged"], alarm["latched"]) == (True, False, False)
    assert alarm["reason"].startswith("alarm score at least 5.42 for")
    assert (alarm["time_scale_s"], alarm["severity"]) == (10.0, "alarm")
    assert alarm["peak_alarm_score"] >= 5.0
    assert alarm["views"]
    assert min(alarm["views"].values()) > 1
    assert (alarm["shelved_until"], alarm["suppressed"], alarm["out_of_service"]) == (
        None,
        False,
        False,
    )
    machine.source.play(25, NORMAL_LEVEL)
    await until(lambda: machine.broker.alarm("fan")["latched"])
    assert machine.state["state"] == "alarm"

    machine.journal.acknowledge(alarm["id"], "ann", "bearing", datetime.now(UTC))
    machine.session.check_acknowledgements()
    await until(lambda: not machine.broker.alarm("fan")["active"])
    await machine.until_state("normal")
    assert machine.broker.alarm("fan")["acknowledged_at"] is not None
    events = machine.broker.messages("fan/event")
    assert [(m["from"], m["to"]) for m in events if m["alarm_id"]] == [
        ("normal", "unacknowledged"),
        ("unacknowledged", "latched"),
        ("latched", "acknowledged"),
        ("acknowledged", "normal"),
    ]
    assert ("alarm", "normal") in machine.broker.transitions("fan")
    scores = {(m["from"], m["to"]): m["alarm_score"] for m in events}
    assert scores["normal", "unacknowledged"] >= 5.0  # the threshold
    assert scores["normal", "alarm"] >= 5.0
    assert scores["unacknowledged", "latched"] < 5.0
    assert scores["latched", "acknowledged"] is None  # not caused by a score
    event = next(m for m in events if m["to"] == "acknowledged")
    assert (event["who"], event["why"], event["alarm_id"]) == ("ann", "bearing", alarm["id"])


@pytest.mark.parametrize("with_the_newest", [False, True])
async def test_older_alarm_is_acknowledged_beside_the_newest(make, with_the_newest):
    machine = make(alarm={"latch": False, "on_delay_s": 1, "off_delay_s": 2})
    machine.start()
    machine.source.open()
    ids = []
    for _ in range(2):
        await machine.play(15, ALARM_LEVEL)
        await machine.until_state("alarm")
        ids.append(machine.broker.alarm("fan")["id"])
        if len(ids) == 1:
            await machine.play(15, NORMAL_LEVEL)
            await machine.until_state("normal")
    older, newest = ids
    assert older != newest
    before = machine.broker.messages("fan/alarm")

    acknowledged = [older, newest] if with_the_newest else [older]
    for alarm in acknowledged:
        machine.journal.acknowledge(alarm, "ann", "bearing", datetime.now(UTC))
    machine.session.check_acknowledgements()
    await until(lambda: len(acknowledgements(machine)) == len(acknowledged))
    assert [m["alarm_id"] for m in acknowledgements(machine)] == acknowledged
    published = machine.broker.messages("fan/alarm")[len(before) :]
    assert [m["id"] for m in published] == acknowledged[1:]
    alarm = machine.broker.alarm("fan")
    assert (alarm["id"], alarm["active"], alarm["acknowledged"]) == (newest, True, with_the_newest)
    assert machine.state["state"] == "alarm"

    await machine.play(15, NORMAL_LEVEL)  # the newest one returns to normal
    await machine.until_state("normal")
    alarm = machine.broker.alarm("fan")
    assert (alarm["id"], alarm["active"]) == (newest, False)


def acknowledgements(machine: MonitoredMachine) -> list[dict[str, Any]]:
    return [m for m in machine.broker.messages("fan/event") if m["who"] == "ann"]


async def test_restart_takes_up_the_active_alarm(make):
    machine = make()
    machine.start()
    machine.source.open().play(25, ALARM_LEVEL)
    await machine.until_state("alarm")
    first = machine.broker.alarm("fan")
    await machine.stop()

    machine.broker.retained.clear()
    machine.start(ScriptedSource().open())
    machine.source.play(30, NORMAL_LEVEL)
    state = await machine.until_state("alarm")
    assert state["evaluated"]
    await until(lambda: machine.broker.alarm("fan").get("latched"))
    for key in ("id", "raised", "reason"):
        assert machine.broker.alarm("fan")[key] == first[key]
    assert machine.broker.alarm("fan")["reason"].startswith("alarm score at least 5.42 for")


async def test_alarm_that_is_written_while_the_session_ends_is_published(make, monkeypatch):
    entered, gate = threading.Event(), threading.Event()
    record = MachineJournal.record

    def slow_record(journal: MachineJournal, *arguments: Any, **cause: Any) -> Event:
        entered.set()
        assert gate.wait(TIMEOUT_S)
        return record(journal, *arguments, **cause)

    monkeypatch.setattr(MachineJournal, "record", slow_record)
    machine = make()
    session = machine.start()
    machine.source.open().play(25, ALARM_LEVEL)
    await until(entered.is_set)
    machine.task.cancel()
    gate.set()
    await machine.stop()
    assert not machine.broker.transitions("fan")
    session.publish_stopped("the daemon was stopped")
    (alarm,) = machine.journal.alarms("fan")
    assert (machine.broker.alarm("fan")["id"], machine.state["state"]) == (alarm.id, "stopped")
    assert machine.broker.alarm("fan")["active"]
    assert machine.journal.machines_due == {"fan"}


async def test_acknowledgement_between_two_runs_is_applied(make):
    machine = make()
    machine.start()
    machine.source.open().play(25, ALARM_LEVEL)
    await machine.until_state("alarm")
    await machine.stop()
    (record,) = machine.journal.alarms("fan")
    machine.journal.acknowledge(record.id, "bob", None, datetime.now(UTC))

    machine.start(ScriptedSource().open())
    await until(lambda: ("unacknowledged", "acknowledged") in machine.broker.transitions("fan"))
    assert machine.broker.alarm("fan")["acknowledged"]


async def test_alarm_survives_a_new_model(make):
    machine = make()
    machine.start()
    machine.source.open().play(25, ALARM_LEVEL)
    await machine.until_state("alarm")
    machine.models.bundles["fan"] = StubBundle("v2")
    machine.session.reload_model()
    await until(lambda: machine.state["model"] == "v2")
    assert machine.state["state"] == "alarm"


async def test_acknowledgement_is_applied_after_the_journal_was_locked_once(make, monkeypatch):
    machine = make()
    machine.start()
    machine.source.open().play(25, ALARM_LEVEL)
    await machine.until_state("alarm")
    apply, failures = MachineJournal.apply_acknowledgements, [JournalError("locked")]

    def fail_once(*arguments: Any) -> Any:
        if failures:
            raise failures.pop()
        return apply(*arguments)

    monkeypatch.setattr(MachineJournal, "apply_acknowledgements", fail_once)
    alarm = machine.broker.alarm("fan")["id"]
    machine.journal.acknowledge(alarm, "ann", "bearing", datetime.now(UTC))
    machine.session.check_acknowledgements()
    await until(lambda: not failures)
    await until(lambda: machine.broker.alarm("fan")["acknowledged"])  # without another request
