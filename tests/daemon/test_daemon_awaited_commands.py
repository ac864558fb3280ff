"""Commands over MQTT whose outcome is late, or not known: answered, withdrawn or forgotten."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from asd_monitor.daemon import awaited_commands
from asd_monitor.daemon.machine_registry import MachineRegistry
from asd_monitor.journal.journal_file import FILE_NAME
from asd_monitor.journal.journal_requests import JournalRequests
from asd_monitor.journal.requests import Request
from asd_monitor.journal.sqlite_errors import StalledJournalError
from asd_monitor.journal.store import Journal
from asd_monitor.journal.stored_journal import StoredJournal
from tests.doubles.mqtt_commands import (
    ALARM_LEVEL,
    ask,
    config_of,
    start,
    until_calm,
)
from tests.doubles.waiting import until
from tests.doubles.watched_daemon import SHORT, conditions


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
    await daemon.service.parts.registry.check_requests_of("fan")
    await until(lambda: len(daemon.broker.answers) == 3)
    second = daemon.broker.answers[2][1]
    assert (second["accepted"], second["request"]) == (True, answer["request"])
    assert second["outcome"] == "fan: taken out of service by mqtt"


async def test_a_command_is_written_when_the_disk_answers_again(daemon, monkeypatch):
    await start(daemon, "fan")
    add: Callable[..., None] = JournalRequests.add
    monkeypatch.setattr(awaited_commands, "REPORT_S", 0.05)
    monkeypatch.setattr(awaited_commands, "RETRY_S", 0.02)

    def stall(*_: object) -> None:
        raise StalledJournalError("the disk does not answer")

    monkeypatch.setattr(JournalRequests, "add", stall)
    answer = await ask(daemon, "in-service")
    assert answer["accepted"] is None
    assert "the disk of the journal does not answer" in answer["outcome"]
    monkeypatch.setattr(JournalRequests, "add", add)
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


async def test_a_command_is_not_applied_before_one_that_waits_for_the_disk(daemon, monkeypatch):
    await start(daemon, "fan")
    await until_calm(daemon)
    monkeypatch.setattr(awaited_commands, "RETRY_S", 0.02)
    add: Callable[..., None] = JournalRequests.add
    stalls, goes_on = threading.Event(), threading.Event()

    def stall_at_first(journal: Journal, request: Request) -> None:
        if not stalls.is_set():
            stalls.set()
            goes_on.wait()
            raise StalledJournalError("the disk does not answer")
        add(journal, request)

    monkeypatch.setattr(JournalRequests, "add", stall_at_first)
    daemon.broker.command("fan/cmd/out-of-service", b'{"why": "belt"}')
    await asyncio.to_thread(stalls.wait)
    daemon.broker.command("fan/cmd/in-service")
    goes_on.set()
    await until(lambda: len(daemon.broker.answers) == 3)
    assert [each["outcome"] for _, each, _ in daemon.broker.answers[1:]] == [
        "fan: taken out of service by mqtt",
        "fan: returned to service by mqtt",
    ]


async def test_a_command_behind_one_that_waits_for_the_disk_is_given_up(daemon, monkeypatch):
    await start(daemon, "fan")
    await until_calm(daemon)
    add: Callable[..., None] = JournalRequests.add

    def stall(*_: object) -> None:
        raise StalledJournalError("the disk does not answer")

    with monkeypatch.context() as short:
        short.setattr(JournalRequests, "add", stall)
        short.setattr(awaited_commands, "REPORT_S", 0.02)
        short.setattr(awaited_commands, "FORGET_S", 0.04)
        for _ in range(2):
            daemon.broker.command("fan/cmd/out-of-service", b'{"why": "belt"}')
        await until(
            lambda: [each["accepted"] for _, each, _ in daemon.broker.answers].count(False) == 2
        )
    assert add is JournalRequests.add
    assert (await ask(daemon, "in-service"))["outcome"] == "fan is in service"


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
    answers = threading.Event()
    add: Callable[..., None] = StoredJournal.add_request

    def hang(*arguments: Any) -> None:
        answers.wait()
        add(*arguments)

    monkeypatch.setattr(StoredJournal, "add_request", hang)
    with monkeypatch.context() as short:
        short.setattr(awaited_commands, "REPORT_S", 0.02)
        short.setattr(awaited_commands, "FORGET_S", 0.04)
        daemon.broker.command("fan/cmd/out-of-service", b'{"why": "belt"}')
        await until(lambda: any(each["accepted"] is False for _, each, _ in daemon.broker.answers))
    assert "given up and not applied" in daemon.broker.answers[-1][1]["outcome"]
    answers.set()
    await until(lambda: daemon.service.parts.journal.journal.fault is None)
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
        assert journal.requests.waiting("fan") == []


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
        assert [each.verb for each in journal.requests.waiting("fan")] == ["out-of-service"]


async def test_outcomes_that_come_too_late_are_forgotten(daemon, monkeypatch):
    await start(daemon, "fan")
    await until_calm(daemon)
    monkeypatch.setattr(awaited_commands, "REPORT_S", 0.02)
    monkeypatch.setattr(awaited_commands, "FORGET_S", 0.04)

    async def hang(*_: object) -> None:
        pass

    monkeypatch.setattr(MachineRegistry, "check_requests_of", hang)
    await ask(daemon, "in-service")
    part = daemon.service.parts.commands
    await until(lambda: part.counters.unanswered == 1)
    assert not part._awaited


async def test_the_awaited_commands_are_bounded(daemon, monkeypatch):
    await start(daemon, "fan")
    await until_calm(daemon)
    monkeypatch.setattr(awaited_commands, "MAX_AWAITED", 4)
    part = daemon.service.parts.commands

    async def hang(*_: object) -> None:
        pass

    monkeypatch.setattr(MachineRegistry, "check_requests_of", hang)
    for _ in range(10):
        daemon.broker.command("fan/cmd/in-service")
    await until(lambda: part.counters.unanswered == 6)
    assert len(part._awaited) == 4


async def test_after_a_defect_the_next_command_is_answered(daemon, monkeypatch):
    await start(daemon, "fan")
    add: Callable[..., None] = JournalRequests.add

    def fail(*_: object) -> None:
        monkeypatch.setattr(JournalRequests, "add", add)
        raise ValueError("a defect")

    monkeypatch.setattr(JournalRequests, "add", fail)
    daemon.broker.command("fan/cmd/in-service")
    await until(lambda: daemon.service.parts.tasks.restarts["commands"] == 1)
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
