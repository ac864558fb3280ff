"""Entries that cannot be written: full disk, refused values, killed processes."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from structlog.testing import capture_logs

from asd_monitor.alarm.state import Alarm, AlarmCondition, Transition, TransitionKind
from asd_monitor.journal.commands import read_journal
from asd_monitor.journal.journal_file import FILE_NAME
from asd_monitor.journal.machine_journal import MachineJournal
from asd_monitor.journal.sqlite_errors import JournalError
from asd_monitor.journal.store import Journal
from tests.doubles.command_line import without_privileges
from tests.doubles.journalled_machine import (
    NOW,
    JournalledMachine,
    acknowledge,
    alarm_transition,
    state_transition,
)


class Disk:
    """Opens databases; `execute` changes what the newest of them can do."""

    def __init__(self) -> None:
        self._newest: sqlite3.Connection

    def connect(self, *arguments: Any, **options: Any) -> sqlite3.Connection:
        self._newest = sqlite3.connect(*arguments, **options)
        return self._newest

    def fill(self) -> None:
        (pages,) = self._newest.execute("PRAGMA page_count").fetchone()
        self._newest.execute(f"PRAGMA max_page_count = {pages}")

    def free(self) -> None:
        self._newest.execute("PRAGMA max_page_count = 100000")

    def make_read_only(self) -> None:
        self._newest.execute("PRAGMA query_only = ON")

    def make_writable(self) -> None:
        self._newest.execute("PRAGMA query_only = OFF")


def raised(number: int, peak: float) -> Transition:
    return alarm_transition(
        AlarmCondition.RETURNED, AlarmCondition.UNACKNOWLEDGED, number=number, peak=peak
    )


def test_an_alarm_on_a_full_disk_is_active_and_written_later(tmp_path: Path) -> None:
    disk = Disk()
    with Journal(tmp_path, connect=disk.connect) as journal:
        fan = JournalledMachine(journal)
        disk.fill()
        filler = MachineJournal(journal, "filler")
        for _ in range(200):
            filler.record(Transition(1, TransitionKind.STATE, "a", "b", "x" * 500), NOW, None)
        assert "full: free space on the disk" in str(journal.fault)
        fan.play(8.0, 20)
        assert fan.machine.newest is not None
        assert fan.machine.newest.active
        assert journal.alarms() == []
        assert journal.unwritten > 0
        assert journal.missing.alarms == (fan.machine.newest.id,)

        disk.free()
        assert journal.flush()
        assert journal.fault is None
        assert journal.unwritten == 0
        assert journal.alarms() == [fan.machine.newest]


class SmallDisk(NamedTuple):
    """A file system of 400 kB, as `os.statvfs` describes it."""

    f_blocks: int = 100
    f_frsize: int = 4096
    f_bavail: int = 50
    f_flag: int = 0


def test_a_journal_on_a_small_disk_is_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "statvfs", lambda _: SmallDisk())
    with Journal(tmp_path) as journal, capture_logs() as logs:
        fan = MachineJournal(journal, "fan01")
        first = fan.record(raised(1, 7.0), NOW, "v1")
        largest = 0
        for number in range(300):
            why = f"{number} " + "x" * 1000
            fan.record(Transition(1, TransitionKind.STATE, "a", "b", why), NOW, None)
            largest = max(largest, sum(file.stat().st_size for file in tmp_path.iterdir()))
        assert (journal.fault, journal.unwritten, journal.dropped) == (None, 0, 0)
        last = fan.record(raised(2, 7.0), NOW, "v1")
        assert {alarm.id for alarm in journal.alarms()} == {first.alarm_id, last.alarm_id}
        assert journal.events(str(last.alarm_id))
        assert not journal.events(str(first.alarm_id))
    assert largest < 400 << 10
    assert {entry["log_level"] for entry in logs} == {"warning"}


def test_unwritten_entries_are_bounded_and_dropped_ones_counted(tmp_path: Path) -> None:
    disk = Disk()
    with Journal(tmp_path, max_unwritten=10, connect=disk.connect) as journal:
        fan = MachineJournal(journal, "fan01")
        disk.make_read_only()
        for _ in range(15):
            fan.record(state_transition(), NOW, None)
        assert (journal.unwritten, journal.dropped) == (10, 5)
        disk.make_writable()
        assert journal.flush()
        assert (journal.unwritten, journal.dropped) == (0, 5)


def test_the_newest_unwritten_changes_are_kept(tmp_path: Path) -> None:
    disk = Disk()
    with Journal(tmp_path, max_unwritten=6, connect=disk.connect) as journal:
        fan = MachineJournal(journal, "fan01")
        disk.make_read_only()
        for number in range(1, 6):  # two statements each
            fan.record(raised(number, float(number)), NOW, "v1")
        disk.make_writable()
        assert journal.flush()
        assert [alarm.peak_score for alarm in journal.alarms("fan01")] == [5.0, 4.0, 3.0]


def test_an_acknowledgement_that_cannot_be_written_is_applied_once(tmp_path: Path) -> None:
    disk = Disk()
    with Journal(tmp_path, connect=disk.connect) as journal:
        fan = JournalledMachine(journal)
        fan.play(8.0, 20)
        acknowledge(tmp_path)
        disk.make_read_only()
        assert fan.apply() == ["unacknowledged→acknowledged"]
        assert journal.fault is not None
        assert fan.apply() == []
        disk.make_writable()


@pytest.mark.parametrize("peak", [float("nan"), float("inf")])
def test_an_alarm_without_a_number_as_its_peak_is_written(journal: Journal, peak: float) -> None:
    fan = MachineJournal(journal, "fan01")
    fan.record(raised(1, peak), NOW, "v1")
    assert [alarm.peak_score for alarm in journal.alarms()] == [None]
    restored = fan.restored_alarm()
    assert restored is not None
    assert restored.peak_score == 0.0
    fan.update_peak(Alarm(1, AlarmCondition.UNACKNOWLEDGED, 7.5))
    fan.update_peak(Alarm(1, AlarmCondition.UNACKNOWLEDGED, peak))
    assert [alarm.peak_score for alarm in journal.alarms()] == [7.5]
    assert journal.dropped == 0


@pytest.mark.parametrize("model", ["\ud800", 2**70, object()])
def test_a_refused_entry_does_not_block_later_ones(tmp_path: Path, model: Any) -> None:
    with Journal(tmp_path) as journal, capture_logs() as logs:
        pump, fan = MachineJournal(journal, "pump02"), MachineJournal(journal, "fan01")
        refused = fan.record(raised(1, 7.0), NOW, model)
        pump.record(raised(1, 7.0), NOW, "v1")
        fan.record(raised(2, 7.0), NOW, "v1")
        assert journal.fault is None
        assert journal.unwritten == 0
        assert {alarm.machine for alarm in journal.alarms()} == {"fan01", "pump02"}
        assert journal.dropped == 2
        assert refused.alarm_id not in {alarm.id for alarm in journal.alarms()}
        (entry,) = logs
        assert entry["log_level"] == "error"
        assert entry["event"] == "the journal of alarms refused an entry, which is not stored"


def test_a_change_is_refused_as_a_whole(journal: Journal) -> None:
    with capture_logs():
        event = MachineJournal(journal, "fan01").record(raised(1, 7.0), NOW, "\ud800")
        assert event.alarm_id is not None
        assert journal.events(event.alarm_id) == []
        assert journal.dropped == 2


def test_a_refused_entry_among_unwritten_ones(tmp_path: Path) -> None:
    disk = Disk()
    with Journal(tmp_path, connect=disk.connect) as journal, capture_logs() as logs:
        fan = MachineJournal(journal, "fan01")
        disk.make_read_only()
        for number, model in enumerate(("v1", "\ud800", "v1"), start=1):
            fan.record(raised(number, 6.0 + number), NOW, model)
        assert (journal.unwritten, journal.dropped, logs) == (6, 0, [])
        disk.make_writable()
        assert journal.flush()
        assert [alarm.peak_score for alarm in journal.alarms()] == [9.0, 7.0]
        assert (journal.unwritten, journal.dropped) == (0, 2)


@pytest.mark.parametrize("file", ["removed", "replaced", "truncated", "overwritten"])
def test_a_file_lost_under_the_daemon_is_made_anew(tmp_path: Path, file: str) -> None:
    path = tmp_path / FILE_NAME
    with Journal(tmp_path) as journal, capture_logs() as logs:
        fan = JournalledMachine(journal)
        fan.play(8.0, 20)
        alarms = journal.alarms()
        if file == "removed":
            for each in tmp_path.glob(f"{FILE_NAME}*"):
                each.unlink()
        elif file == "replaced":
            (tmp_path / "other").write_bytes(b"no database" * 1000)
            (tmp_path / "other").replace(path)
        else:
            path.write_bytes(b"" if file == "truncated" else b"\xa5" * path.stat().st_size)
            (tmp_path / f"{FILE_NAME}-wal").write_bytes(b"")
        for _ in range(3):
            with contextlib.suppress(JournalError):
                journal.maintain()
        MachineJournal(journal, "pump02").record(raised(1, 7.0), NOW, "v1")
        journal.maintain()
        assert (journal.fault, journal.unwritten, journal.dropped) == (None, 0, 0)
        assert [alarm.machine for alarm in journal.alarms()] == ["pump02", "fan01"]
        assert journal.alarms()[1] == alarms[0]
        assert any(entry["log_level"] == "error" for entry in logs)
    content = read_journal(tmp_path)
    assert content is not None
    assert [alarm.machine for alarm in content.alarms] == ["pump02", "fan01"]
    if file in {"removed", "replaced"}:
        assert len(content.events(alarms[0].id)) == 1


def test_a_restored_backup_is_kept_with_the_alarms_of_the_daemon(tmp_path: Path) -> None:
    backup = tmp_path / "backup"
    with Journal(backup) as other:
        MachineJournal(other, "mill").record(raised(1, 7.0), NOW, "v1")
    state = tmp_path / "state"
    with Journal(state) as journal:
        MachineJournal(journal, "fan01").record(raised(1, 7.0), NOW, "v1")
        (backup / FILE_NAME).replace(state / FILE_NAME)
        journal.maintain()
        assert {alarm.machine for alarm in journal.alarms()} == {"mill", "fan01"}


def test_alarms_are_kept_in_memory_until_the_folder_is_writable(open_folder: Path) -> None:
    with Journal(open_folder) as journal:
        MachineJournal(journal, "mill").record(raised(1, 7.0), NOW, "v1")
    (open_folder / FILE_NAME).chmod(0o444)
    open_folder.chmod(0o555)
    with without_privileges():
        journal = Journal(open_folder)
        assert "writable" in (journal.fault or "")
        assert MachineJournal(journal, "mill").restored_alarm() is not None
        fan = JournalledMachine(journal)
        fan.play(8.0, 20)
        assert fan.machine.newest is not None
        assert fan.poll() == []
        assert {alarm.machine for alarm in journal.alarms()} == {"mill", "fan01"}
        content = read_journal(open_folder)
    assert content is not None
    assert [alarm.machine for alarm in content.alarms] == ["mill"]
    open_folder.chmod(0o755)
    journal.maintain()
    assert (journal.fault, journal.unwritten) == (None, 0)
    assert [alarm.machine for alarm in journal.alarms()] == ["fan01", "mill"]
    assert len(journal.events(fan.machine.newest.id)) == 1
    journal.close()


def test_an_acknowledgement_that_cannot_be_read_is_looked_for_again(tmp_path: Path) -> None:
    class Locked(sqlite3.Connection):
        locked = False

        def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:
            if self.locked and "requests" in sql:
                error = sqlite3.OperationalError("database is locked")
                error.sqlite_errorcode = sqlite3.SQLITE_BUSY
                raise error
            return super().execute(sql, *values)

    connections: list[Locked] = []

    def connect(*arguments: Any, **options: Any) -> sqlite3.Connection:
        connections.append(sqlite3.connect(*arguments, factory=Locked, **options))
        return connections[-1]

    with Journal(tmp_path, connect=connect) as journal:
        fan = JournalledMachine(journal)
        fan.play(8.0, 20)
        fan.poll()
        acknowledge(tmp_path)
        connections[-1].locked = True
        with pytest.raises(JournalError, match="another process holds it"):
            fan.poll()
        connections[-1].locked = False
        assert fan.poll() == ["unacknowledged→acknowledged"]
        assert fan.poll() == []


WRITER = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from asd_monitor.alarm.state import Alarm, AlarmCondition, Transition, TransitionKind
from asd_monitor.journal.machine_journal import MachineJournal
from asd_monitor.journal.store import Journal

journal = Journal(Path(sys.argv[1]))
fan = MachineJournal(journal, "fan01")
newest = fan.restored_alarm()
number = newest.number if newest else 0
while True:
    number += 1
    alarm = Alarm(number, AlarmCondition.UNACKNOWLEDGED, 7.0)
    raised = Transition(
        1, TransitionKind.ALARM, AlarmCondition.RETURNED, alarm.condition, "x", alarm=alarm
    )
    event = fan.record(raised, datetime.now(UTC), "v1")
    print(event.alarm_id, event.id, flush=True)
"""


@pytest.mark.slow
def test_written_entries_survive_sigkill(tmp_path: Path) -> None:
    written: list[tuple[str, str]] = []
    for round_number in range(5):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True
        )
        assert writer.stdout is not None
        for _ in range(20 + 7 * round_number):
            alarm_id, event_id = writer.stdout.readline().split()
            written.append((alarm_id, event_id))
        writer.send_signal(signal.SIGKILL)
        # the last line may be incomplete
        for line in writer.stdout:
            if line.endswith("\n"):
                alarm_id, event_id = line.split()
                written.append((alarm_id, event_id))
        writer.stdout.close()
        assert writer.wait(30) == -signal.SIGKILL

        with Journal(tmp_path) as journal:
            alarms = {alarm.id for alarm in journal.alarms()}
            assert alarms >= {alarm_id for alarm_id, _ in written}
            for alarm in alarms:
                assert len(journal.events(alarm)) == 1, "alarm and event are not written together"
        database = sqlite3.connect(tmp_path / FILE_NAME)
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        database.close()
    assert len(set(written)) == len(written)
