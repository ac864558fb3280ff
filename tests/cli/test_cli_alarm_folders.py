"""`alarms` on state folders that are missing, read-only, damaged or full."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from pathlib import Path
from types import SimpleNamespace

import pytest

from asd_monitor.alarm.state import Alarm, AlarmCondition, Transition, TransitionKind
from asd_monitor.journal.machine_journal import MachineJournal
from asd_monitor.journal.store import Journal
from tests.doubles.alarm_commands import FAN, NOW, PUMP, write_alarms
from tests.doubles.command_line import CommandLine, without_privileges


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A state folder in which an alarm of fan01 and one of pump02 are active."""
    write_alarms(tmp_path)
    return tmp_path


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
