"""Requests of people: applied once, with their outcome, whatever happens to process and file."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from asd_monitor.journal.commands import make_request, outcome_of, read_journal
from asd_monitor.journal.journal_file import FILE_NAME
from asd_monitor.journal.machine_journal import MachineJournal
from asd_monitor.journal.machine_requests import MachineRequests
from asd_monitor.journal.requests import (
    MAX_REQUESTS,
    OutcomeEntry,
    Request,
    TooManyRequestsError,
    Verb,
)
from asd_monitor.journal.store import Journal
from tests.doubles.journal_outbox import Disk
from tests.doubles.journalled_machine import (
    FAN_ALARM,
    NOW,
    RAISED,
    RETURNED,
    JournalledMachine,
    acknowledgement,
    apply_requests,
)

HOUR = timedelta(hours=1)


def ask(
    fan: JournalledMachine,
    verb: Verb,
    *,
    alarm_id: str | None = FAN_ALARM,
    who: str = "ann",
    why: str | None = "a test",
    until: datetime | None = None,
    label: str | None = None,
) -> str:
    """Make a request and apply it; return its outcome, with a mark where it was refused."""
    arguments = {} if until is None else {"until": until.isoformat()}
    arguments |= {} if label is None else {"label": label}
    request = Request(verb, "fan01", who, fan.now, alarm_id=alarm_id, why=why, arguments=arguments)
    state = fan.journal.path.parent
    make_request(state, request)
    fan.journal.maintain()
    fan.apply()
    settled = outcome_of(state, request.id)
    assert settled is not None
    assert settled.outcome is not None
    return settled.outcome if settled.accepted else f"refused: {settled.outcome}"


def raised(journal: Journal, *, latch: bool = True) -> JournalledMachine:
    fan = JournalledMachine(journal, latch=latch)
    fan.play(8.0, 20)
    return fan


def condition(fan: JournalledMachine) -> str:
    """Return the condition of the newest alarm, which is the same in memory and in the file."""
    (stored, *_) = fan.journal.alarms("fan01")
    assert stored == fan.machine.newest
    assert fan.monitor.alarm is not None
    assert fan.monitor.alarm.condition is stored.condition
    return stored.condition


def path_of(journal: Journal, alarm_id: str = FAN_ALARM) -> list[tuple[str, str | None]]:
    return [(event.after, event.who) for event in journal.events(alarm_id)]


def test_shelving_is_applied_with_its_time_and_its_event(journal: Journal) -> None:
    fan = raised(journal)
    until = fan.now + HOUR
    assert ask(fan, Verb.SHELVE, until=until) == (
        f"{FAN_ALARM}: shelved until 2026-11-23T05:45:20.512Z by ann"
    )
    assert condition(fan) == "shelved"
    newest = fan.machine.newest
    assert newest is not None
    assert (newest.shelved_until, newest.acknowledged) == (until, False)
    event = journal.events(FAN_ALARM)[-1]
    assert (event.who, event.why) == ("ann", "shelved until 2026-11-23T05:45:20.512Z: a test")
    assert "already shelved" in ask(fan, Verb.SHELVE, until=until)
    assert len(journal.events(FAN_ALARM)) == 2
    assert ask(fan, Verb.SHELVE, until=until + HOUR).startswith(FAN_ALARM)
    assert [after for after, _ in path_of(journal)] == ["unacknowledged", "shelved", "shelved"]


def test_a_shelf_expires_at_its_time_and_the_alarm_is_unacknowledged(journal: Journal) -> None:
    fan = raised(journal)
    ask(fan, Verb.ACK)
    ask(fan, Verb.SHELVE, until=fan.now + HOUR)
    fan.now += HOUR - timedelta(seconds=1)
    assert fan.expire() == []
    fan.now += timedelta(seconds=1)
    assert fan.expire() == ["shelved→unacknowledged"]
    assert condition(fan) == "unacknowledged"
    newest = fan.machine.newest
    assert newest is not None
    assert (newest.acknowledged, newest.who, newest.shelved_until) == (False, None, None)
    assert newest.reason is not None
    assert newest.reason.startswith("alarm score at least")


YEAR = timedelta(days=365)


class RunningTime:
    """A monotonic clock."""

    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.mark.parametrize("length", [HOUR, 7 * 24 * HOUR])
@pytest.mark.parametrize("back", [timedelta(seconds=3), YEAR])
@pytest.mark.parametrize("is_restarted", [False, True])
def test_a_shelf_lasts_for_its_length_where_the_clock_is_set_back(
    tmp_path: Path, length: timedelta, back: timedelta, is_restarted: bool
) -> None:
    running = RunningTime()
    with Journal(tmp_path, monotonic_s=running) as journal:
        fan = raised(journal)
        ask(fan, Verb.SHELVE, until=fan.now + length)
        now = fan.now - back
        if not is_restarted:
            expect_end(fan, running, now, length)
    if is_restarted:
        with Journal(tmp_path, monotonic_s=running) as journal:
            expect_end(JournalledMachine(journal), running, now, length)


def expect_end(
    fan: JournalledMachine, running: RunningTime, now: datetime, length: timedelta
) -> None:
    fan.now = now
    assert fan.expire() == []
    running.now_s += length.total_seconds() - 1
    assert fan.expire() == []
    running.now_s += 1
    assert fan.expire() == ["shelved→unacknowledged"]
    event = fan.journal.events(FAN_ALARM)[-1]
    hours = round(length / HOUR)
    assert event.why.startswith(
        f"the shelving has expired after {hours}.0 h: by the clock, which was set back, it would"
    )


def test_a_shelf_ends_at_its_time_after_a_start_with_a_clock_that_is_behind(
    tmp_path: Path,
) -> None:
    with Journal(tmp_path) as journal:
        fan = raised(journal)
        until = fan.now + 2 * HOUR
        ask(fan, Verb.SHELVE, until=until)
    with Journal(tmp_path) as journal:
        fan = JournalledMachine(journal)
        fan.now = until - YEAR
        assert fan.expire() == []
        fan.now = until - timedelta(seconds=1)  # it is set
        assert fan.expire() == []
        fan.now = until
        assert fan.expire() == ["shelved→unacknowledged"]


def test_a_shelf_asked_while_the_clock_was_ahead_is_refused(journal: Journal) -> None:
    fan = raised(journal)
    ahead = fan.now + timedelta(days=365)
    until = {"until": (ahead + HOUR).isoformat()}
    asked = Request(Verb.SHELVE, "fan01", "ann", ahead, alarm_id=FAN_ALARM, arguments=until)
    journal.add_request(asked)
    assert fan.apply() == []
    settled = outcome_of(journal.path.parent, asked.id)
    assert settled is not None
    assert "the longest time is 7 days" in (settled.outcome or "")


def test_an_alarm_that_is_unshelved_is_acknowledged_by_that_person(journal: Journal) -> None:
    fan = raised(journal)
    ask(fan, Verb.SHELVE, until=fan.now + HOUR)
    assert "unshelved and acknowledged by bob" in ask(fan, Verb.UNSHELVE, who="bob")
    assert condition(fan) == "acknowledged"
    assert fan.machine.newest is not None
    assert fan.machine.newest.who == "bob"
    assert "is not shelved" in ask(fan, Verb.UNSHELVE)


def test_a_hidden_alarm_is_not_acknowledged(journal: Journal) -> None:
    fan = raised(journal)
    ask(fan, Verb.SHELVE, until=fan.now + HOUR)
    assert "it is shelved: unshelve it" in ask(fan, Verb.ACK)
    ask(fan, Verb.OUT_OF_SERVICE, alarm_id=None)
    for verb in (Verb.ACK, Verb.SHELVE):
        answer = ask(fan, verb, until=fan.now + HOUR)
        assert answer.startswith("refused")
        assert "return the machine to service first" in answer


def test_out_of_service_is_of_the_machine_and_kept_over_a_restart(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        fan = raised(journal)
        assert ask(fan, Verb.OUT_OF_SERVICE, alarm_id=None, why=None).startswith("refused")
        assert "taken out of service by ann" in ask(fan, Verb.OUT_OF_SERVICE, alarm_id=None)
        assert condition(fan) == "out_of_service"
        assert "already out of service by ann" in ask(fan, Verb.OUT_OF_SERVICE, alarm_id=None)
    with Journal(tmp_path) as journal:
        fan = JournalledMachine(journal)
        service = fan.machine.out_of_service
        assert service is not None
        assert (service.who, service.why) == ("ann", "a test")
        assert not fan.monitor.in_service
        fan.play(0.5, 60)
        assert condition(fan) == "out_of_service_returned"
        fan.play(9.0, 60)
        assert condition(fan) == "out_of_service"
        assert "returned to service" in ask(fan, Verb.IN_SERVICE, alarm_id=None)
        assert condition(fan) == "unacknowledged"
        assert ask(fan, Verb.IN_SERVICE, alarm_id=None) == "fan01 is in service"
        assert journal.out_of_service("fan01") is None
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as database, database:
        rows = database.execute(
            'SELECT "from", "to", who FROM events WHERE kind = ?', ("service",)
        ).fetchall()
    database.close()
    assert rows == [
        ("in_service", "out_of_service", "ann"),
        ("out_of_service", "in_service", "ann"),
    ]


def test_the_outcome_says_what_becomes_of_the_alarm_of_the_machine(journal: Journal) -> None:
    fan = raised(journal)
    fan.play(0.5, 60)
    assert condition(fan) == "latched"
    taken = ask(fan, Verb.OUT_OF_SERVICE, alarm_id=None)
    assert (
        taken == f"fan01: taken out of service by ann; alarm {FAN_ALARM} is hidden until it returns"
    )
    assert ask(fan, Verb.IN_SERVICE, alarm_id=None, who="bob") == (
        f"fan01: returned to service by bob; alarm {FAN_ALARM} is closed, and acknowledged by that:"
        " its sound is normal"
    )
    assert fan.machine.newest is not None
    assert (condition(fan), fan.machine.newest.who) == ("normal", "bob")
    assert ask(fan, Verb.OUT_OF_SERVICE, alarm_id=None) == "fan01: taken out of service by ann"
    assert ask(fan, Verb.IN_SERVICE, alarm_id=None) == "fan01: returned to service by ann"


def test_the_outcome_says_that_an_acknowledged_alarm_is_unacknowledged_again(
    journal: Journal,
) -> None:
    fan = raised(journal)
    ask(fan, Verb.ACK)
    ask(fan, Verb.OUT_OF_SERVICE, alarm_id=None)
    assert ask(fan, Verb.IN_SERVICE, alarm_id=None, who="bob") == (
        f"fan01: returned to service by bob; alarm {FAN_ALARM} is unacknowledged: its sound is"
        " abnormal"
    )
    fan.play(9.0, 1)
    ask(fan, Verb.ACK)
    ask(fan, Verb.OUT_OF_SERVICE, alarm_id=None)
    fan.play(0.5, 60)
    closed = ask(fan, Verb.IN_SERVICE, alarm_id=None, who="bob")
    assert closed.endswith(f"alarm {FAN_ALARM} is closed: its sound is normal")
    assert fan.machine.newest is not None
    assert fan.machine.newest.who == "ann"


def test_an_alarm_in_normal_sound_is_closed_when_it_is_unshelved(journal: Journal) -> None:
    fan = raised(journal)
    ask(fan, Verb.SHELVE, until=fan.now + HOUR)
    fan.play(0.5, 60)
    assert ask(fan, Verb.UNSHELVE, who="bob") == (
        f"{FAN_ALARM}: unshelved and acknowledged by bob; its sound is normal, and it is closed"
    )
    assert condition(fan) == "normal"


def test_a_machine_without_an_alarm_raises_none_out_of_service(journal: Journal) -> None:
    fan = JournalledMachine(journal)
    ask(fan, Verb.OUT_OF_SERVICE, alarm_id=None)
    fan.play(9.0, 60)
    assert journal.alarms() == []
    ask(fan, Verb.IN_SERVICE, alarm_id=None)
    fan.play(9.0, 0.5)
    assert [alarm.condition for alarm in journal.alarms()] == ["unacknowledged"]


def test_out_of_service_outlives_the_file_and_the_damage_of_its_row(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        fan = raised(journal)
        ask(fan, Verb.OUT_OF_SERVICE, alarm_id=None)
        (tmp_path / FILE_NAME).unlink()
        journal.maintain()
        assert journal.fault is None
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as database, database:
        assert database.execute("SELECT out_who FROM machines").fetchall() == [("ann",)]
    database.close()


def test_a_damaged_row_of_a_machine_does_not_return_it_to_service(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        ask(raised(journal), Verb.OUT_OF_SERVICE, alarm_id=None)
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as database, database:
        database.execute("UPDATE machines SET out_since = NULL")
    database.close()
    with Journal(tmp_path) as journal:
        service = journal.out_of_service("fan01")
        assert service is not None
        assert (service.who, service.why) == ("ann", "a test")


def test_a_late_request_does_not_change_a_newer_alarm(journal: Journal) -> None:
    fan = raised(journal, latch=False)
    fan.play(0.5, 60)
    fan.play(8.0, 20)
    newest = fan.machine.newest
    assert newest is not None
    assert newest.id != FAN_ALARM
    answer = ask(fan, Verb.SHELVE, until=fan.now + HOUR)
    assert answer.startswith(f"refused: {FAN_ALARM} is not changed: it is not the newest alarm")
    assert "acknowledged by ann" in ask(fan, Verb.ACK)
    assert "already acknowledged by ann" in ask(fan, Verb.ACK)
    assert condition(fan) == "unacknowledged"
    earlier = journal.find(FAN_ALARM)
    assert earlier is not None
    assert earlier.closed


def raised_again(fan: JournalledMachine) -> datetime:
    """Have an acknowledged alarm raised again by worse sound; return the time before that."""
    ask(fan, Verb.ACK)
    newest, before = fan.machine.newest, fan.now
    fan.now += timedelta(seconds=5)
    fan.play(12.0, 10)
    assert condition(fan) == "unacknowledged"
    again = fan.machine.newest
    assert newest is not None
    assert again is not None
    assert (again.id, again.raised) == (newest.id, newest.raised)
    assert again.reason != newest.reason
    return before


@pytest.mark.parametrize("verb", [Verb.ACK, Verb.SHELVE])
def test_a_request_from_before_an_alarm_was_raised_again_is_refused(
    tmp_path: Path, verb: Verb
) -> None:
    with Journal(tmp_path) as journal:
        fan = raised(journal)
        before = raised_again(fan)
        now = fan.now
    with Journal(tmp_path) as journal:
        fan = JournalledMachine(journal)
        until = now + HOUR
        journal.add_request(
            Request(
                verb,
                "fan01",
                "bob",
                before,
                alarm_id=FAN_ALARM,
                why="seen",
                arguments={"until": until.isoformat()},
                id="late",
            )
        )
        fan.now = now
        assert fan.apply() == []
        late = outcome_of(tmp_path, "late")
        assert late is not None
        assert not late.accepted
        assert "unacknowledged again since" in (late.outcome or "")
        assert "acknowledged by ann" in ask(fan, Verb.ACK)


def test_an_alarm_raised_again_while_the_clock_was_ahead_can_be_acknowledged(
    journal: Journal,
) -> None:
    fan = raised(journal)
    fan.now += timedelta(days=365)
    raised_again(fan)
    fan.now -= timedelta(days=365)
    assert "acknowledged by ann" in ask(fan, Verb.ACK)


def test_an_old_alarm_can_be_labelled(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        fan = raised(journal, latch=False)
        ask(fan, Verb.ACK)
        fan.play(0.5, 60)
        fan.play(8.0, 20)
    with Journal(tmp_path) as journal:
        fan = JournalledMachine(journal, latch=False)
        newest = fan.machine.newest
        assert "labelled invalid" in ask(fan, Verb.LABEL, label="invalid", why="a door")
        assert "already labelled invalid" in ask(fan, Verb.LABEL, label="invalid", why="a door")
        assert fan.machine.newest == newest
        assert journal.newest("fan01") == newest
        found = journal.find(FAN_ALARM)
        assert found is not None
        assert (found.label, found.label_why, found.labelled_by) == ("invalid", "a door", "ann")
        assert len(journal.alarms()) == 2


@pytest.mark.parametrize(
    ("after_s", "message"),
    [(-1.0, "give a later time"), (30.0, "the shortest time"), (8 * 86400.0, "the longest time")],
)
def test_a_shelf_is_between_a_minute_and_seven_days(
    journal: Journal, after_s: float, message: str
) -> None:
    fan = raised(journal)
    answer = ask(fan, Verb.SHELVE, until=fan.now + timedelta(seconds=after_s))
    assert answer.startswith("refused")
    assert message in answer
    assert condition(fan) == "unacknowledged"


def test_a_request_waits_for_the_next_start(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        fan = MachineJournal(journal, "fan01")
        fan.record(RAISED, NOW, "v1")
        fan.record(RETURNED, NOW, "v1")
    request = Request(Verb.ACK, "fan01", "ann", NOW + HOUR, alarm_id=FAN_ALARM)
    make_request(tmp_path, request)
    make_request(tmp_path, request)
    with Journal(tmp_path) as journal:
        fan = MachineJournal(journal, "fan01")
        (event,) = apply_requests(fan, NOW + 2 * HOUR)
        assert (event.after, event.who) == ("normal", "ann")
        assert apply_requests(fan, NOW + 2 * HOUR) == []
        (alarm,) = journal.alarms()
        assert (alarm.closed, alarm.acknowledged_at) == (True, NOW + HOUR)


def test_change_and_outcome_are_written_in_one_transaction(tmp_path: Path) -> None:
    """A copy of the files after each transaction is what a kill leaves."""
    with Journal(tmp_path) as journal:
        fan = raised(journal)
        request = Request(Verb.OUT_OF_SERVICE, "fan01", "ann", fan.now, why="belt")
        make_request(tmp_path, request)
        states: list[Path] = []
        write = journal.write

        def write_and_copy(change: object) -> bool:
            written = write(change)  # type: ignore[arg-type]
            copy = tmp_path / f"copy{len(states)}"
            copy.mkdir()
            for name in (FILE_NAME, f"{FILE_NAME}-wal"):
                shutil.copy(tmp_path / name, copy / name)
            states.append(copy)
            return written

        journal.write = write_and_copy  # type: ignore[method-assign]
        fan.apply()
        journal.write = write  # type: ignore[method-assign]
    (killed,) = states
    settled = outcome_of(killed, request.id)
    assert settled is not None
    assert settled.accepted
    content = read_journal(killed)
    assert content is not None
    assert content.out_of_service.keys() == {"fan01"}
    assert [alarm.condition for alarm in content.alarms] == ["out_of_service"]
    assert len(content.all_events()) == 5  # two of the raise, three of the request


def test_a_request_whose_outcome_cannot_be_written_is_applied_once(tmp_path: Path) -> None:
    disk = Disk()
    with Journal(tmp_path, connect=disk.connect) as journal:
        fan = raised(journal)
        for verb in (Verb.OUT_OF_SERVICE, Verb.IN_SERVICE):
            make_request(tmp_path, Request(verb, "fan01", "ann", fan.now, why="belt"))
        disk.make_read_only(True)
        path = ["unacknowledged→out_of_service", "out_of_service→unacknowledged"]
        assert fan.apply() == path
        assert fan.apply() == []
        assert MachineRequests(fan.machine).apply(fan.monitor, fan.now, "v1") == []  # new session
        disk.make_read_only(False)
        journal.maintain()
        assert journal.waiting_requests("fan01") == []
        assert fan.apply() == []
        assert path_of(journal) == [
            ("unacknowledged", None),
            ("out_of_service", "ann"),
            ("unacknowledged", "ann"),
        ]


def test_a_request_whose_outcome_was_given_up_is_not_applied_again(tmp_path: Path) -> None:
    disk = Disk()
    with Journal(tmp_path, connect=disk.connect, max_unwritten=4) as journal:
        fan = raised(journal)
        make_request(tmp_path, acknowledgement())
        disk.make_read_only(True)
        assert fan.apply() == ["unacknowledged→acknowledged"]
        for _ in range(3):
            fan.play(0.0, 30)
            fan.play(8.0, 10)
        assert journal.dropped_kinds["outcome of a request"] > 0
        assert fan.apply() == []


def test_a_listener_gets_each_outcome_once_it_is_written(tmp_path: Path) -> None:
    disk = Disk()
    outcomes: list[OutcomeEntry] = []
    with Journal(tmp_path, connect=disk.connect) as journal:
        journal.listen(outcomes.append)
        fan = raised(journal)
        asked = Request(Verb.OUT_OF_SERVICE, "fan01", "ann", fan.now, why="belt")
        journal.add_request(asked)
        disk.make_read_only(True)
        fan.apply()
        assert outcomes == []
        disk.make_read_only(False)
        journal.maintain()
        outcome = (
            "fan01: taken out of service by ann;"
            " alarm fan01-20261123T044500Z is hidden until it returns"
        )
        written = OutcomeEntry(asked.id, outcome, accepted=True)
        assert outcomes == [written]
        fan.apply()
        journal.maintain()
        assert outcomes == [written]


def test_requests_are_bounded(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        MachineJournal(journal, "fan01")
        asked = [
            Request(Verb.IN_SERVICE, "fan01", "ann", NOW, why=str(number))
            for number in range(MAX_REQUESTS)
        ]
        make_request(tmp_path, *asked)
        with pytest.raises(TooManyRequestsError, match="1000 requests wait for the daemon"):
            journal.add_request(Request(Verb.IN_SERVICE, "fan01", "ann", NOW))
        journal.write([OutcomeEntry(asked[0].id, "done", accepted=True)])
        journal.write([OutcomeEntry(asked[1].id, "done", accepted=True)])
        newest = Request(Verb.IN_SERVICE, "fan01", "ann", NOW)
        journal.add_request(newest)
        assert outcome_of(tmp_path, asked[0].id) is None
        assert outcome_of(tmp_path, asked[1].id) is not None
        day_later = Request(Verb.IN_SERVICE, "fan01", "ann", NOW + timedelta(days=1, seconds=1))
        journal.add_request(day_later)
        assert outcome_of(tmp_path, asked[1].id) is None
        assert len(journal.waiting_requests("fan01")) == MAX_REQUESTS


def test_requests_that_are_made_together_are_all_added_or_none(tmp_path: Path) -> None:
    def asked(count: int) -> list[Request]:
        return [Request(Verb.IN_SERVICE, "fan01", "ann", NOW) for _ in range(count)]

    with Journal(tmp_path) as journal:
        MachineJournal(journal, "fan01")
        make_request(tmp_path, *asked(MAX_REQUESTS - 1))
        with pytest.raises(TooManyRequestsError, match="999 requests wait for the daemon"):
            make_request(tmp_path, *asked(2))
        assert len(journal.waiting_requests("fan01")) == MAX_REQUESTS - 1
        same = journal.waiting_requests("fan01")[:5]
        make_request(tmp_path, *same, *asked(1))
        assert len(journal.waiting_requests("fan01")) == MAX_REQUESTS


def test_a_damaged_request_is_set_aside(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        MachineJournal(journal, "fan01").record(RAISED, NOW, "v1")
    make_request(tmp_path, Request(Verb.ACK, "fan01", "ann", NOW, alarm_id=FAN_ALARM))
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as database, database:
        database.execute("UPDATE requests SET who = 'bob'")
    database.close()
    with Journal(tmp_path) as journal:
        assert apply_requests(MachineJournal(journal, "fan01")) == []
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as database, database:
        assert database.execute("SELECT count(*) FROM requests").fetchone() == (0,)
        assert database.execute("SELECT place FROM damaged_rows").fetchall() == [("requests",)]
    database.close()


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
