"""The period of the figures of the alarms: since the monitoring has begun."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from asd_monitor.alarm.figures import AlarmFigures
from asd_monitor.journal import recent_changes
from asd_monitor.journal.alarm_tables import create_tables, replace_row
from asd_monitor.journal.commands import read_journal
from asd_monitor.journal.journal_file import FILE_NAME
from asd_monitor.journal.machine_journal import MachineJournal
from asd_monitor.journal.requests import Request, Verb
from asd_monitor.journal.store import Journal
from asd_monitor.journal.table_definitions import TABLES_4
from tests.doubles.journalled_machine import (
    NOW,
    RAISED,
    RETURNED,
    JournalledMachine,
    state_transition,
)

DAY = timedelta(days=1)


def journal_of(folder: Path, begun: datetime, max_events: int = 1000) -> Journal:
    """Return a journal whose clock stands at the begin of the monitoring."""
    return Journal(folder, now=lambda: begun, max_events=max_events)


def by_command(folder: Path, machine: str | None = None, days: float = 30.0) -> AlarmFigures:
    content = read_journal(folder)
    assert content is not None
    return content.figures(machine, days=days, now=NOW)


def test_the_first_alarm_of_a_box_that_was_silent_for_days_is_one_in_these_days(
    tmp_path: Path,
) -> None:
    with journal_of(tmp_path, NOW - 10 * DAY) as journal:
        fan = MachineJournal(journal, "fan01")
        assert journal.figures(NOW).per_day == 0.0
        fan.record(RAISED, NOW - timedelta(seconds=1), "v1")
        found = journal.figures(NOW)
        assert (found.days, found.alarms, found.per_day) == (10.0, 1, 0.1)
    assert by_command(tmp_path) == found
    assert by_command(tmp_path, "fan01") == found
    assert by_command(tmp_path, days=5).days == 5.0
    with journal_of(tmp_path, NOW) as journal:  # of a later start
        MachineJournal(journal, "fan01")
        assert journal.figures(NOW) == found
        assert journal.figures(NOW + 25 * DAY).days == 30.0


def test_below_a_day_rates_are_not_stated(tmp_path: Path) -> None:
    with journal_of(tmp_path, NOW - timedelta(hours=23)) as journal:
        MachineJournal(journal, "fan01").record(RAISED, NOW - timedelta(minutes=1), "v1")
        found = journal.figures(NOW)
        assert (found.days, found.alarms, found.busiest_10_min) == (0.958, 1, 1)
        assert (found.per_day, found.per_hour) == (None, None)
        assert (found.share_of_10_min_over_10, found.flood_share) == (None, None)
        assert journal.figures(NOW + DAY).per_day == 0.511


def test_an_alarm_of_a_machine_out_of_service_does_not_stand(tmp_path: Path) -> None:
    with journal_of(tmp_path, NOW - 10 * DAY) as journal:
        fan = JournalledMachine(journal)
        fan.now = NOW - 2 * DAY
        fan.play(8.0, 20)
        assert journal.figures(NOW).standing_over_24_h == 1
        journal.requests.add(Request(Verb.OUT_OF_SERVICE, "fan01", "bob", NOW, why="belt"))
        assert fan.apply() == ["unacknowledged→out_of_service"]
        found = journal.figures(NOW)
        assert (found.standing_over_24_h, found.out_of_service) == (0, 1)


def test_a_machine_that_was_added_later_has_its_own_period(tmp_path: Path) -> None:
    with journal_of(tmp_path, NOW - 10 * DAY) as journal:
        MachineJournal(journal, "fan01")
    with journal_of(tmp_path, NOW - 2 * DAY) as journal:
        MachineJournal(journal, "fan01")
        MachineJournal(journal, "pump02").record(RAISED, NOW, "v1")
        assert journal.figures(NOW).days == 10.0
    assert by_command(tmp_path, "pump02").days == 2.0
    assert by_command(tmp_path, "fan01").days == 10.0


PAST = datetime(2021, 1, 1, tzinfo=UTC)


def test_a_start_with_a_clock_that_is_behind_does_not_lengthen_the_period(tmp_path: Path) -> None:
    with journal_of(tmp_path, NOW - 2 * DAY) as journal:
        MachineJournal(journal, "fan01")
    with journal_of(tmp_path, PAST) as journal:
        MachineJournal(journal, "fan01")
        journal.maintain()
        assert journal.figures(NOW).days == 2.0
    assert by_command(tmp_path, "fan01").days == 2.0


def test_a_first_start_with_a_clock_that_is_behind_is_corrected_when_it_is_set(
    tmp_path: Path,
) -> None:
    now, now_s = PAST, 0.0
    with Journal(tmp_path, now=lambda: now, monotonic_s=lambda: now_s) as journal:
        MachineJournal(journal, "fan01")
        now, now_s = NOW - 2 * DAY + timedelta(minutes=5), 300.0
        journal.maintain()
        assert journal.figures(NOW).days == 2.0
    assert by_command(tmp_path, "fan01").days == 2.0
    with journal_of(tmp_path, NOW) as journal:
        MachineJournal(journal, "fan01")
        assert journal.figures(NOW).days == 2.0


def test_a_journal_of_an_earlier_version_begins_with_what_it_has_of_a_machine(
    tmp_path: Path,
) -> None:
    with journal_of(tmp_path, NOW) as journal:
        fan = MachineJournal(journal, "fan01")
        fan.record(state_transition(), NOW - 12 * DAY, "v1")
        fan.record(RAISED, NOW - 8 * DAY, "v1")
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as database, database:
        database.execute("UPDATE machines SET monitored_since = NULL")
        (row,) = database.execute("SELECT * FROM machines").fetchall()
        replace_row(database, "machines", row[:-1])
    assert by_command(tmp_path).days == 12.0
    with journal_of(tmp_path, NOW) as journal:
        MachineJournal(journal, "fan01")
        assert journal.figures(NOW).days == 12.0


def test_a_machine_of_format_4_is_monitored_since_its_first_start_at_the_latest(
    tmp_path: Path,
) -> None:
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as database, database:
        create_tables(database, TABLES_4, 4)
        replace_row(database, "machines", (1, "fan01", 0))
    with journal_of(tmp_path, NOW - 3 * DAY) as journal:
        MachineJournal(journal, "fan01")
    assert by_command(tmp_path).days == 3.0
    assert (tmp_path / f"{FILE_NAME}.format-4-1").exists()


def test_the_period_begins_with_the_oldest_event_where_earlier_ones_were_deleted(
    tmp_path: Path,
) -> None:
    with journal_of(tmp_path, NOW - 20 * DAY) as journal:
        fan = MachineJournal(journal, "fan01")
        for day in range(10):
            fan.record(state_transition(), NOW - (20 - day) * DAY, "v1")
    with journal_of(tmp_path, NOW, max_events=3) as journal:
        assert journal.figures(NOW).days == 13.0
    assert by_command(tmp_path).days == 13.0


def test_the_period_begins_with_the_oldest_change_that_is_kept_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recent_changes, "MAX_CHANGES", 4)
    with journal_of(tmp_path, NOW - 20 * DAY) as journal:
        fan = MachineJournal(journal, "fan01")
        for number in range(1, 4):
            raised, returned = (
                replace(each, alarm=replace(each.alarm, number=number))
                for each in (RAISED, RETURNED)
                if each.alarm is not None
            )
            fan.record(raised, NOW - (12 - number) * DAY, "v1")
            fan.record(returned, NOW - (11.5 - number) * DAY, "v1")
        assert (journal.figures(NOW).days, journal.figures(NOW).alarms) == (10.0, 2)
    with journal_of(tmp_path, NOW) as journal:
        assert (journal.figures(NOW).days, journal.figures(NOW).alarms) == (10.0, 2)
