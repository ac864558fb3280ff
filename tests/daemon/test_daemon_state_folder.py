"""A state folder that cannot be written: the daemon monitors, says so, and writes later."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from structlog.testing import capture_logs

from asd_monitor.daemon.event_delivery import EventDelivery
from asd_monitor.daemon.journal_access import JournalAccess, open_journal
from asd_monitor.daemon.state_lock import StateLock
from asd_monitor.daemon.training_recording import TrainingRecording
from asd_monitor.errors import OperationError
from asd_monitor.journal.commands import make_request, read_journal
from asd_monitor.journal.journal_requests import JournalRequests
from asd_monitor.journal.machine_journal import MachineJournal
from asd_monitor.journal.sqlite_errors import JournalError
from asd_monitor.private_files import create_private_folder, rename_without_overwriting
from tests.doubles.blocks import block_at
from tests.doubles.command_line import without_privileges
from tests.doubles.in_process_daemon import InProcessDaemon
from tests.doubles.journalled_machine import (
    LATER,
    NOW,
    RAISED,
    acknowledgement,
    state_transition,
)
from tests.doubles.level_detector import make_config
from tests.doubles.memory_broker import MemoryBroker
from tests.doubles.monitored_machine import MonitoredMachine
from tests.doubles.waiting import until

ALARM_LEVEL = 0.6
FAN = {"fan": {"device": "hw:1"}}


@pytest.fixture
def unwritable(open_folder: Path) -> Path:
    """A folder that the user nobody cannot write."""
    open_folder.chmod(0o555)
    return open_folder


def unmount(folder: Path) -> Path:
    """Let the journal be on a disk that is not mounted; return the link to it."""
    link = folder / "alarms.db"
    link.symlink_to(folder / "disk" / "alarms.db")
    return link


async def test_alarms_are_raised_without_a_journal_and_written_later(
    daemon: InProcessDaemon,
) -> None:
    link = unmount(daemon.folder)
    with capture_logs() as logs:
        daemon.start(make_config(**FAN))
        await daemon.until_state("fan", "normal")
        daemon.source("hw:1").play(20, ALARM_LEVEL)
        await daemon.until_state("fan", "alarm")
        assert daemon.broker.alarm("fan")["active"]
        assert "alarms are kept in memory" in (await daemon.box_status())["reason"]
        link.unlink()
        await until(link.exists)
        await until(lambda: any("is written again" in entry["event"] for entry in logs))
        assert (await daemon.box_status())["reason"] is None
        content = read_journal(daemon.folder)
    assert content is not None
    (alarm,) = content.alarms
    assert alarm.active
    assert content.events(alarm.id)
    faults = [entry for entry in logs if "cannot be opened" in entry["event"]]
    assert [entry["log_level"] for entry in faults] == ["error"]


async def test_a_reload_adds_a_machine_while_the_journal_cannot_be_opened(
    daemon: InProcessDaemon,
) -> None:
    unmount(daemon.folder)
    daemon.start(make_config(**FAN))
    await daemon.until_state("fan", "normal")
    daemon.file = make_config(**FAN, pump={"device": "hw:2"})
    daemon.service.request_reload()
    await daemon.until_state("pump", "normal")


async def test_a_failed_reading_of_acknowledgements_is_repeated(
    make: Callable[..., MonitoredMachine], monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = make()
    machine.start()
    machine.source.open().play(25, ALARM_LEVEL)
    await machine.until_state("alarm")
    read, failures = JournalRequests.waiting, [JournalError("locked")]

    def fail_once(requests: JournalRequests, name: str) -> object:
        if failures:
            raise failures.pop()
        return read(requests, name)

    monkeypatch.setattr(JournalRequests, "waiting", fail_once)
    machine.journal.requests.add(
        acknowledgement(machine.broker.alarm("fan")["id"], "ann", None, LATER)
    )
    machine.session.check_requests()
    await until(lambda: not failures)
    machine.source.play(5, ALARM_LEVEL)
    await until(lambda: machine.broker.alarm("fan")["acknowledged"])


async def test_what_is_not_written_at_the_end_is_logged_with_numbers(tmp_path: Path) -> None:
    unmount(tmp_path)
    access = JournalAccess(open_journal(tmp_path), poll_s=1.0)
    fan = MachineJournal(access.journal, "fan01")
    event = fan.record(RAISED, NOW, "v1")
    fan.record(state_transition(), NOW, "v1")
    with capture_logs() as logs:
        await access.close()
    (entry,) = logs
    assert entry["log_level"] == "error"
    assert (entry["alarms"], entry["events"], entry["unpublished_events"]) == (1, 2, 2)
    assert entry["alarm_ids"] == [event.alarm_id]
    assert "a link to a file that does not exist" in entry["reason"]


async def test_the_end_of_a_written_and_published_journal_is_quiet(tmp_path: Path) -> None:
    access = JournalAccess(open_journal(tmp_path), poll_s=1.0)
    MachineJournal(access.journal, "fan01").record(RAISED, NOW, "v1")
    EventDelivery(access.journal, MemoryBroker()).deliver()
    with capture_logs() as logs:
        await access.close()
    assert logs == []


async def test_events_that_are_kept_at_the_end_are_logged_by_machine(tmp_path: Path) -> None:
    access = JournalAccess(open_journal(tmp_path), poll_s=1.0)
    fan, pump = (MachineJournal(access.journal, name) for name in ("fan01", "pump02"))
    for _ in range(3):
        fan.record(state_transition(), NOW, "v1")
    pump.record(RAISED, NOW, "v1")
    access.journal.outbox.settle(access.journal.outbox.take("fan01", 1)[0], None)
    with capture_logs() as logs:
        await access.close()
    (entry,) = logs
    assert (entry["log_level"], entry["events"]) == ("warning", 3)
    assert entry["machines"] == {"fan01": "2 (seq 2 to 3)", "pump02": "1 (seq 1 to 1)"}


def test_a_folder_that_cannot_be_written_is_locked(unwritable: Path) -> None:
    with without_privileges():
        with capture_logs() as logs:
            lock = StateLock(unwritable)
        (entry,) = logs
        assert "cannot be written" in entry["event"]
        with pytest.raises(OperationError, match="another daemon uses this state folder"):
            StateLock(unwritable)
        lock.release()
        StateLock(unwritable).release()


def test_a_lock_file_of_another_user_is_named_with_its_remedy(open_folder: Path) -> None:
    file = open_folder / "daemon.lock"
    file.touch()
    file.chmod(0o000)
    with without_privileges():
        with capture_logs() as logs:
            lock = StateLock(open_folder)
        (entry,) = logs
        assert "the lock file of the state folder cannot be opened" in entry["event"]
        assert (entry["file"], entry["reason"]) == (str(file), "Permission denied")
        assert "chown" in entry["hint"]
        with pytest.raises(OperationError, match="another daemon uses this state folder"):
            StateLock(open_folder)
        lock.release()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives a file to another user")
def test_root_creates_the_lock_file_for_the_owner_of_the_folder(open_folder: Path) -> None:
    os.chown(open_folder, 65534, 65534)
    StateLock(open_folder).release()
    found = (open_folder / "daemon.lock").stat()
    assert (found.st_uid, found.st_gid) == (65534, 65534)
    with without_privileges(), capture_logs() as logs:
        StateLock(open_folder).release()
    assert logs == []


def test_a_lock_file_without_write_permission_is_locked(open_folder: Path) -> None:
    lock = StateLock(open_folder)
    (open_folder / "daemon.lock").chmod(0o444)
    open_folder.chmod(0o555)
    with (
        without_privileges(),
        pytest.raises(OperationError, match="another daemon uses this state folder"),
    ):
        StateLock(open_folder)
    lock.release()


def test_a_folder_that_cannot_be_created_does_not_end_the_daemon(unwritable: Path) -> None:
    with without_privileges(), capture_logs() as logs:
        StateLock(unwritable / "state").release()
        journal = open_journal(unwritable / "state")
    assert [entry["log_level"] for entry in logs] == ["error", "error"]
    assert MachineJournal(journal, "fan01").record(RAISED, NOW, "v1").alarm is not None


def test_a_path_through_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for wrong in (tmp_path / "file", tmp_path / "file" / "state"):
        with pytest.raises(OperationError, match="the state folder cannot be used"):
            StateLock(wrong)


def test_everything_in_the_state_folder_is_for_its_owner_only(tmp_path: Path) -> None:
    state = tmp_path / "state"
    before = os.umask(0)
    try:
        StateLock(state).release()
        open_journal(state).close()
        recording = TrainingRecording(state / "learning" / "fan01", 3.0)
        recording.begin(8000)
        recording.push(block_at(0, np.full(24000, 0.1, np.float32), 8000))
    finally:
        os.umask(before)
    paths = [state, *state.rglob("*")]
    assert {path.name for path in paths} >= {"alarms.db", "daemon.lock", "000001.flac"}
    assert {(path.name, path.stat().st_mode & 0o077) for path in paths} == {
        (path.name, 0) for path in paths
    }


def test_an_existing_folder_keeps_its_mode(open_folder: Path) -> None:
    open_folder.chmod(0o750)
    create_private_folder(open_folder)
    assert open_folder.stat().st_mode & 0o777 == 0o750


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_renaming_overwrites_nothing(tmp_path: Path, kind: str) -> None:
    source, kept = tmp_path / "source", tmp_path / "kept"
    if kind == "file":
        source.write_text("new")
    else:
        source.mkdir()
    kept.write_text("old")
    with pytest.raises(FileExistsError):
        rename_without_overwriting(source, kept)
    assert kept.read_text() == "old"
    rename_without_overwriting(source, tmp_path / "free")
    assert not source.exists()


def test_an_acknowledgement_of_a_journal_in_memory_is_refused(tmp_path: Path) -> None:
    unmount(tmp_path)
    with pytest.raises(JournalError, match="a link to a file that does not exist"):
        make_request(tmp_path, acknowledgement("x", "ann", None, NOW))
