"""What commands read of a journal: the rows that are asked for, and the damage of these."""

from __future__ import annotations

from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from asd_monitor.alarm.figures import AlarmFigures
from asd_monitor.alarm.state import AlarmCondition
from asd_monitor.journal.commands import read_journal
from asd_monitor.journal.connections import connect_to
from asd_monitor.journal.content import JournalContent
from asd_monitor.journal.journal_file import FILE_NAME
from asd_monitor.journal.machine_journal import MachineJournal
from asd_monitor.journal.recent_changes import change_of, figures_of
from asd_monitor.journal.store import Journal
from tests.doubles.journalled_machine import NOW, alarm_transition

UNACKNOWLEDGED, RETURNED = AlarmCondition.UNACKNOWLEDGED, AlarmCondition.RETURNED
NORMAL = AlarmCondition.NORMAL
DAY = timedelta(days=1)


def add_alarm(
    machine: MachineJournal, raised: datetime, *changes: tuple[AlarmCondition, datetime]
) -> None:
    """Record an alarm that changes to these conditions at these times."""
    before, number = NORMAL, machine.number + 1
    for after, time in [(UNACKNOWLEDGED, raised), *changes]:
        who = "ann" if after is NORMAL else None
        machine.record(alarm_transition(before, after, number=number, who=who), time, "v1")
        before = after


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A state folder with alarms of three machines, some of them closed."""
    with Journal(tmp_path, now=lambda: NOW - 50 * DAY) as journal:
        fan, pump, mill = (MachineJournal(journal, each) for each in ("fan01", "pump02", "mill03"))
        for day in (45, 20, 3):
            raised = NOW - day * DAY
            closed = raised + timedelta(hours=1)
            add_alarm(fan, raised, (RETURNED, raised + timedelta(seconds=40)), (NORMAL, closed))
        add_alarm(pump, NOW - 44 * DAY, (RETURNED, NOW - 43 * DAY), (NORMAL, NOW - DAY))
        add_alarm(mill, NOW - 42 * DAY, (RETURNED, NOW - 41 * DAY))
        add_alarm(fan, NOW - timedelta(minutes=5))
    return tmp_path


def content_of(state: Path) -> JournalContent:
    content = read_journal(state)
    assert content is not None
    return content


def write(state: Path, statement: str, *values: str) -> None:
    """Change the journal by SQL, which leaves the checksums of its rows as they were."""
    with closing(connect_to(state / FILE_NAME, busy_s=1.0)) as database:
        database.execute(statement, values)


@pytest.mark.parametrize("machine", [None, "fan01", "none"])
@pytest.mark.parametrize("limit", [None, 1, 100])
@pytest.mark.parametrize("with_closed", [True, False])
def test_the_newest_alarms_are_those_of_all(
    state: Path, machine: str | None, limit: int | None, *, with_closed: bool
) -> None:
    content = content_of(state)
    found = content.newest_alarms(machine, limit=limit, with_closed=with_closed)
    wanted = [
        each
        for each in content.alarms
        if machine in (None, each.machine) and (with_closed or not each.closed)
    ]
    assert found == wanted[:limit]
    assert content.count_alarms(machine, with_closed=with_closed) == len(wanted)


def test_a_damaged_alarm_is_reported_by_all_that_read_it_and_by_nothing_else(state: Path) -> None:
    closed = next(each for each in content_of(state).alarms if each.closed)
    write(state, "UPDATE alarms SET reason = 'x' WHERE id = ?", closed.id)
    content = content_of(state)
    assert len(content.newest_alarms(with_closed=False)) == 2
    assert content.alarm(content.newest_alarms(limit=1)[0].id).machine == "fan01"
    assert content.warnings == []
    assert len(content.newest_alarms()) == 5
    assert "1 row cannot be read" in content.warnings[0]
    assert "1 row cannot be read" in (content_of(state).damage or "")


def test_an_alarm_with_a_damaged_condition_is_not_taken_for_a_closed_one(state: Path) -> None:
    closed = next(each for each in content_of(state).alarms if each.closed)
    write(state, "UPDATE alarms SET condition = 'x' WHERE id = ?", closed.id)
    content = content_of(state)
    assert len(content.newest_alarms(with_closed=False)) == 2
    assert "1 row cannot be read" in content.warnings[0]


def test_a_damaged_transition_is_reported_by_the_figures_that_need_it(state: Path) -> None:
    write(state, "UPDATE events SET why = 'x' WHERE number = 2")  # 45 days ago
    content = content_of(state)
    content.figures(None, days=30.0, now=NOW)
    assert content.warnings == []
    content.figures(None, days=50.0, now=NOW)
    assert "1 transition cannot be read" in content.warnings[0]


@pytest.mark.parametrize("days", [1.5, 30.0, 41.5])
@pytest.mark.parametrize("machine", [None, "fan01", "pump02", "mill03"])
def test_the_figures_are_those_of_all_transitions(
    state: Path, machine: str | None, days: float
) -> None:
    content = content_of(state)
    events = [each for each in content.all_events() if machine in (None, each.machine)]
    wanted = figures_of(
        [change for each in events if (change := change_of(each))],
        [each for each in content.alarms if machine in (None, each.machine)],
        out_of_service=0,
        begin=NOW - days * DAY,
        end=NOW,
    )
    found: AlarmFigures = content_of(state).figures(machine, days=days, now=NOW)
    assert found == wanted


def test_the_figures_begin_with_the_first_alarm_of_a_machine_that_was_not_registered(
    state: Path,
) -> None:
    write(state, "DELETE FROM machines")
    assert content_of(state).figures("pump02", days=100.0, now=NOW).days == 44.0
    content_of(state).check_machine("pump02")
