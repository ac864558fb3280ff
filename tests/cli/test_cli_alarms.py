"""`alarms`: list, show, acknowledge."""

from __future__ import annotations

import json
import os
import re
import shutil
import sqlite3
import threading
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner, Result

from asd_monitor.alarm.state import Alarm, AlarmCondition, Transition, TransitionKind
from asd_monitor.cli.alarms import app
from asd_monitor.daemon.state_lock import StateLock
from asd_monitor.errors import UsageError
from asd_monitor.journal.machine_journal import MachineJournal
from asd_monitor.journal.machine_requests import MachineRequests
from asd_monitor.journal.store import Journal
from tests.doubles.command_line import CommandLine, without_privileges

NOW = datetime(2026, 11, 23, 4, 45, 0, 512000, UTC)
FAN = "fan01-20261123T044500Z"
PUMP = "pump02-20261123T044500Z"


@pytest.fixture
def state(tmp_path: Path) -> Path:
    with Journal(tmp_path) as journal:
        for machine in ("fan01", "pump02"):
            alarm = Alarm(1, AlarmCondition.UNACKNOWLEDGED, 8.25, 3600.0)
            MachineJournal(journal, machine).record(
                Transition(
                    100,
                    TransitionKind.ALARM,
                    AlarmCondition.NORMAL,
                    alarm.condition,
                    "alarm score at least 6.71 for 3 s",
                    alarm=alarm,
                ),
                NOW,
                "20261122T101500Z",
            )
    return tmp_path


def run(state: Path, *arguments: str) -> Result:
    return CliRunner().invoke(app, [*arguments, "--state", str(state)])


def test_alarms_are_listed_with_the_newest_first(state: Path) -> None:
    result = run(state, "list")
    assert result.exit_code == 0
    head, *rows = result.stdout.splitlines()
    assert re.split(r"\s{2,}", head.strip()) == [
        "id",
        "raised (UTC)",
        "state",
        "peak alarm score",
        "time scale",
        "acknowledged by",
    ]
    assert rows[0].split() == [PUMP, "2026-11-23", "04:45:00", "ACTIVE", "8.2", "1", "h"]
    assert FAN in rows[1]
    assert PUMP not in run(state, "list", "--machine", "fan01").stdout


def test_the_list_as_json(state: Path) -> None:
    pump, fan = json.loads(run(state, "list", "--json").stdout)
    assert pump["machine"] == "pump02"
    assert fan == {
        "id": FAN,
        "machine": "fan01",
        "active": True,
        "acknowledged": False,
        "shelved_until": None,
        "out_of_service": False,
        "latched": False,
        "provisional": None,
        "chattering": False,
        "severity": "alarm",
        "raised": "2026-11-23T04:45:00.512Z",
        "cleared": None,
        "acknowledged_at": None,
        "who": None,
        "why": None,
        "peak_alarm_score": 8.25,
        "time_scale_s": 3600.0,
        "reason": "alarm score at least 6.71 for 3 s",
        "views": {},
        "evidence": None,
        "model": "20261122T101500Z",
        "label": None,
        "label_why": None,
        "labelled_by": None,
    }


def test_an_empty_folder_has_no_alarms(tmp_path: Path) -> None:
    result = run(tmp_path, "list")
    assert (result.exit_code, result.stdout) == (0, "")
    assert f"{tmp_path}: no daemon has written alarms here yet" in result.stderr
    assert json.loads(run(tmp_path, "list", "--json").stdout) == []
    assert list(tmp_path.iterdir()) == []


def test_an_alarm_is_shown_with_its_events(state: Path) -> None:
    shown = run(state, "show", FAN).stdout
    assert shown.startswith(f"{FAN}: ACTIVE\n")
    assert "2026-11-23T04:45:00.512Z  normal → unacknowledged: alarm score at least" in shown
    assert re.search(r"time scale +1 h\n", shown)
    document = json.loads(run(state, "show", FAN, "--json").stdout)
    assert document["events"][0]["to"] == "unacknowledged"


def apply(state: Path, *machines: str) -> None:
    """Apply the requests as the next start of the daemon does."""
    with Journal(state) as journal:
        for machine in machines or ("fan01", "pump02"):
            MachineRequests(MachineJournal(journal, machine)).apply(None, datetime.now(UTC), None)


