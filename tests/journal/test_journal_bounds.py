"""Alarms and acknowledgements of years are bounded, on the disk and in memory."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from asd_monitor.alarm.state import AlarmCondition
from asd_monitor.journal import database, standing_alarms
from asd_monitor.journal.machine_journal import MachineJournal
from asd_monitor.journal.store import Journal
from tests.doubles.hanging_disk import SHORT, HangingDisk
from tests.doubles.journal_outbox import Disk
from tests.doubles.journalled_machine import (
    LATER,
    NOW,
    RAISED,
    acknowledgement,
    alarm_transition,
    apply_requests,
)


def raise_and_return(fan: MachineJournal, *, alarms: int) -> None:
    """Record alarms, one an hour, that return to normal and are not acknowledged."""
    before, during = AlarmCondition.NORMAL, AlarmCondition.UNACKNOWLEDGED
    for number in range(1, alarms + 1):
        time = NOW + timedelta(hours=number)
        fan.record(alarm_transition(before, during, number=number), time, "v1")
        before = AlarmCondition.RETURNED
        fan.record(alarm_transition(during, before, number=number), time, "v1")


def test_alarms_that_are_never_acknowledged_are_bounded_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(standing_alarms, "MAX_RETURNED", 10)
    disk = HangingDisk()
    with Journal(tmp_path, connect=disk.connect, limits=SHORT) as journal:
        fan, pump = MachineJournal(journal, "fan01"), MachineJournal(journal, "pump02")
        pump.record(RAISED, NOW, "v1")
        raise_and_return(fan, alarms=40)
        written = journal.alarms("fan01")
        assert len(written) == 40
        journal.requests.add(acknowledgement(written[-1].id, "ann", None, LATER))
        apply_requests(fan, LATER)
        assert journal.newest("fan01") == written[0]
        disk.hang("SELECT * FROM alarms")
        in_memory = journal.alarms()
        disk.answer()
    assert 5 < len(in_memory) <= 12
    assert written[0] in in_memory
    assert "pump02" in {record.machine for record in in_memory}


def test_old_alarms_without_transitions_are_deleted_at_the_opening(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "MAX_ALARMS", 3)
    with Journal(tmp_path, connect=Disk().connect) as journal:
        fan, pump = MachineJournal(journal, "fan01"), MachineJournal(journal, "pump02")
        pump.record(RAISED, NOW, "v1")
        raise_and_return(fan, alarms=10)
    with Journal(tmp_path) as journal:
        assert len(journal.alarms()) == 11  # each has a transition
    with Journal(tmp_path, max_events=4) as journal:
        alarms = journal.alarms()
    assert [alarm.machine for alarm in alarms] == ["fan01"] * 3 + ["pump02"]
