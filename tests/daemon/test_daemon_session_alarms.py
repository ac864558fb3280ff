"""Alarms of one monitor session: latch, acknowledgement, restart."""

import asyncio
import contextlib
import sqlite3
import threading
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest
import structlog

from asd_monitor.alarm.logic import AlarmLogic, EvaluatedWindow
from asd_monitor.daemon import block_evaluation, session_reporter
from asd_monitor.journal.alarm_records import Event
from asd_monitor.journal.machine_journal import MachineJournal
from asd_monitor.journal.machine_requests import MachineRequests
from asd_monitor.journal.sqlite_errors import JournalError
from asd_monitor.journal.store import Journal
from asd_monitor.records import WindowScore
from tests.doubles.journalled_machine import acknowledgement
from tests.doubles.level_detector import LevelDetector, StubBundle
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
    assert alarm["reason"].partition("(")[2].startswith("alarm score at least 5.42 for")
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

    machine.journal.requests.add(acknowledgement(alarm["id"], "ann", "bearing", datetime.now(UTC)))
    machine.session.check_requests()
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
        machine.journal.requests.add(acknowledgement(alarm, "ann", "bearing", datetime.now(UTC)))
    machine.session.check_requests()
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
    assert (
        machine.broker.alarm("fan")["reason"]
        .partition("(")[2]
        .startswith("alarm score at least 5.42 for")
    )


async def test_the_state_says_that_an_alarm_is_active_where_nothing_was_evaluated_yet(make):
    machine = make()
    machine.start()
    machine.source.open().play(25, ALARM_LEVEL)
    assert (await machine.until_state("alarm"))["alarm_active"] is True
    await machine.stop()

    machine.broker.retained.clear()
    machine.start(ScriptedSource())
    machine.source.interrupt("unplugged")
    state = await machine.until_state("unavailable", "no_device")
    await until(lambda: machine.state["reason"] == "unplugged")
    assert state["last_evaluated"] is None
    assert machine.state["alarm_active"] is True


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
    assert machine.broker.transitions("fan") == [("normal", "unacknowledged"), ("normal", "alarm")]
    session.publish_stopped("the daemon was stopped")
    (alarm,) = machine.journal.alarms("fan")
    assert (machine.broker.alarm("fan")["id"], machine.state["state"]) == (alarm.id, "stopped")
    assert machine.broker.alarm("fan")["active"]


async def test_an_alarm_of_the_block_that_is_scored_at_the_end_is_published(make):
    machine = make(alarm={"on_delay_s": 1})
    machine.start()
    machine.source.open()
    await machine.play(5, NORMAL_LEVEL)
    scoring, gate = threading.Event(), threading.Event()
    push_batch = machine.scoring._push_batch

    def push_late(*arguments: Any) -> Any:
        outcomes = push_batch(*arguments)  # the monitor has raised the alarm
        if machine.session._evaluator.monitor.alarm is not None:
            scoring.set()
            assert gate.wait(TIMEOUT_S)
        return outcomes

    machine.scoring._push_batch = push_late
    machine.source.play(20, ALARM_LEVEL)
    await until(scoring.is_set)
    assert machine.journal.alarms("fan") == []
    machine.task.cancel()
    await asyncio.sleep(0.05)
    assert not machine.task.done()
    gate.set()
    await machine.stop()
    (alarm,) = machine.journal.alarms("fan")
    assert (machine.broker.alarm("fan")["id"], alarm.active) == (alarm.id, True)
    assert machine.broker.transitions("fan") == [("normal", "unacknowledged"), ("normal", "alarm")]
    assert machine.broker.messages("fan/score")[-1]["state"] == "alarm"


async def test_the_end_does_not_wait_longer_for_scores_than_its_limit(make, monkeypatch):
    monkeypatch.setattr(block_evaluation, "END_LIMIT_S", 0.05)
    machine = make()
    gate = await machine.start_held()
    with structlog.testing.capture_logs() as logs:
        machine.task.cancel()
        await asyncio.wait((machine.task,), timeout=TIMEOUT_S)
    gate.set()
    assert machine.task.cancelled()
    assert any("its readings are lost" in each["event"] for each in logs)


