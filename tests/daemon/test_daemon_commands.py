"""Commands over MQTT in the whole daemon: carried out as requests, and answered."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from structlog.testing import capture_logs

from asd_monitor.config.settings import Config, Mqtt
from asd_monitor.daemon import awaited_commands, commands
from asd_monitor.daemon.command_queue import BURST
from asd_monitor.daemon.machine_registry import MachineRegistry
from asd_monitor.errors import UsageError
from asd_monitor.journal.journal_file import FILE_NAME
from asd_monitor.journal.requests import TooManyRequestsError
from asd_monitor.journal.sqlite_errors import JournalError, StalledJournalError
from asd_monitor.journal.store import Journal
from asd_monitor.journal.stored_journal import StoredJournal
from tests.doubles.in_process_daemon import InProcessDaemon
from tests.doubles.level_detector import make_config
from tests.doubles.waiting import until
from tests.doubles.watched_daemon import SHORT, conditions

ALARM_LEVEL = 0.6
Answer = dict[str, Any]


def config_of(*machines: str, commands_on: bool = True) -> Config:
    devices = {name: {"device": f"hw:{number}"} for number, name in enumerate(machines, start=1)}
    config = make_config(**devices)
    return config.model_copy(update={"mqtt": Mqtt(commands=commands_on)})


async def start(daemon: InProcessDaemon, *machines: str) -> None:
    daemon.start(config_of(*machines))
    for machine in machines:
        await daemon.until_state(machine, "normal")


async def start_with_alarm(daemon: InProcessDaemon) -> str:
    """Start a daemon with a fan in alarm; return the id of the alarm."""
    await start(daemon, "fan")
    daemon.source("hw:1").play(25, ALARM_LEVEL)
    await daemon.until_state("fan", "alarm")
    id_: str = daemon.broker.alarm("fan")["id"]
    return id_


async def ask(daemon: InProcessDaemon, verb: str, payload: str = "", **received: Any) -> Answer:
    """Send a command to the fan, and return its answer."""
    before = len(daemon.broker.answers)
    daemon.broker.command(f"fan/cmd/{verb}", payload.encode(), **received)
    await until(lambda: len(daemon.broker.answers) > before, verb)
    topic, answer, _ = daemon.broker.answers[before]
    assert topic == f"asd/fan/cmd/{verb}/response"
    assert (answer["schema"], answer["machine"], answer["verb"]) == ("asd.response/1", "fan", verb)
    return answer


async def test_an_alarm_is_acknowledged_by_a_command(daemon):
    alarm = await start_with_alarm(daemon)
    answer = await ask(daemon, "ack", alarm)
    assert (answer["accepted"], answer["alarm"]) == (True, alarm)
    assert answer["outcome"] == f"{alarm}: acknowledged by mqtt"
    assert len(answer["request"]) == 32
    assert daemon.service._registry.restarts == 0  # a new session would look for requests
    await until(lambda: daemon.broker.alarm("fan")["acknowledged"])
    await until(lambda: "acknowledged" in [m["to"] for m in daemon.broker.messages("fan/event")])
    (event,) = [m for m in daemon.broker.messages("fan/event") if m["to"] == "acknowledged"]
    assert (event["who"], event["why"]) == ("mqtt", "no reason given")
    again = await ask(daemon, "ack", alarm)
    assert again["accepted"]
    assert "already acknowledged by mqtt" in again["outcome"]


async def test_every_verb_is_carried_out(daemon):
    alarm = await start_with_alarm(daemon)
    steps = (
        ("label", f'{{"id": "{alarm}", "label": "valid", "who": "ann"}}', "labelled valid by ann"),
        ("mark-normal", alarm, "marked as normal by mqtt"),
        (
            "mark-normal",
            f'{{"id": "{alarm}", "why": "a fault", "withdraw": true}}',
            "the mark is withdrawn by mqtt",
        ),
        ("shelve", f'{{"id": "{alarm}", "for": "2h", "why": "known"}}', "shelved until"),
        ("unshelve", alarm, "unshelved and acknowledged by mqtt"),
        ("out-of-service", '{"why": "belt", "who": "bob"}', "taken out of service by bob"),
        ("in-service", "", "returned to service by mqtt"),
        ("reload", '{"who": "ann"}', "reloaded: no machine has changed, the models are read again"),
    )
    for verb, payload, outcome in steps:
        answer = await ask(daemon, verb, payload)
        assert answer["accepted"], answer
        assert outcome in answer["outcome"]
        assert (answer["request"] is None) == (verb == "reload")
    assert (await daemon.box_status())["counters"]["commands"] == {
        "received": len(steps),
        "refused": 0,
        "dropped": 0,
        "unanswered": 0,
    }


@pytest.mark.parametrize(
    ("verb", "payload", "outcome"),
    [
        ("ack", "fan-20260101T000000Z", "fan has no alarm fan-20260101T000000Z: see `alarms list"),
        ("ack", "", "the key 'id' is missing"),
        ("explode", "", "there is no command 'explode': the commands are ack, shelve, "),
        ("out-of-service", "", "the key 'why' is missing"),
        (
            "mark-normal",
            '{"from": "2026-01-02T00:00:00Z", "to": "2026-01-01T00:00:00Z", "why": "load"}',
            "fan: nothing is marked: give two times, the earlier one first",
        ),
    ],
)
async def test_what_is_refused_is_answered_with_the_remedy(daemon, verb, payload, outcome):
    await start(daemon, "fan")
    answer = await ask(daemon, verb, payload)
    assert answer["accepted"] is False
    assert answer["outcome"].startswith(outcome)
    assert (await daemon.box_status())["counters"]["commands"]["refused"] == 1


async def test_the_alarm_of_another_machine_and_a_closed_one_are_refused(daemon):
    alarm = await start_with_alarm(daemon)
    other = alarm.replace("fan", "pump")
    assert "has no alarm" in (await ask(daemon, "ack", other))["outcome"]
    assert (await ask(daemon, "ack", alarm))["accepted"]
    daemon.source("hw:1").play(60, 0.05)
    await daemon.until_state("fan", "normal")
    answer = await ask(daemon, "shelve", f'{{"id": "{alarm}", "for": "2h"}}')
    assert answer["accepted"] is False
    assert "is not changed" in answer["outcome"]


async def test_a_retained_command_is_refused_and_its_deletion_is_ignored(daemon):
    await start(daemon, "fan")
    daemon.broker.command("fan/cmd/in-service", b"", retained=True)
    answer = await ask(daemon, "in-service", '{"who": "ann"}', retained=True)
    assert answer["accepted"] is False
    assert "publish it without (mosquitto_pub without -r)" in answer["outcome"]
    assert len(daemon.broker.answers) == 1


async def test_an_answer_goes_to_the_response_topic_or_says_why_not(daemon):
    await start(daemon, "fan")
    daemon.broker.command("fan/cmd/in-service", response_topic=b"hmi/7", correlation=b"\0\xff")
    await until(lambda: daemon.broker.answers)
    topic, answer, correlation = daemon.broker.answers[0]
    assert (topic, answer["accepted"], correlation) == ("hmi/7", True, b"\0\xff")
    answer = await ask(daemon, "in-service", response_topic=b"asd/fan/state", correlation=b"7")
    assert answer["accepted"] is False
    assert answer["outcome"].startswith("the response topic 'asd/fan/state' is one of this system")
    assert daemon.broker.answers[1][2] == b"7"
    answer = await ask(daemon, "in-service", correlation=b"c" * 257)
    assert "correlation data are too long" in answer["outcome"]
    assert daemon.broker.answers[2][2] is None


async def test_without_the_setting_no_command_is_read(daemon):
    daemon.start(config_of("fan", commands_on=False))
    await daemon.until_state("fan", "normal")
    assert daemon.broker.command_filters == frozenset()
    await daemon.box_status()
    assert daemon.broker.answers == []


async def test_machines_that_a_reload_adds_or_removes_follow(daemon):
    await start(daemon, "fan", "pump")
    assert daemon.broker.command_filters == {"asd/fan/cmd/+", "asd/pump/cmd/+"}
    daemon.file = config_of("fan", "mill")
    answer = await ask(daemon, "reload")
    assert answer["outcome"].startswith("reloaded: added mill, removed pump, the models")
    assert daemon.broker.command_filters == {"asd/fan/cmd/+", "asd/mill/cmd/+"}
    daemon.broker.command("pump/cmd/in-service")
    daemon.broker.command("mill/cmd/in-service")
    await until(lambda: len(daemon.broker.answers) == 2)
    assert daemon.broker.answers[1][1]["machine"] == "mill"


async def test_reloads_by_commands_have_a_pause(daemon, monkeypatch):
    await start(daemon, "fan", "pump")
    assert (await ask(daemon, "reload"))["accepted"]
    daemon.broker.command("pump/cmd/reload")
    await until(lambda: len(daemon.broker.answers) == 2)
    refused = daemon.broker.answers[1][1]
    assert (refused["accepted"], refused["machine"]) == (False, "pump")
    assert refused["outcome"].endswith("at most one in 10 s: repeat it after that time")
    assert daemon.service._config_reload.counters.reloads == 1
    monkeypatch.setattr(commands, "RELOAD_PAUSE_S", 0.0)
    assert (await ask(daemon, "reload"))["accepted"]


async def test_a_reload_of_a_wrong_configuration_is_answered_with_its_errors(daemon, monkeypatch):
    monkeypatch.setattr(commands, "RELOAD_PAUSE_S", 0.0)
    await start(daemon, "fan")
    daemon.file = UsageError("edge.yaml:3:1: unknown key 'mqqt': did you mean 'mqtt'?")
    answer = await ask(daemon, "reload")
    assert answer["accepted"] is False
    assert "edge.yaml:3:1: unknown key 'mqqt'" in answer["outcome"]
    daemon.file = config_of("fan", commands_on=False)
    answer = await ask(daemon, "reload")
    assert answer["accepted"]
    assert "need a restart: restart the daemon" in answer["outcome"]
    assert daemon.broker.command_filters == {"asd/fan/cmd/+"}  # until then


async def test_commands_above_the_rate_are_dropped_counted_and_logged_once(daemon):
    await start(daemon, "fan")
    with capture_logs() as logs:
        for _ in range(BURST + 30):
            daemon.broker.command("fan/cmd/in-service")
        await until(lambda: len(daemon.broker.answers) >= BURST)
        counted = (await daemon.box_status())["counters"]["commands"]
    assert counted["received"] == BURST + 30
    assert counted["dropped"] + len(daemon.broker.answers) == BURST + 30
    assert sum("too many commands" in each["event"] for each in logs) == 1


async def test_a_topic_without_an_answer_is_counted(daemon):
    await start(daemon, "fan")
    daemon.broker.command("fan/cmd/a b")
    daemon.broker.command("fan/cmd/")
    daemon.broker.command(f"fan/cmd/{'x' * 65}")
    await ask(daemon, "in-service")
    counted = (await daemon.box_status())["counters"]["commands"]
    assert (counted["refused"], counted["unanswered"]) == (3, 3)


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (JournalError("alarms.db: full: free space"), "the journal: alarms.db: full: free space"),
        (TooManyRequestsError("1000 requests"), "see the log for why they are not applied"),
    ],
)
async def test_a_command_that_cannot_be_written_is_refused(daemon, monkeypatch, error, outcome):
    await start(daemon, "fan")

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(Journal, "add_request", fail)
    answer = await ask(daemon, "in-service")
    assert (answer["accepted"], answer["request"]) == (False, None)
    assert answer["outcome"].endswith(outcome)


async def until_calm(daemon: InProcessDaemon) -> None:
    """Wait until the daemon has applied the requests for which it looks at its start."""
    await until(lambda: daemon.service._journal.turns > 1)
    await ask(daemon, "in-service")


async def test_a_command_without_an_outcome_waits_and_is_answered_again(daemon, monkeypatch):
    await start(daemon, "fan")
    await until_calm(daemon)
    check: Callable[..., Any] = MachineRegistry.check_requests_of
    monkeypatch.setattr(awaited_commands, "REPORT_S", 0.05)

    async def hang(*_: object) -> None:
        pass

    monkeypatch.setattr(MachineRegistry, "check_requests_of", hang)
    answer = await ask(daemon, "out-of-service", '{"why": "belt"}')
    assert answer["accepted"] is None
    assert answer["outcome"].startswith(
        "it waits: it is applied when the session of the machine and"
    )
    monkeypatch.setattr(MachineRegistry, "check_requests_of", check)
    await daemon.service._registry.check_requests_of("fan")
    await until(lambda: len(daemon.broker.answers) == 3)
    second = daemon.broker.answers[2][1]
    assert (second["accepted"], second["request"]) == (True, answer["request"])
    assert second["outcome"] == "fan: taken out of service by mqtt"


async def test_a_command_is_written_when_the_disk_answers_again(daemon, monkeypatch):
    await start(daemon, "fan")
    add: Callable[..., None] = Journal.add_request
    monkeypatch.setattr(awaited_commands, "REPORT_S", 0.05)
    monkeypatch.setattr(awaited_commands, "RETRY_S", 0.02)

    def stall(*_: object) -> None:
        raise StalledJournalError("the disk does not answer")

    monkeypatch.setattr(Journal, "add_request", stall)
    answer = await ask(daemon, "in-service")
    assert answer["accepted"] is None
    assert "the disk of the journal does not answer" in answer["outcome"]
    monkeypatch.setattr(Journal, "add_request", add)
    await until(lambda: len(daemon.broker.answers) == 2)
    assert daemon.broker.answers[1][1]["accepted"]


async def test_a_command_waits_while_another_process_holds_the_journal(daemon, monkeypatch):
    await start(daemon, "fan")
    await until_calm(daemon)
    monkeypatch.setattr(awaited_commands, "RETRY_S", 0.02)
    monkeypatch.setattr(awaited_commands, "REPORT_S", 0.3)
    other = sqlite3.connect(daemon.folder / FILE_NAME, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    waits = await ask(daemon, "in-service")
    assert waits["accepted"] is None
    assert "another process holds the file" in waits["outcome"]
    other.execute("ROLLBACK")
    other.close()
    await until(lambda: len(daemon.broker.answers) == 3)
    assert daemon.broker.answers[-1][1]["accepted"]


async def test_a_command_that_waits_in_the_daemon_has_the_time_of_its_arrival(daemon, monkeypatch):
    daemon.start(config_of("fan", "pump"))
    await daemon.until_state("fan", "normal")
    daemon.source("hw:1").play(25, ALARM_LEVEL)
    await daemon.until_state("fan", "alarm")
    alarm = daemon.broker.alarm("fan")["id"]
    check: Callable[..., Any] = MachineRegistry.check_requests_of
    begun, goes_on = asyncio.Event(), asyncio.Event()

    async def wait(registry: MachineRegistry, machine: str) -> None:
        if machine == "pump":
            begun.set()
            await goes_on.wait()
        await check(registry, machine)

    monkeypatch.setattr(MachineRegistry, "check_requests_of", wait)
    daemon.broker.command("pump/cmd/in-service")
    await begun.wait()
    daemon.broker.command("fan/cmd/ack", alarm.encode())
    arrived = datetime.now(UTC)
    await asyncio.sleep(0.01)  # the clock goes on
    goes_on.set()
    await until(lambda: len(daemon.broker.answers) == 2)
    assert daemon.broker.answers[1][1]["accepted"]
    await until(lambda: daemon.broker.alarm("fan")["acknowledged"])
    acknowledged_at = daemon.broker.alarm("fan")["acknowledged_at"]
    assert datetime.fromisoformat(acknowledged_at) <= arrived


async def test_a_command_that_is_given_up_is_not_applied_when_the_disk_answers(daemon, monkeypatch):
    await start(daemon, "fan")
    await until_calm(daemon)
    monkeypatch.setattr(awaited_commands, "REPORT_S", 0.02)
    monkeypatch.setattr(awaited_commands, "FORGET_S", 0.04)
    answers = threading.Event()
    add: Callable[..., None] = StoredJournal.add_request

    def hang(*arguments: Any) -> None:
        answers.wait()
        add(*arguments)

    monkeypatch.setattr(StoredJournal, "add_request", hang)
    daemon.broker.command("fan/cmd/out-of-service", b'{"why": "belt"}')
    await until(lambda: any(each["accepted"] is False for _, each, _ in daemon.broker.answers))
    assert "given up and not applied" in daemon.broker.answers[-1][1]["outcome"]
    answers.set()
    await until(lambda: daemon.service._journal.journal.fault is None)
    assert (await ask(daemon, "in-service"))["outcome"] == "fan is in service"


async def test_commands_that_the_disk_has_not_taken_are_refused_at_the_stop(daemon, monkeypatch):
    await start(daemon, "fan")
    await until_calm(daemon)
    monkeypatch.setattr(awaited_commands, "REPORT_S", 0.02)
    answers, begun = threading.Event(), threading.Event()
    look: Callable[..., bool] = StoredJournal.is_open

    def hang(journal: StoredJournal) -> bool:
        begun.set()
        answers.wait()
        return look(journal)

    monkeypatch.setattr(StoredJournal, "is_open", hang)
    await asyncio.to_thread(begun.wait)
    waits = await ask(daemon, "out-of-service", '{"why": "belt"}')
    assert (waits["accepted"], waits["outcome"][:8]) == (None, "it waits")
    daemon.service.stop()
    await until(lambda: daemon.broker.stopped)
    answers.set()
    await daemon.finish()
    refused = daemon.broker.answers[-1][1]
    assert (refused["accepted"], refused["request"]) == (False, waits["request"])
    assert "not applied: the daemon is being stopped" in refused["outcome"]
    with Journal(daemon.folder) as journal:
        assert journal.waiting_requests("fan") == []


async def test_commands_at_the_stop_are_answered(daemon, monkeypatch):
    await start(daemon, "fan")
    await until_calm(daemon)
    begun = asyncio.Event()

    async def hang(*_: object) -> None:
        begun.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(MachineRegistry, "check_requests_of", hang)
    daemon.broker.command("fan/cmd/out-of-service", b'{"why": "belt"}')
    await begun.wait()
    daemon.broker.command("fan/cmd/in-service")  # in the queue
    daemon.broker.command("fan/cmd/reload")
    daemon.service.stop()
    await daemon.finish()
    daemon.broker.command("fan/cmd/label")  # received by the session that is being ended
    answers = [answer for _, answer, _ in daemon.broker.answers[1:]]
    assert sorted((each["verb"], each["accepted"]) for each in answers) == [
        ("in-service", False),
        ("label", False),
        ("out-of-service", None),
        ("reload", False),
    ]
    with Journal(daemon.folder) as journal:
        assert [each.verb for each in journal.waiting_requests("fan")] == ["out-of-service"]


async def test_outcomes_that_come_too_late_are_forgotten(daemon, monkeypatch):
    await start(daemon, "fan")
    await until_calm(daemon)
    monkeypatch.setattr(awaited_commands, "REPORT_S", 0.02)
    monkeypatch.setattr(awaited_commands, "FORGET_S", 0.04)

    async def hang(*_: object) -> None:
        pass

    monkeypatch.setattr(MachineRegistry, "check_requests_of", hang)
    await ask(daemon, "in-service")
    part = daemon.service._commands
    await until(lambda: part.counters.unanswered == 1)
    assert not part._awaited


async def test_the_awaited_commands_are_bounded(daemon, monkeypatch):
    await start(daemon, "fan")
    await until_calm(daemon)
    monkeypatch.setattr(awaited_commands, "MAX_AWAITED", 4)
    part = daemon.service._commands

    async def hang(*_: object) -> None:
        pass

    monkeypatch.setattr(MachineRegistry, "check_requests_of", hang)
    for _ in range(10):
        daemon.broker.command("fan/cmd/in-service")
    await until(lambda: part.counters.unanswered == 6)
    assert len(part._awaited) == 4


async def test_after_a_defect_the_next_command_is_answered(daemon, monkeypatch):
    await start(daemon, "fan")
    add: Callable[..., None] = Journal.add_request

    def fail(*_: object) -> None:
        monkeypatch.setattr(Journal, "add_request", add)
        raise ValueError("a defect")

    monkeypatch.setattr(Journal, "add_request", fail)
    daemon.broker.command("fan/cmd/in-service")
    await until(lambda: daemon.service._supervised.restarts["commands"] == 1)
    assert (await ask(daemon, "in-service"))["accepted"]


async def test_a_command_that_hangs_is_reported_and_the_next_one_is_answered(
    daemon, systemd, environment, monkeypatch
):
    daemon.environment |= environment
    daemon.start(config_of("fan"), intervals=SHORT)
    await daemon.until_state("fan", "normal")
    check: Callable[..., Any] = MachineRegistry.check_requests_of
    begun = asyncio.Event()

    async def hang(*_: object) -> None:
        monkeypatch.setattr(MachineRegistry, "check_requests_of", check)
        begun.set()
        await asyncio.Event().wait()

    await until_calm(daemon)
    monkeypatch.setattr(MachineRegistry, "check_requests_of", hang)
    daemon.broker.command("fan/cmd/in-service")
    await begun.wait()
    await until(lambda: ("standstill", "the answers to commands") in conditions(daemon))
    daemon.broker.command("fan/cmd/in-service")
    await until(lambda: len(daemon.broker.answers) >= 2)
    await until(lambda: not conditions(daemon))
