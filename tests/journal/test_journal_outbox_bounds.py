"""The bounds of the events that wait to be published, and what is dropped beyond."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from asd_monitor.journal.event_outbox import MAX_SET_ASIDE
from asd_monitor.journal.journal_file import FILE_NAME
from asd_monitor.journal.machine_journal import MachineJournal
from asd_monitor.journal.store import Journal
from tests.doubles.journal_outbox import (
    Clock,
    Disk,
    numbers,
    raise_alarm,
    record,
    settle_all,
    take_all,
)
from tests.doubles.journalled_machine import NOW, state_transition


def test_events_that_are_set_aside_are_bounded(tmp_path: Path, disk: Disk) -> None:
    with Journal(tmp_path, connect=disk.connect) as journal:
        record(journal, events=MAX_SET_ASIDE + 5)
        for each in take_all(journal):
            journal.outbox.settle(each, "too large")
        journal.maintain()
        assert journal.outbox.figures.set_aside == MAX_SET_ASIDE
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as database, database:
        assert database.execute("SELECT min(seq), count(*) FROM outbox").fetchone() == (
            6,
            MAX_SET_ASIDE,
        )
    database.close()


def test_a_full_outbox_drops_the_oldest_state_transitions_and_keeps_alarms(tmp_path: Path) -> None:
    with capture_logs() as logs, Journal(tmp_path, max_waiting_bytes=20_000) as journal:
        raise_alarm(journal)
        (oldest,) = journal.outbox.take("fan01", 1)
        raise_alarm(journal, "pump02")
        record(journal, events=30, why="x" * 1000)
        figures = journal.outbox.figures
        assert figures.bytes <= 20_000
        assert figures.dropped == {"state": 31 - figures.waiting + 1}
        left = [oldest, *take_all(journal)]
        assert numbers(left)[-1] == 31, "the newest was dropped"
        assert numbers(left)[1:] == list(range(33 - len(left), 32))
        assert numbers(take_all(journal, "pump02")) == [1]
    assert {entry["log_level"] for entry in logs} == {"warning"}
    assert sum(entry["others"] for entry in logs) == figures.dropped["state"]


def test_alarms_are_dropped_last_and_that_is_an_error(tmp_path: Path) -> None:
    with capture_logs() as logs, Journal(tmp_path, max_waiting_bytes=5_000) as journal:
        for number in range(30):
            raise_alarm(journal, f"fan{number:02}")
        figures = journal.outbox.figures
        assert figures.bytes <= 5_000
        assert figures.dropped == {"alarm": 30 - figures.waiting}
        assert not take_all(journal, "fan00")
        assert take_all(journal, "fan29")
    assert {entry["log_level"] for entry in logs} == {"error"}


def test_what_the_session_has_is_not_dropped(tmp_path: Path) -> None:
    with capture_logs(), Journal(tmp_path, max_waiting_bytes=5_000) as journal:
        record(journal, events=3, why="x" * 1000)
        taken = take_all(journal)
        record(journal, events=20, why="x" * 1000)
        figures = journal.outbox.figures
        assert figures.dropped["state"] + figures.waiting == 23
        assert numbers(taken) == [1, 2, 3]
    with Journal(tmp_path, max_waiting_bytes=5_000) as journal:
        left = take_all(journal)
        assert numbers(left)[:3] == [1, 2, 3]
        settle_all(journal, left)
        assert (journal.outbox.figures.waiting, journal.outbox.figures.bytes) == (0, 0)


def test_events_are_dropped_by_their_age_in_running_time(tmp_path: Path, clock: Clock) -> None:
    day_s = 86_400.0
    with Journal(tmp_path, max_waiting_s=2 * day_s, monotonic_s=clock) as journal:
        record(journal)
        clock.now_s += 1.5 * day_s
        record(journal)
        assert journal.outbox.figures.oldest_s == clock.now_s - 1.5 * day_s
    clock.now_s = 0.0
    with capture_logs(), Journal(tmp_path, max_waiting_s=2 * day_s, monotonic_s=clock) as journal:
        clock.now_s += 1.0 * day_s
        record(journal)
        assert numbers(take_all(journal)) == [2, 3]
        assert journal.outbox.figures.dropped == {"state": 1}


@pytest.mark.parametrize("step", [timedelta(days=20_000), timedelta(days=-20_000)])
def test_no_event_is_dropped_or_out_of_order_where_the_clock_is_stepped(
    tmp_path: Path, clock: Clock, step: timedelta
) -> None:
    with Journal(tmp_path, monotonic_s=clock) as journal:
        fan = MachineJournal(journal, "fan01")
        for time in (NOW, NOW + step, datetime.now(UTC)):
            fan.record(state_transition(), time, "v1")
            clock.now_s += 4000.0
    with Journal(tmp_path, monotonic_s=clock) as journal:
        clock.now_s += 4000.0
        record(journal)
        assert numbers(take_all(journal)) == [1, 2, 3, 4]
        assert journal.outbox.figures.dropped == {}