@pytest.fixture
def suspected(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Return the suspicion of a fault of the microphone; it is the last element."""
    suspicion = [True]
    push = AlarmLogic.push

    def push_suspected(logic: AlarmLogic, window: WindowScore, **_: bool) -> EvaluatedWindow:
        return push(logic, window, suspected=suspicion[-1])

    monkeypatch.setattr(AlarmLogic, "push", push_suspected)
    return suspicion


async def hold_alarm(machine: MonitoredMachine) -> None:
    """Play sound whose alarm is due and is held by a suspicion."""
    machine.start()
    machine.source.open()
    await machine.play(15, ALARM_LEVEL)
    assert machine.session._evaluator.holds_alarm
    assert machine.journal.alarms("fan") == []


async def test_a_held_alarm_is_raised_after_a_new_model(make, suspected):
    machine = make()
    await hold_alarm(machine)
    machine.models.bundles["fan"] = StubBundle("v2")
    machine.session.reload_model()
    await until(lambda: machine.state["model"] == "v2")
    await machine.play(5, NORMAL_LEVEL)
    assert machine.journal.alarms("fan") == []
    suspected.append(False)
    await machine.play(5, NORMAL_LEVEL)
    await machine.until_state("alarm")
    assert (
        machine.broker.alarm("fan")["reason"]
        .partition("(")[2]
        .startswith("alarm score at least 5.42")
    )


async def test_a_held_alarm_is_discarded_by_an_outage(make, suspected):
    machine = make()
    await hold_alarm(machine)
    machine.source.interrupt("unplugged")
    await machine.until_state("unavailable", "no_device")
    await until(lambda: not machine.session._evaluator.holds_alarm)
    suspected.append(False)
    machine.source.open()
    await machine.play(15, NORMAL_LEVEL)
    await machine.stop()
    assert machine.journal.alarms("fan") == []


async def test_a_held_alarm_is_raised_where_the_new_model_cannot_score(make, suspected):
    machine = make()
    await hold_alarm(machine)
    detector = LevelDetector()
    object.__setattr__(detector, "front_end", replace(detector.front_end, rate_hz=48_000))
    machine.models.bundles["fan"] = StubBundle("v2", detector=detector)
    machine.session.reload_model()
    await machine.until_state("no_model")
    await until(lambda: machine.broker.alarm("fan")["active"])


async def test_a_held_alarm_is_raised_at_a_stop_and_taken_up_by_the_next_run(make, suspected):
    machine = make()
    await hold_alarm(machine)
    await machine.stop()
    (alarm,) = machine.journal.alarms("fan")
    assert alarm.active
    assert alarm.peak_score >= 5.42
    assert machine.broker.alarm("fan")["id"] == alarm.id
    assert ("normal", "unacknowledged") in machine.broker.transitions("fan")

    machine.start(ScriptedSource().open())
    machine.source.play(5, NORMAL_LEVEL)
    await machine.until_state("alarm")


async def test_a_held_alarm_is_raised_at_the_end_of_a_recording(make, suspected):
    machine = make(device="file:/a.wav")
    await hold_alarm(machine)
    machine.source.finish()
    await asyncio.wait_for(machine.task, TIMEOUT_S)
    (alarm,) = machine.journal.alarms("fan")
    assert alarm.active
    topics = [topic for topic, _ in machine.broker.sent]
    assert (topics[-1], machine.state["state"]) == ("asd/fan/state", "stopped")


async def until_blocked(machine: MonitoredMachine, monkeypatch: Any) -> threading.Event:
    """Let the journal wait; return the event that lets it go on."""
    gate, entered = threading.Event(), threading.Event()
    write = Journal.write

    def write_late(journal: Journal, change: Any) -> bool:
        entered.set()
        assert gate.wait(TIMEOUT_S)
        return write(journal, change)

    monkeypatch.setattr(Journal, "write", write_late)
    machine.source.interrupt("unplugged")
    await until(entered.is_set)
    return gate


async def test_changes_that_are_queued_at_the_end_are_written(make, monkeypatch):
    machine = make()
    machine.start()
    machine.source.open().play(5, NORMAL_LEVEL)
    await machine.until_state("normal")
    gate = await until_blocked(machine, monkeypatch)
    machine.source.play(1, NORMAL_LEVEL)  # the end of the outage is queued behind its begin
    await until(lambda: machine.state["microphone"] == "ok")
    machine.task.cancel()
    gate.set()
    await machine.stop()
    with contextlib.closing(sqlite3.connect(machine.journal.path)) as database:
        changes = database.execute(
            """SELECT "from", "to" FROM events WHERE kind = 'microphone' ORDER BY number"""
        ).fetchall()
    assert changes == [("ok", "no_device"), ("no_device", "ok")]


async def test_changes_beyond_the_bound_are_dropped_oldest_first_and_counted(make, monkeypatch):
    monkeypatch.setattr(session_reporter, "MAX_CHANGES", 4)
    machine = make()
    machine.start()
    machine.source.open().play(5, NORMAL_LEVEL)
    await machine.until_state("normal")
    gate = await until_blocked(machine, monkeypatch)
    with structlog.testing.capture_logs() as logs:
        for turn in range(5):  # two changes each: of the microphone and of the state
            machine.source.play(1, NORMAL_LEVEL)
            await until(lambda: machine.state["microphone"] == "ok")
            reason = f"unplugged {turn}"
            machine.source.interrupt(reason)
            await until(partial(lambda reason: machine.state["reason"] == reason, reason))
    (entry,) = [each for each in logs if "the oldest are dropped" in each["event"]]
    assert entry["waiting"] == 4
    gate.set()
    await until(
        lambda: any(m["why"] == "unplugged 4" for m in machine.broker.messages("fan/event"))
    )
    assert not any(m["why"] == "unplugged 0" for m in machine.broker.messages("fan/event"))
    assert machine.session._publisher.counts.dropped_changes == 16


async def test_acknowledgement_between_two_runs_is_applied(make):
    machine = make()
    machine.start()
    machine.source.open().play(25, ALARM_LEVEL)
    await machine.until_state("alarm")
    await machine.stop()
    (record,) = machine.journal.alarms("fan")
    machine.journal.requests.add(acknowledgement(record.id, "bob", None, datetime.now(UTC)))

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
    apply, failures = MachineRequests.apply, [JournalError("locked")]

    def fail_once(*arguments: Any, **options: Any) -> Any:
        if failures:
            raise failures.pop()
        return apply(*arguments, **options)

    monkeypatch.setattr(MachineRequests, "apply", fail_once)
    alarm = machine.broker.alarm("fan")["id"]
    machine.journal.requests.add(acknowledgement(alarm, "ann", "bearing", datetime.now(UTC)))
    machine.session.check_requests()
    await until(lambda: not failures)
    await until(lambda: machine.broker.alarm("fan")["acknowledged"])  # without another request
