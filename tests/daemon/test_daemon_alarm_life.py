"""Shelving and out of service in a monitor session, and ends of shelves without a flood."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from structlog.testing import capture_logs

from asd_monitor.alarm.state import Alarm, AlarmCondition, Transition, TransitionKind
from asd_monitor.daemon.session_reporter import hidden_reason
from asd_monitor.daemon.shelf_pace import ShelfPace
from asd_monitor.daemon.state_lock import StateLock, is_in_use
from asd_monitor.journal.machine_entries import OutOfService
from asd_monitor.journal.machine_journal import MachineJournal
from asd_monitor.journal.machine_requests import MachineRequests
from asd_monitor.journal.requests import Request, Verb
from asd_monitor.journal.sqlite_errors import JournalError
from asd_monitor.journal.store import Journal
from asd_monitor.wording import rfc3339
from tests.doubles.level_detector import make_config
from tests.doubles.waiting import until

ALARM_LEVEL = 0.6
NORMAL_LEVEL = 0.05
NOW = datetime(2026, 11, 23, 4, 45, tzinfo=UTC)


def request(machine: Any, verb: Verb, **arguments: str) -> None:
    """Make a request about the machine fan or its newest alarm, and apply it."""
    alarm = machine.broker.alarm("fan")["id"]
    of_machine = verb in (Verb.OUT_OF_SERVICE, Verb.IN_SERVICE)
    asked = Request(
        verb,
        "fan",
        "ann",
        datetime.now(UTC),
        alarm_id=None if of_machine else alarm,
        why="new belt",
        arguments=arguments,
    )
    machine.journal.requests.add(asked)
    machine.session.check_requests()


async def test_a_shelved_alarm_says_until_when_and_the_state_stays_alarm(make):
    machine = make()
    machine.start()
    machine.source.open().play(25, ALARM_LEVEL)
    await machine.until_state("alarm")
    end = datetime.now(UTC) + timedelta(hours=2)
    request(machine, Verb.SHELVE, until=end.isoformat())
    await until(lambda: machine.broker.alarm("fan")["shelved_until"] is not None)
    alarm = machine.broker.alarm("fan")
    assert alarm["shelved_until"] == rfc3339(end)
    assert (alarm["active"], alarm["acknowledged"], alarm["out_of_service"]) == (True, False, False)
    await until(lambda: "shelved until" in (machine.state["reason"] or ""))
    assert machine.state["state"] == "alarm"
    assert machine.state["reason"] == f"shelved until {end:%Y-%m-%d %H:%M} UTC"
    event = machine.broker.messages("fan/event")[-1]
    assert (event["to"], event["who"]) == ("shelved", "ann")


async def test_a_shelf_goes_by_the_wall_clock_also_in_a_recording(make):
    machine = make(device="file:/x.wav")
    machine.start()
    machine.source.open().play(25, ALARM_LEVEL)
    await machine.until_state("alarm")
    await machine.play(100, ALARM_LEVEL)  # read at once: the time of the sound is ahead
    end = datetime.now(UTC) + timedelta(seconds=70)
    request(machine, Verb.SHELVE, until=end.isoformat())
    await until(lambda: machine.broker.alarm("fan")["shelved_until"] is not None)
    machine.session.expire_shelf(ShelfPace())
    await machine.play(10, ALARM_LEVEL)
    assert machine.broker.alarm("fan")["shelved_until"] == rfc3339(end)


async def test_out_of_service_is_in_the_alarm_and_the_state_is_a_warning_at_most(make):
    machine = make()
    machine.start()
    machine.source.open().play(25, ALARM_LEVEL)
    await machine.until_state("alarm")
    request(machine, Verb.OUT_OF_SERVICE)
    await until(lambda: machine.broker.alarm("fan")["out_of_service"])
    await machine.until_state("warning")
    assert machine.state["reason"] == "out of service: new belt (ann)"
    assert machine.broker.alarm("fan")["active"]
    request(machine, Verb.IN_SERVICE)
    await machine.until_state("alarm")
    alarm = machine.broker.alarm("fan")
    assert (alarm["out_of_service"], alarm["acknowledged"]) == (False, False)


async def test_a_malformed_request_does_not_end_the_session(make):
    machine = make()
    machine.start()
    machine.source.open().play(25, ALARM_LEVEL)
    await machine.until_state("alarm")
    alarm = machine.broker.alarm("fan")["id"]
    for verb, arguments in ((Verb.IN_SERVICE, {}), (Verb.SHELVE, {"until": "0001-01-01T00:00+14"})):
        asked = Request(verb, "fan", "ann", NOW, alarm_id=alarm, arguments=arguments)
        machine.journal.requests.add(asked)
    request(machine, Verb.ACK)
    await until(lambda: machine.broker.alarm("fan")["acknowledged"])
    assert not machine.task.done()


async def test_what_was_applied_before_the_disk_did_not_answer_is_published(make, monkeypatch):
    machine = make()
    machine.start()
    machine.source.open().play(25, ALARM_LEVEL)
    await machine.until_state("alarm")

    def hang(_: Journal, __: str) -> None:
        raise JournalError("the disk does not answer")

    monkeypatch.setattr(Journal, "find", hang)
    asked = Request(Verb.OUT_OF_SERVICE, "fan", "ann", NOW, why="new belt")
    machine.journal.requests.add(asked)
    earlier = "fan-20260101T000000Z"
    machine.journal.requests.add(Request(Verb.ACK, "fan", "ann", NOW, alarm_id=earlier))
    machine.session.check_requests()
    await until(lambda: machine.broker.alarm("fan")["out_of_service"])
    await machine.until_state("warning")


def test_the_reason_of_a_machine_out_of_service_is_one_printable_line() -> None:
    service = OutOfService(NOW, "ann", "belt\n\x1b[2J")
    assert hidden_reason(None, service) == r"out of service: belt\n\x1b[2J (ann)"


async def test_what_raised_an_alarm_is_published_after_a_restart_as_before(make):
    machine = make()
    machine.start()
    machine.source.open().play(25, ALARM_LEVEL)
    await machine.until_state("alarm")
    before = machine.broker.alarm("fan")
    assert before["views"]
    assert before["provisional"] is False
    await machine.stop()
    machine.broker.retained.clear()
    machine.start()
    await until(lambda: "asd/fan/alarm" in machine.broker.retained)
    after = machine.broker.alarm("fan")
    keys = ("id", "reason", "views", "provisional", "time_scale_s", "raised")
    assert {key: after[key] for key in keys} == {key: before[key] for key in keys}


async def test_alarms_that_are_raised_three_times_in_ten_minutes_chatter(make):
    with capture_logs() as logs:
        machine = make(alarm={"latch": False, "on_delay_s": 1, "off_delay_s": 2})
        machine.start()
        machine.source.open()
        for times in range(1, 4):
            await machine.play(15, ALARM_LEVEL)
            await machine.until_state("alarm")
            if times == 3:
                await until(lambda: machine.broker.alarm("fan")["chattering"])
            assert machine.broker.alarm("fan")["chattering"] is (times == 3)
            await machine.play(15, NORMAL_LEVEL)
            await machine.until_state("normal")
    (entry,) = [each for each in logs if "chatter" in each["event"]]
    assert "shelve it while the cause is sought" in entry["hint"]


async def test_the_status_of_the_box_has_the_figures_of_the_alarms(daemon):
    daemon.start(make_config(fan={"device": "hw:1"}))
    await daemon.until_state("fan", "normal")
    daemon.source("hw:1").play(25, ALARM_LEVEL)
    await daemon.until_state("fan", "alarm")
    figures = (await daemon.box_status())["alarms"]
    assert (figures["alarms"], figures["top_machine"], figures["top_share"]) == (1, "fan", 1.0)
    assert (figures["shelved"], figures["out_of_service"], figures["floods"]) == (0, 0, 0)
    assert (figures["per_day"], figures["share_of_10_min_over_10"]) == (None, None)


async def test_a_shelf_expires_in_the_daemon(daemon):
    daemon.start(make_config(fan={"device": "hw:1"}))
    await daemon.until_state("fan", "normal")
    daemon.source("hw:1").play(25, ALARM_LEVEL)
    await daemon.until_state("fan", "alarm")
    asked = datetime.now(UTC) - timedelta(minutes=5)
    journal = daemon.service.parts.journal.journal
    journal.requests.add(
        Request(
            Verb.SHELVE,
            "fan",
            "ann",
            asked,
            alarm_id=daemon.broker.alarm("fan")["id"],
            arguments={"until": (datetime.now(UTC) + timedelta(seconds=1)).isoformat()},
        )
    )
    daemon.service.parts.journal.check_requests()

    def path() -> list[str]:
        return [m["to"] for m in daemon.broker.messages("fan/event") if m["alarm_id"]]

    await until(lambda: len(path()) == 3)
    assert path() == ["unacknowledged", "shelved", "unacknowledged"]
    assert daemon.broker.alarm("fan")["shelved_until"] is None


async def test_a_shelf_of_a_machine_without_a_session_expires_at_the_start(daemon):
    with Journal(daemon.folder) as journal:
        pump = MachineJournal(journal, "pump")
        alarm = Alarm(1, AlarmCondition.UNACKNOWLEDGED, 7.0)
        raised = Transition(
            1, TransitionKind.ALARM, "normal", alarm.condition, "a test", alarm=alarm
        )
        alarm_id = pump.record(raised, NOW, "v1").alarm_id
        end = (NOW + timedelta(hours=1)).isoformat()
        journal.requests.add(
            Request(Verb.SHELVE, "pump", "ann", NOW, alarm_id=alarm_id, arguments={"until": end})
        )
        MachineRequests(pump).apply(None, NOW, None)
        assert pump.newest is not None
        assert pump.newest.condition == "shelved"
    daemon.start(make_config(fan={"device": "hw:1"}))
    journal = daemon.service.parts.journal.journal
    await until(lambda: journal.newest("pump").condition == "unacknowledged")
    (*_, expired) = journal.events(alarm_id)
    assert (expired.before, expired.after, expired.who) == ("shelved", "unacknowledged", None)
    assert expired.why == "the shelving has expired (2026-11-23T05:45:00.000Z)"


@pytest.mark.parametrize("held", [True, False])
def test_a_folder_is_in_use_while_a_daemon_holds_it(tmp_path, held):
    lock = StateLock(tmp_path)
    if not held:
        lock.release()
    assert is_in_use(tmp_path) is held
    lock.release()
