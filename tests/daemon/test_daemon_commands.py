"""Commands over MQTT in the whole daemon: carried out as requests, and answered."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from asd_monitor.daemon import commands
from asd_monitor.daemon.command_queue import BURST
from asd_monitor.errors import UsageError
from asd_monitor.journal.journal_requests import JournalRequests
from asd_monitor.journal.requests import TooManyRequestsError
from asd_monitor.journal.sqlite_errors import JournalError
from tests.doubles.mqtt_commands import (
    ask,
    config_of,
    start,
    start_with_alarm,
)
from tests.doubles.waiting import until


async def test_an_alarm_is_acknowledged_by_a_command(daemon):
    alarm = await start_with_alarm(daemon)
    answer = await ask(daemon, "ack", alarm)
    assert (answer["accepted"], answer["alarm"]) == (True, alarm)
    assert answer["outcome"] == f"{alarm}: acknowledged by mqtt"
    assert len(answer["request"]) == 32
    assert daemon.service.parts.registry.restarts == 0  # a new session would look for requests
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
        (
            "label",
            f'{{"id": "{alarm}", "label": "invalid", "who": "ann"}}',
            "labelled invalid by ann",
        ),
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
    daemon.source("hw:1").play(25, 0.05)  # less than the ring holds
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
    assert daemon.service.parts.config_reload.counters.reloads == 1
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

    monkeypatch.setattr(JournalRequests, "add", fail)
    answer = await ask(daemon, "in-service")
    assert (answer["accepted"], answer["request"]) == (False, None)
    assert answer["outcome"].endswith(outcome)
