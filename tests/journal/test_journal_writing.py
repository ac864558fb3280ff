"""Entries that cannot be written: full disk, refused values, killed processes."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from asd_monitor.alarm.state import AlarmCondition, Transition, TransitionKind
from asd_monitor.journal.journal_file import FILE_NAME
from asd_monitor.journal.machine_journal import MachineJournal
from asd_monitor.journal.store import Journal
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

        disk.free()
        assert journal.flush()
        assert journal.fault is None
        assert journal.unwritten == 0
        assert journal.alarms() == [fan.machine.newest]


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


@pytest.mark.parametrize(
    ("peak", "model"), [(float("nan"), "v1"), (7.0, "\ud800"), (7.0, 2**70), (7.0, object())]
)
def test_a_refused_entry_does_not_block_later_ones(tmp_path: Path, peak: Any, model: Any) -> None:
    with Journal(tmp_path) as journal, capture_logs() as logs:
        pump, fan = MachineJournal(journal, "pump02"), MachineJournal(journal, "fan01")
        refused = fan.record(raised(1, peak), NOW, model)
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
        event = MachineJournal(journal, "fan01").record(raised(1, float("nan")), NOW, "v1")
        assert event.alarm_id is not None
        assert journal.events(event.alarm_id) == []
        assert journal.dropped == 2


def test_a_refused_entry_among_unwritten_ones(tmp_path: Path) -> None:
    disk = Disk()
    with Journal(tmp_path, connect=disk.connect) as journal, capture_logs() as logs:
        fan = MachineJournal(journal, "fan01")
        disk.make_read_only()
        for number, peak in enumerate((7.0, float("nan"), 8.0), start=1):
            fan.record(raised(number, peak), NOW, "v1")
        assert (journal.unwritten, journal.dropped, logs) == (6, 0, [])
        disk.make_writable()
        assert journal.flush()
        assert [alarm.peak_score for alarm in journal.alarms()] == [8.0, 7.0]
        assert (journal.unwritten, journal.dropped) == (0, 2)


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
