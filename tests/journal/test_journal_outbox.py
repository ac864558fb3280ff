"""The events that wait to be published: what is kept, in which order, and within which bounds."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from structlog.testing import capture_logs

from asd_monitor.alarm.state import AlarmCondition
from asd_monitor.journal.event_outbox import MAX_SET_ASIDE
from asd_monitor.journal.journal_file import FILE_NAME
from asd_monitor.journal.machine_journal import MachineJournal
from asd_monitor.journal.outbox_records import WaitingEvent
from asd_monitor.journal.sqlite_errors import JournalError
from asd_monitor.journal.store import Journal
from tests.doubles.journalled_machine import NOW, alarm_transition, state_transition

MACHINES = ("fan01", "pump02")
WINDOW = 3


class FastDatabase(sqlite3.Connection):
    """A database that does not wait for the disk: only a power failure would show that."""

    def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:
        return super().execute(sql.replace("synchronous = FULL", "synchronous = OFF"), *values)


class Disk:
    """Opens databases; the newest can be made read-only."""

    def __init__(self) -> None:
        self.newest: sqlite3.Connection

    def connect(self, *arguments: Any, **options: Any) -> sqlite3.Connection:
        self.newest = sqlite3.connect(*arguments, factory=FastDatabase, **options)
        return self.newest

    def make_read_only(self, read_only: bool) -> None:
        self.newest.execute(f"PRAGMA query_only = {read_only:d}")


class Clock:
    """A monotonic clock that the test moves."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def record(journal: Journal, machine: str = "fan01", *, events: int = 1, why: str = "off") -> None:
    writer = MachineJournal(journal, machine)
    for _ in range(events):
        writer.record(replace(state_transition(), why=why), NOW, "v1")


def raise_alarm(journal: Journal, machine: str = "fan01") -> None:
    before, after = AlarmCondition.NORMAL, AlarmCondition.UNACKNOWLEDGED
    MachineJournal(journal, machine).record(alarm_transition(before, after), NOW, "v1")


def take_all(journal: Journal, machine: str = "fan01") -> list[WaitingEvent]:
    return journal.take_events(machine, 10_000)


def numbers(events: list[WaitingEvent]) -> list[int | None]:
    return [each.event.seq for each in events]


def settle_all(journal: Journal, events: list[WaitingEvent]) -> None:
    for each in events:
        journal.settle(each, None)
    journal.maintain()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def disk() -> Disk:
    return Disk()


@pytest.fixture
def faulty(tmp_path: Path, disk: Disk) -> Iterator[Journal]:
    """A journal whose disk became read-only after one event."""
    with Journal(tmp_path, connect=disk.connect) as journal:
        record(journal)
        disk.make_read_only(True)
        yield journal


