"""The state folder of the benchmark of `asd-monitor alarms`."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from asd_monitor.alarm.state import AlarmCondition
from asd_monitor.evidence.package_files import read_package
from asd_monitor.journal.commands import read_journal
from benchmarks.alarm_folder import AlarmHistory, make_folder

END = datetime(2026, 11, 23, tzinfo=UTC)


def test_alarms_have_their_events_and_a_package(tmp_path: Path) -> None:
    make_folder(tmp_path, AlarmHistory(7, machines=3, unacknowledged=2, days=10.0), END)
    journal = read_journal(tmp_path)
    assert journal is not None
    assert journal.damage is None
    conditions = [each.condition for each in journal.alarms]
    assert conditions == [AlarmCondition.RETURNED] * 2 + [AlarmCondition.NORMAL] * 5
    assert len(journal.all_events()) == 5 * 7 - 2
    assert max(each.raised for each in journal.alarms) <= END
    for each in journal.alarms:
        assert each.evidence is not None
        assert read_package(tmp_path / each.evidence).alarm["id"] == each.id


def test_alarms_that_would_overlap_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="too many for 1 days"):
        make_folder(tmp_path, AlarmHistory(1000, machines=1, unacknowledged=0, days=1.0), END)
