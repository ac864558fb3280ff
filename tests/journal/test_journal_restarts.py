"""What a restart keeps of an alarm and of the figures."""

from __future__ import annotations

from pathlib import Path

from asd_monitor.journal.journal_file import FILE_NAME
from asd_monitor.journal.machine_journal import MachineJournal
from asd_monitor.journal.requests import (
    Verb,
)
from asd_monitor.journal.store import Journal
from tests.doubles.applied_requests import ask, raised
from tests.doubles.journalled_machine import (
    NOW,
    RAISED,
    JournalledMachine,
)


def test_what_raised_an_alarm_is_kept_over_a_restart(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        raised(journal)
        before = journal.newest("fan01")
    with Journal(tmp_path) as journal:
        after = MachineJournal(journal, "fan01").newest
    assert before == after
    assert after is not None
    assert after.reason is not None
    assert after.shortest_scale_s == 10.0
    assert after.scale_peaks == {10.0: 8.0}
    standing = MachineJournal(journal, "fan01").restored_alarm()
    assert standing is not None
    assert standing.scale_peaks == {10.0: 8.0}


def test_an_alarm_of_an_earlier_version_has_its_peak_at_each_time_scale(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        fan = MachineJournal(journal, "fan01")
        fan.record(RAISED, NOW, "v1")
        standing = fan.restored_alarm()
    assert standing is not None
    assert standing.scale_peaks == dict.fromkeys((10.0, 30.0, 600.0, 3600.0, 86400.0), 7.0)


def test_the_figures_of_the_alarms_are_kept_over_a_restart(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        fan = raised(journal, latch=False)
        fan.play(0.5, 60)
        fan.play(8.0, 20)
        ask(fan, Verb.OUT_OF_SERVICE, alarm_id=None)
        before = journal.figures(fan.now)
        assert (before.alarms, before.out_of_service, before.top_machine) == (2, 1, "fan01")
    with Journal(tmp_path) as journal:
        assert journal.figures(fan.now) == before
        JournalledMachine(journal, latch=False)
        (tmp_path / FILE_NAME).unlink()
        journal.maintain()
        assert journal.figures(fan.now) == before