class Daemon:
    """Holds the folder of a journal and applies requests in a thread, as a daemon does."""

    def __init__(self, state: Path) -> None:
        self._ended = threading.Event()
        self._lock = StateLock(state)
        self._thread = threading.Thread(target=self._run, args=(state,))

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        self._lock.release()

    def _run(self, state: Path) -> None:
        with Journal(state) as journal:
            machines = [
                MachineRequests(MachineJournal(journal, name)) for name in ("fan01", "pump02")
            ]
            while not self._ended.wait(0.02):
                for each in machines:
                    each.apply(None, datetime.now(UTC), None)


def test_a_request_without_a_daemon_is_applied_at_its_next_start(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUDO_USER", "ann")
    result = run(state, "ack", FAN, "--why", "bearing greased")
    assert (result.exit_code, result.stdout.split(": ", 1)[0]) == (0, FAN)
    assert "waits for the daemon of this folder" in result.stdout
    apply(state)
    with Journal(state) as journal:
        (alarm,) = journal.alarms("fan01")
    assert (alarm.who, alarm.why) == ("ann", "bearing greased")
    assert "active, acknowledged" in run(state, "list").stdout


def test_the_answer_of_a_running_daemon_is_printed(state: Path) -> None:
    with Daemon(state):
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
    with Daemon(state):
        result = run(state, "shelve", FAN, "--for", period, "--why", "noisy")
    assert result.exit_code == 0, result.exception
    assert "shelved until" in result.stdout


def test_a_machine_is_taken_out_of_service_and_returned(state: Path) -> None:
    with Daemon(state):
        taken = run(state, "out-of-service", "fan01", "--why", "new belt", "--who", "ann")
        assert taken.stdout == "fan01: taken out of service by ann\n"
        listed = run(state, "list")
        assert re.search(rf"{FAN} .* out of service", listed.stdout)
        assert re.search(r"fan01 is out of service since \S+ by ann: new belt", listed.stderr)
        refused = run(state, "shelve", FAN, "--for", "1h", "--why", "noisy")
        assert refused.exit_code == 1
        assert "its machine is out of service" in str(refused.exception)
        returned = run(state, "in-service", "fan01", "--who", "ann")
        assert returned.stdout == "fan01: returned to service by ann\n"
    assert re.search(rf"{FAN} .* ACTIVE", run(state, "list").stdout)


def test_all_alarms_of_a_machine_are_acknowledged(state: Path) -> None:
    with Daemon(state):
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
        assert journal.waiting_requests("fan01") == []


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


def test_a_missing_state_folder_is_an_error(command_line: CommandLine, tmp_path: Path) -> None:
    for more in ((), ("--json",)):
        called = command_line("alarms", "list", "--state", tmp_path / "absent", *more)
        assert (called.code, called.out) == (1, "")
        assert f"{tmp_path}/absent: no such folder" in called.message
        assert "/var/lib/asd-monitor/NAME" in called.message
        assert len(called.err.splitlines()) == 1


def test_an_unreadable_state_folder_is_an_error(
    command_line: CommandLine, open_folder: Path
) -> None:
    command_line("alarms", "list", "--state", open_folder)  # imports modules as root
    closed = open_folder / "closed"
    state = closed / "hall"
    state.mkdir(parents=True)
    closed.chmod(0)
    with without_privileges():
        for folder in (closed, state):
            called = command_line("alarms", "list", "--state", folder)
            assert (called.code, called.out) == (1, "")
            assert f"{folder}: no permission to read it: use sudo" in called.message
            assert len(called.err.splitlines()) == 1


def test_alarms_are_listed_without_write_permission(
    command_line: CommandLine, state: Path, open_folder: Path
) -> None:
    folder = open_folder / "state"
    shutil.copytree(state, folder)
    (folder / "alarms.db").chmod(0o444)
    folder.chmod(0o555)
    command_line("alarms", "list", "--state", state)
    with without_privileges():
        listed = command_line("alarms", "list", "--state", folder)
        assert (listed.code, listed.err) == (0, "")
        assert FAN in listed.out
        assert command_line("alarms", "show", FAN, "--state", folder).code == 0
        refused = command_line("alarms", "ack", FAN, "--state", folder)
        assert refused.code == 1
        assert "use sudo" in refused.message


def test_alarms_of_a_running_daemon_are_listed_without_write_permission(
    command_line: CommandLine, open_folder: Path
) -> None:
    command_line("alarms", "list", "--state", open_folder)
    with Journal(open_folder) as journal:
        alarm = Alarm(1, AlarmCondition.UNACKNOWLEDGED, 8.25, 3600.0)
        MachineJournal(journal, "fan01").record(
            Transition(1, TransitionKind.ALARM, "normal", alarm.condition, "why", alarm=alarm),
            NOW,
            "v1",
        )
        for file in open_folder.iterdir():
            file.chmod(0o644)
        with without_privileges():
            listed = command_line("alarms", "list", "--state", open_folder)
    assert (listed.code, listed.err) == (0, "")
    assert FAN in listed.out


@pytest.mark.parametrize("command", ["list", "ack"])
def test_an_unknown_machine_is_refused_with_a_suggestion(
    command_line: CommandLine, state: Path, command: str
) -> None:
    called = command_line("alarms", command, "--machine", "fan1", "--state", state)
    assert (called.code, called.out) == (2, "")
    assert "there is no machine fan1: did you mean fan01?" in called.message


def test_a_machine_without_alarms_is_known(command_line: CommandLine, state: Path) -> None:
    with Journal(state) as journal:
        MachineJournal(journal, "mill")
    called = command_line("alarms", "list", "--machine", "mill", "--state", state)
    assert (called.code, called.out) == (0, "")
    assert "no alarm of mill" in called.message


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


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file has 0 bytes, its alarms are lost: restart the daemon"),
        (b"no database" * 1000, "not a journal of alarms: restart the daemon"),
        (None, "this is not a file: restart the daemon"),
    ],
)
def test_what_is_no_journal_is_an_error(
    command_line: CommandLine, tmp_path: Path, content: bytes | None, message: str
) -> None:
    if content is None:
        (tmp_path / "alarms.db").mkdir()
    else:
        (tmp_path / "alarms.db").write_bytes(content)
    for arguments in (("list", "--json"), ("show", FAN), ("ack", FAN)):
        called = command_line("alarms", *arguments, "--state", tmp_path)
        assert (called.code, called.out) == (1, "")
        assert message in called.message
        assert len(called.err.splitlines()) == 1