def test_events_are_counted_for_each_machine_over_restarts(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        record(journal, "fan01", events=2)
        record(journal, "pump02")
        settle_all(journal, take_all(journal, "fan01"))
        assert numbers(take_all(journal, "pump02")) == [1]
    with Journal(tmp_path) as journal:
        record(journal, "fan01")
        record(journal, "pump02")
        assert numbers(take_all(journal, "fan01")) == [3]
        assert numbers(take_all(journal, "pump02")) == [1, 2]


def test_an_event_has_what_its_message_needs(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        fan = MachineJournal(journal, "fan01")
        fan.record(
            alarm_transition(AlarmCondition.NORMAL, AlarmCondition.UNACKNOWLEDGED),
            NOW,
            "v1",
            alarm_score=6.25,
            time_scale_s=600.0,
        )
        written = fan.record(state_transition(), NOW, "v1", alarm_score=float("nan"))
    with Journal(tmp_path) as journal:
        raised, off = (each.event for each in take_all(journal))
    assert (raised.alarm_score, raised.time_scale_s, raised.seq) == (6.25, 600.0, 1)
    assert raised.alarm_id is not None
    assert off == written
    assert (off.alarm_score, off.seq) == (None, 2)


def test_each_event_is_taken_once_and_in_order(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        record(journal, events=5)
        assert journal.machines_due == {"fan01"}
        assert numbers(journal.take_events("fan01", 2)) == [1, 2]
        assert numbers(journal.take_events("fan01", 2)) == [3, 4]
        assert journal.machines_due == {"fan01"}
        assert numbers(journal.take_events("fan01", 2)) == [5]
        assert journal.machines_due == frozenset()
        assert take_all(journal) == []
        record(journal)
        assert numbers(take_all(journal)) == [6]


def test_what_is_settled_is_deleted_with_the_next_entry(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        record(journal, events=3)
        for each in take_all(journal):
            journal.settle(each, None)
        assert journal.outbox_figures.waiting == 0
        record(journal, "pump02")
        assert (journal.outbox_figures.waiting, journal.outbox_figures.set_aside) == (1, 0)
        shutil.copytree(tmp_path, tmp_path / "killed")
    with Journal(tmp_path / "killed") as journal:
        assert journal.machines_due == {"pump02"}


def test_an_event_that_is_not_settled_is_taken_by_the_next_run_with_the_same_id(
    tmp_path: Path,
) -> None:
    with Journal(tmp_path) as journal:
        record(journal, events=2)
        taken = take_all(journal)
        journal.settle(taken[0], None)
    with Journal(tmp_path) as journal:
        (again,) = take_all(journal)
    assert again.event == taken[1].event


@pytest.mark.parametrize("waited_s", [0.0, 9.0, 11.0])
def test_an_event_is_historical_after_ten_seconds_and_in_a_later_run(
    tmp_path: Path, clock: Clock, waited_s: float
) -> None:
    with Journal(tmp_path, monotonic_s=clock) as journal:
        record(journal)
        (taken,) = take_all(journal)
        clock.now_s += waited_s
        assert journal.is_historical(taken) is (waited_s > 10.0)
    clock.now_s = 5.0  # after a reboot
    with Journal(tmp_path, monotonic_s=clock) as journal:
        record(journal)
        earlier, own = take_all(journal)
        assert journal.is_historical(earlier)
        assert not journal.is_historical(own)


def test_an_event_that_is_not_accepted_is_kept_with_the_reason_and_not_taken_again(
    tmp_path: Path,
) -> None:
    with Journal(tmp_path) as journal:
        record(journal, events=2)
        first, second = take_all(journal)
        journal.settle(first, "Packet too large")
        journal.settle(second, None)
        journal.maintain()
        figures = journal.outbox_figures
        assert (figures.waiting, figures.bytes, figures.set_aside) == (0, 0, 1)
    with Journal(tmp_path) as journal:
        assert journal.outbox_figures.set_aside == 1
        assert journal.machines_due == frozenset()
        record(journal)
        assert numbers(take_all(journal)) == [3]
    with sqlite3.connect(tmp_path / FILE_NAME) as database:
        kept = database.execute("SELECT seq, refusal FROM outbox WHERE refusal NOT NULL").fetchall()
    database.close()
    assert kept == [(1, "Packet too large")]


def test_events_that_are_set_aside_are_bounded(tmp_path: Path, disk: Disk) -> None:
    with Journal(tmp_path, connect=disk.connect) as journal:
        record(journal, events=MAX_SET_ASIDE + 5)
        for each in take_all(journal):
            journal.settle(each, "too large")
        journal.maintain()
        assert journal.outbox_figures.set_aside == MAX_SET_ASIDE
    with sqlite3.connect(tmp_path / FILE_NAME) as database:
        assert database.execute("SELECT min(seq), count(*) FROM outbox").fetchone() == (
            6,
            MAX_SET_ASIDE,
        )
    database.close()


def test_a_full_outbox_drops_the_oldest_state_transitions_and_keeps_alarms(tmp_path: Path) -> None:
    with capture_logs() as logs, Journal(tmp_path, max_waiting_bytes=20_000) as journal:
        raise_alarm(journal)
        (oldest,) = journal.take_events("fan01", 1)
        raise_alarm(journal, "pump02")
        record(journal, events=30, why="x" * 1000)
        figures = journal.outbox_figures
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
        figures = journal.outbox_figures
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
        figures = journal.outbox_figures
        assert figures.dropped["state"] + figures.waiting == 23
        assert numbers(taken) == [1, 2, 3]
    with Journal(tmp_path, max_waiting_bytes=5_000) as journal:
        left = take_all(journal)
        assert numbers(left)[:3] == [1, 2, 3]
        settle_all(journal, left)
        assert (journal.outbox_figures.waiting, journal.outbox_figures.bytes) == (0, 0)


def test_events_are_dropped_by_their_age_in_running_time(tmp_path: Path, clock: Clock) -> None:
    day_s = 86_400.0
    with Journal(tmp_path, max_waiting_s=2 * day_s, monotonic_s=clock) as journal:
        record(journal)
        clock.now_s += 1.5 * day_s
        record(journal)
        assert journal.outbox_figures.oldest_s == clock.now_s - 1.5 * day_s
    clock.now_s = 0.0
    with capture_logs(), Journal(tmp_path, max_waiting_s=2 * day_s, monotonic_s=clock) as journal:
        clock.now_s += 1.0 * day_s
        record(journal)
        assert numbers(take_all(journal)) == [2, 3]
        assert journal.outbox_figures.dropped == {"state": 1}


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
        assert journal.outbox_figures.dropped == {}


def test_unwritten_events_are_taken_without_a_number_and_written_once(
    faulty: Journal, disk: Disk
) -> None:
    record(faulty, events=3)
    assert faulty.fault is not None
    taken = take_all(faulty)
    assert numbers(taken) == [1, None, None, None]
    assert take_all(faulty) == []
    faulty.settle(taken[0], None)
    faulty.settle(taken[1], None)
    assert faulty.outbox_figures.waiting == 2
    disk.make_read_only(False)
    faulty.maintain()
    assert faulty.fault is None
    assert take_all(faulty) == [], "an event is with the session already"
    assert faulty.outbox_figures.waiting == 2
    settle_all(faulty, taken[2:])
    assert faulty.outbox_figures.waiting == 0
    record(faulty)
    assert numbers(take_all(faulty)) == [5]


def test_unwritten_events_that_were_not_published_are_counted_at_the_end(faulty: Journal) -> None:
    record(faulty, events=3)
    faulty.settle(take_all(faulty)[1], None)
    assert (faulty.missing.events, faulty.missing.unpublished) == (3, 2)


def test_unwritten_events_are_bounded(tmp_path: Path, disk: Disk) -> None:
    with Journal(tmp_path, max_unwritten=10, connect=disk.connect) as journal:
        record(journal)
        disk.make_read_only(True)
        record(journal, events=5)
        taken = take_all(journal)
        record(journal, events=20)
        assert journal.outbox_figures.dropped == {"state": 10}
        disk.make_read_only(False)
        settle_all(journal, taken)
        assert len(take_all(journal)) == 10
        assert journal.outbox_figures.waiting == 10


@pytest.mark.parametrize("removed", [True, False])
def test_events_wait_in_a_file_that_is_made_anew(tmp_path: Path, removed: bool) -> None:
    with capture_logs(), Journal(tmp_path) as journal:
        record(journal, events=4)
        journal.settle(journal.take_events("fan01", 1)[0], None)
        if removed:
            for file in tmp_path.glob(f"{FILE_NAME}*"):
                file.unlink()
        else:
            (tmp_path / "other").write_bytes(b"no database" * 1000)
            (tmp_path / "other").replace(tmp_path / FILE_NAME)
        journal.maintain()
        record(journal)
        assert numbers(take_all(journal)) == [2, 3, 4, 5]
    with Journal(tmp_path) as journal:
        assert numbers(take_all(journal)) == [2, 3, 4, 5]


def flip(path: Path, before: bytes, after: bytes) -> None:
    content = path.read_bytes()
    assert before in content
    path.write_bytes(content.replace(before, after))


def test_a_damaged_row_costs_its_event_only(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        for why in ("first cause", "second cause", "third cause"):
            record(journal, why=why)
    database = sqlite3.connect(tmp_path / FILE_NAME)
    database.execute("UPDATE outbox SET why = 'another cause' WHERE seq = 2")
    database.commit()
    database.close()
    with capture_logs() as logs, Journal(tmp_path) as journal:
        assert numbers(take_all(journal)) == [1, 3]
        assert journal.outbox_figures.waiting == 2
    assert logs[0]["damaged_rows"] == 1


def test_a_row_that_is_damaged_while_the_daemon_runs_is_set_aside(tmp_path: Path) -> None:
    with capture_logs() as logs, Journal(tmp_path) as journal:
        record(journal, events=3)
        assert journal._database is not None
        journal._database.execute("UPDATE outbox SET why = 'another cause' WHERE seq = 2")
        assert numbers(take_all(journal)) == [1, 3]
        assert journal.outbox_figures.waiting == 2
    (entry,) = logs
    assert (entry["log_level"], entry["seq"]) == ("error", 2)


@pytest.mark.parametrize("table", ["machines", "events"])
def test_numbers_are_not_repeated_after_damage(tmp_path: Path, table: str) -> None:
    with Journal(tmp_path) as journal:
        record(journal, events=7)
        settle_all(journal, journal.take_events("fan01", 5))
    database = sqlite3.connect(tmp_path / FILE_NAME)
    database.execute(f"UPDATE {table} SET seq = seq - 1 WHERE seq = 7")  # noqa: S608
    database.commit()
    database.close()
    with capture_logs(), Journal(tmp_path) as journal:
        record(journal)
        waiting = take_all(journal)
        assert numbers(waiting) == [6, 7, 8]
        assert [journal.is_historical(each) for each in waiting] == [True, True, False]


@pytest.mark.parametrize("position", [0, 20, 28, 56, 100, 108, 400, 3000])
def test_damage_of_the_first_page_loses_no_event(tmp_path: Path, position: int) -> None:
    with Journal(tmp_path) as journal:
        record(journal, events=40)
    path = tmp_path / FILE_NAME
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)
    with capture_logs(), Journal(tmp_path) as journal:
        assert numbers(take_all(journal)) == list(range(1, 41))
        record(journal)
        assert numbers(take_all(journal)) == [41]


class OutboxOfRuns(RuleBasedStateMachine):
    """Runs of the daemon that end at any time; the broker receives what the session has."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.copies = 0
        self.recorded: dict[str, list[str]] = {machine: [] for machine in MACHINES}
        self.received: dict[str, list[str]] = {machine: [] for machine in MACHINES}
        self.numbers: dict[str, dict[str, int]] = {machine: {} for machine in MACHINES}
        self.disk = Disk()
        self.faulty = False
        self.begin()

    def begin(self) -> None:
        self.journal = Journal(self.folder / str(self.copies), connect=self.disk.connect)
        self.session: dict[str, list[WaitingEvent]] = {machine: [] for machine in MACHINES}

    def teardown(self) -> None:
        self.journal.close()
        shutil.rmtree(self.folder)

    @rule(machine=st.sampled_from(MACHINES), events=st.integers(1, 3))
    def record(self, machine: str, events: int) -> None:
        writer = MachineJournal(self.journal, machine)
        for _ in range(events):
            event = writer.record(state_transition(), NOW, "v1")
            self.recorded[machine].append(event.id)

    @rule(machine=st.sampled_from(MACHINES))
    def take(self, machine: str) -> None:
        held = self.session[machine]
        held += self.journal.take_events(machine, WINDOW - len(held))
        ids = [each.event.id for each in held]
        assert len(set(ids)) == len(ids)

    @rule(machine=st.sampled_from(MACHINES), acknowledged=st.booleans())
    def send(self, machine: str, acknowledged: bool) -> None:
        if not self.session[machine]:
            return
        waiting = self.session[machine][0]
        event, received = waiting.event, self.received[machine]
        order = self.recorded[machine]
        newest = max((order.index(id_) for id_ in received), default=-1)
        assert event.id in received or order.index(event.id) == newest + 1, "lost or not in order"
        if event.seq is not None:
            known = self.numbers[machine].setdefault(event.id, event.seq)
            assert known == event.seq
            assert list(self.numbers[machine].values()).count(event.seq) == 1, "a number repeats"
        received.append(event.id)
        if acknowledged:
            del self.session[machine][0]
            self.journal.settle(waiting, None)

    @rule()
    def maintain(self) -> None:
        self.journal.maintain()

    @precondition(lambda self: not self.faulty)
    @rule(clean=st.booleans())
    def restart(self, clean: bool) -> None:
        """Begin a new run, after a clean stop or on a copy as a killed process leaves it."""
        if clean:
            self.journal.close()
        else:
            before = self.folder / str(self.copies)
            self.copies += 1
            ignore = shutil.ignore_patterns("*-shm")
            shutil.copytree(before, self.folder / str(self.copies), ignore=ignore)
            self.journal.close()
        self.begin()

    @rule(faulty=st.booleans())
    def change_disk(self, faulty: bool) -> None:
        self.faulty = faulty
        self.disk.make_read_only(faulty)
        self.journal.maintain()

    @precondition(lambda self: not self.faulty)
    @rule()
    def deliver(self) -> None:
        for machine in MACHINES:
            while self.session[machine] or machine in self.journal.machines_due:
                self.take(machine)
                self.send(machine, acknowledged=True)
            assert list(dict.fromkeys(self.received[machine])) == self.recorded[machine]
        self.journal.maintain()
        assert self.journal.outbox_figures.waiting == 0
        assert self.journal.outbox_figures.bytes == 0

    @invariant()
    def nothing_is_dropped(self) -> None:
        assert not self.journal.dropped
        assert self.journal.outbox_figures.dropped == {}


TestOutboxOfRuns = OutboxOfRuns.TestCase
TestOutboxOfRuns.settings = settings(max_examples=15, stateful_step_count=30, deadline=None)


def test_events_that_cannot_be_read_are_reported(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    record(journal)
    journal.close()
    with pytest.raises(JournalError, match="closed"):
        take_all(journal)
