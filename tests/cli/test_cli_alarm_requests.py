"""`alarms ack`, `shelve`, `label` and others: requests, their answers, and what is refused."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from asd_monitor.daemon.state_lock import StateLock
from asd_monitor.errors import UsageError
from asd_monitor.journal import asked
from asd_monitor.journal.store import Journal
from tests.doubles.alarm_commands import FAN, PUMP, AnsweringDaemon, apply, run, write_alarms
from tests.doubles.command_line import CommandLine


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A state folder in which an alarm of fan01 and one of pump02 are active."""
    write_alarms(tmp_path)
    return tmp_path


def test_a_request_without_a_daemon_is_applied_at_its_next_start(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUDO_USER", "ann")
    result = run(state, "ack", FAN, "--why", "bearing greased")
    assert (result.exit_code, result.stdout.split(": ", 1)[0]) == (0, FAN)
    assert "waits for the daemon of this folder, which does not run" in result.stdout
    apply(state)
    with Journal(state) as journal:
        (alarm,) = journal.alarms("fan01")
    assert (alarm.who, alarm.why) == ("ann", "bearing greased")
    assert "active, acknowledged" in run(state, "list").stdout


def test_a_daemon_that_runs_and_does_not_answer_is_not_said_to_be_stopped(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asked, "ANSWER_S", 0.1)
    lock = StateLock(state)
    try:
        result = run(state, "ack", FAN)
    finally:
        lock.release()
    assert result.exit_code == 0
    assert "`ack` is not applied yet: the daemon of this folder runs" in result.stdout
    assert "when it runs" not in result.stdout


def test_the_answer_of_a_running_daemon_is_printed(state: Path) -> None:
    with AnsweringDaemon(state):
        assert run(state, "ack", FAN, "--who", "ann").stdout == f"{FAN}: acknowledged by ann\n"
        again = run(state, "ack", FAN, "--who", "bob")
        assert again.exit_code == 0
        assert f"{FAN}: already acknowledged by ann, 20" in again.stdout
        shelved = run(state, "shelve", FAN, "--for", "2h", "--why", "noisy", "--who", "bob")
        assert re.fullmatch(rf"{FAN}: shelved until 20\S+Z by bob\n", shelved.stdout)
        refused = run(state, "ack", FAN)
        assert refused.exit_code == 1
        assert "it is shelved: unshelve it" in str(refused.exception)
        listed = run(state, "list").stdout
        assert re.search(rf"{FAN} .* shelved until 20\S+Z", listed)
        unshelved = run(state, "unshelve", FAN, "--who", "eve")
        assert unshelved.stdout == f"{FAN}: unshelved and acknowledged by eve\n"
        labelled = run(state, "label", FAN, "invalid", "--why", "a door", "--who", "eve")
        assert labelled.stdout == f"{FAN}: labelled invalid by eve\n"
    document = json.loads(run(state, "show", FAN, "--json").stdout)
    assert (document["label"], document["label_why"]) == ("invalid", "a door")
    assert [event["to"] for event in document["events"]] == [
        *("unacknowledged", "acknowledged", "shelved", "acknowledged"),
    ]


@pytest.mark.parametrize("period", ["1m", "7d"])
def test_an_alarm_is_shelved_for_the_shortest_and_the_longest_period(
    state: Path, period: str
) -> None:
    with AnsweringDaemon(state):
        result = run(state, "shelve", FAN, "--for", period, "--why", "noisy")
    assert result.exit_code == 0, result.exception
    assert "shelved until" in result.stdout


@pytest.mark.parametrize("period", ["8d", "99999999d", "1e30h", "1e400s"])
def test_a_period_of_any_length_above_the_longest_is_refused(state: Path, period: str) -> None:
    refused = run(state, "shelve", FAN, "--for", period, "--why", "noisy")
    assert isinstance(refused.exception, UsageError)
    assert "the longest time is 7 days" in str(refused.exception)
    assert "is over" in str(run(state, "shelve", FAN, "--for", "-1e30h", "--why", "x").exception)


def test_a_machine_is_taken_out_of_service_and_returned(state: Path) -> None:
    with AnsweringDaemon(state):
        taken = run(state, "out-of-service", "fan01", "--why", "new belt", "--who", "ann")
        assert taken.stdout == (
            f"fan01: taken out of service by ann; alarm {FAN} is hidden until it returns\n"
        )
        listed = run(state, "list")
        assert re.search(rf"{FAN} .* out of service", listed.stdout)
        assert re.search(r"fan01 is out of service since \S+ by ann: new belt", listed.stderr)
        refused = run(state, "shelve", FAN, "--for", "1h", "--why", "noisy")
        assert refused.exit_code == 1
        assert "its machine is out of service" in str(refused.exception)
        returned = run(state, "in-service", "fan01", "--who", "ann")
        assert returned.stdout == (
            f"fan01: returned to service by ann; alarm {FAN} is unacknowledged: its sound is"
            " abnormal\n"
        )
    assert re.search(rf"{FAN} .* ACTIVE", run(state, "list").stdout)


def test_all_alarms_of_a_machine_are_acknowledged(state: Path) -> None:
    with AnsweringDaemon(state):
        result = run(state, "ack", "--machine", "pump02", "--who", "bob")
        assert result.stdout == f"{PUMP}: acknowledged by bob\n"
        nothing = run(state, "ack", "--machine", "pump02")
    assert nothing.exit_code == 0
    assert "pump02 has no alarm to acknowledge" in nothing.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("shelve", FAN, "--why", "x"), "say until when"),
        (("shelve", FAN, "--for", "2h"), "say why the alarm is shelved"),
        (("shelve", FAN, "--for", "8d", "--why", "x"), "the longest time is 7 days"),
        (("shelve", FAN, "--for", "30s", "--why", "x"), "the shortest time is one minute"),
        (("shelve", FAN, "--for", "soon", "--why", "x"), "'soon' is not a period"),
        (("shelve", FAN, "--until", "tomorrow", "--why", "x"), "'tomorrow' is not a time"),
        (("shelve", FAN, "--until", "2020-01-01", "--why", "x"), "give a later time"),
        (("out-of-service", "fan01"), "say why the machine is out of service"),
        (("out-of-service", "fan1", "--why", "x"), "did you mean fan01"),
        (("label", FAN, "perhaps"), "write valid or invalid"),
        (("unshelve", "x"), "no alarm 'x' in"),
    ],
)
def test_a_request_that_cannot_work_is_refused_at_once(
    state: Path, arguments: tuple[str, ...], message: str
) -> None:
    result = run(state, *arguments)
    assert isinstance(result.exception, UsageError)
    assert message in str(result.exception)
    with Journal(state) as journal:
        assert journal.requests.waiting("fan01") == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("ack",), "give either the ID of an alarm"),
        (("ack", FAN, "--machine", "fan01"), "give either the ID"),
        (("ack", "fan01"), "no alarm 'fan01' in"),
        (("show", FAN[:-2]), f"did you mean {FAN}"),
    ],
)
def test_wrong_usage_is_refused(state: Path, arguments: tuple[str, ...], message: str) -> None:
    result = run(state, *arguments)
    assert message in str(result.exception)


def test_an_acknowledgement_in_an_empty_folder_is_refused(tmp_path: Path) -> None:
    result = run(tmp_path, "ack", FAN)
    assert "name its state folder with --state" in str(result.exception)


@pytest.mark.parametrize("option", ["--why", "--who", "--machine"])
def test_bytes_that_are_not_text_are_refused(
    command_line: CommandLine, state: Path, option: str
) -> None:
    alarm = () if option == "--machine" else (FAN,)
    called = command_line("alarms", "ack", *alarm, option, "\udcff", "--state", state)
    assert (called.code, called.out) == (2, "")
    assert "\\udcff" in called.message


def test_control_characters_of_an_acknowledgement_are_shown_escaped(
    command_line: CommandLine, state: Path
) -> None:
    command_line("alarms", "ack", FAN, "--who", "an\x1b[31mn", "--why", "a\nb", "--state", state)
    apply(state)
    for command in (("list",), ("show", FAN)):
        shown = command_line("alarms", *command, "--state", state).out
        assert "an\\x1b[31mn" in shown