def test_a_locked_journal_is_listed(command_line: CommandLine, state: Path) -> None:
    other = sqlite3.connect(state / "alarms.db", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    listed = command_line("alarms", "list", "--state", state)
    other.close()
    assert (listed.code, listed.err) == (0, "")
    assert FAN in listed.out


def test_intact_alarms_of_a_damaged_journal_are_listed_with_a_warning(
    command_line: CommandLine, state: Path
) -> None:
    path = state / "alarms.db"
    content = path.read_bytes()
    path.write_bytes(content.replace(FAN.encode() + b"fan01alarm", FAN.encode() + b"fan00alarm"))
    assert path.read_bytes() != content
    listed = command_line("alarms", "list", "--json", "--state", state)
    assert listed.code == 0
    assert [alarm["id"] for alarm in json.loads(listed.out)] == [PUMP]
    assert "alarms may be missing here (1 row cannot be read): restart the daemon" in listed.err
    refused = command_line("alarms", "ack", PUMP, "--state", state)
    assert refused.code == 1
    assert "restart the daemon" in refused.message


@pytest.mark.parametrize(
    ("disk", "message"),
    [
        (SimpleNamespace(f_flag=os.ST_RDONLY, f_bavail=9999, f_frsize=4096), "read-only"),
        (SimpleNamespace(f_flag=0, f_bavail=1, f_frsize=4096), "full"),
    ],
)
def test_a_disk_that_cannot_be_written_is_named(
    command_line: CommandLine,
    state: Path,
    monkeypatch: pytest.MonkeyPatch,
    disk: SimpleNamespace,
    message: str,
) -> None:
    monkeypatch.setattr(os, "statvfs", lambda _: disk)
    (state / "empty").mkdir()
    for folder, listed in ((state, FAN), (state / "empty", "")):
        called = command_line("alarms", "list", "--state", folder)
        assert called.code == 0
        assert listed in called.out
        assert f"the disk is {message}: a daemon keeps new alarms in memory" in called.message


def test_the_figures_are_printed_beside_those_of_isa(state: Path) -> None:
    shown = run(state, "stats", "--days", "36500").stdout
    assert re.search(r"alarms an hour +\d+\.\d\d +about 6, at most 12\n", shown)
    assert re.search(r"\nalarms +2\n", shown)
    document = json.loads(run(state, "stats", "--days", "36500", "--json").stdout)
    assert (document["alarms"], document["busiest_10_min"], document["top_share"]) == (2, 2, 0.5)
    one = json.loads(run(state, "stats", "-m", "fan01", "--days", "36500", "--json").stdout)
    assert (one["alarms"], one["top_machine"]) == (1, "fan01")
    assert "write one above 0" in str(run(state, "stats", "--days", "0").exception)
