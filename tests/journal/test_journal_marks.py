"""Sound that is marked as normal: decided once, recorded with its event, withdrawn, bounded."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from asd_monitor.alarm.state import AlarmCondition
from asd_monitor.commissioning.kept_sound import KeptSound
from asd_monitor.commissioning.store_errors import CommissioningStoreError
from asd_monitor.journal import normal_spans as normal_spans_module
from asd_monitor.journal.alarm_records import AlarmRecord
from asd_monitor.journal.commands import make_request, outcome_of, read_journal
from asd_monitor.journal.journal_file import FILE_NAME
from asd_monitor.journal.machine_journal import MachineJournal
from asd_monitor.journal.machine_requests import MachineRequests
from asd_monitor.journal.mark_decisions import decide_on_mark
from asd_monitor.journal.requests import Request, Verb
from asd_monitor.journal.store import Journal
from tests.doubles.journalled_machine import FAN_ALARM, NOW, JournalledMachine

KEPT = KeptSound(4, 1)
DAY = timedelta(days=1)


class Stored:
    """What is kept of the sound of fan01; `asked` are the spans of which that was asked."""

    def __init__(self, kept: KeptSound | None = KEPT) -> None:
        self.kept = kept
        self.asked: list[tuple[str, datetime, datetime]] = []

    def __call__(self, state: Path, machine: str, begin: datetime, end: datetime) -> KeptSound:
        assert (state / FILE_NAME).exists()
        self.asked.append((machine, begin, end))
        if self.kept is None:
            raise CommissioningStoreError("the disk is broken")
        return self.kept


def ask(
    fan: JournalledMachine,
    stored: Stored,
    *,
    alarm_id: str | None = FAN_ALARM,
    why: str | None = "a new filter",
    withdraw: bool = False,
    span: tuple[datetime, datetime] | None = None,
) -> str:
    """Make a request and apply it; return its outcome, with a mark where it was refused."""
    arguments = {"withdraw": "true"} if withdraw else {}
    if span is not None:
        alarm_id = None
        arguments |= {"from": span[0].isoformat(), "to": span[1].isoformat()}
    request = Request(Verb.MARK_NORMAL, "fan01", "ann", fan.now, alarm_id, why, arguments)
    make_request(fan.journal.path.parent, request)
    fan.journal.maintain()
    fan.requests = MachineRequests(fan.machine, stored)
    fan.apply()
    settled = outcome_of(fan.journal.path.parent, request.id)
    assert settled is not None
    assert settled.outcome is not None
    return settled.outcome if settled.accepted else f"refused: {settled.outcome}"


def raised(journal: Journal) -> JournalledMachine:
    fan = JournalledMachine(journal, latch=False)
    fan.play(8.0, 20)
    return fan


def test_the_sound_of_an_active_alarm_is_marked_up_to_now(journal: Journal) -> None:
    fan, stored = raised(journal), Stored()
    answer = ask(fan, stored)
    assert answer == (
        f"{FAN_ALARM}: marked as normal by ann; 40 s of live sound is kept: `asd-monitor models "
        "refit fan01` makes a candidate with it"
    )
    record = fan.machine.newest
    assert record is not None
    assert (record.label, record.label_why, record.labelled_by) == (
        "invalid",
        "a new filter",
        "ann",
    )
    assert record.active
    (span,) = journal.normal_spans("fan01")
    begin = record.raised - timedelta(seconds=fan.monitor.rule.on_delay_s)
    assert (span.begin, span.end, span.alarm_id) == (begin, fan.now, FAN_ALARM)
    assert (span.who, span.why, span.time) == ("ann", "a new filter", fan.now)
    assert stored.asked == [("fan01", begin, fan.now)]
    event = journal.events(FAN_ALARM)[-1]
    assert (event.kind, event.before, event.after) == ("mark", "not_marked", "marked_normal")
    assert (event.who, event.why, event.alarm_id) == ("ann", "a new filter", FAN_ALARM)
    assert journal.outbox.figures.waiting == 3  # of state, alarm and mark
    # a longer alarm is marked anew, and once it has ended that is all
    fan.play(8.0, 20)
    assert "marked as normal" in ask(fan, stored)
    for _ in range(60):
        fan.play(0.0, 1)
    ended = fan.machine.newest
    assert ended is not None
    assert ended.cleared is not None
    assert "marked as normal by ann; 40 s" in ask(fan, stored)
    (longer,) = journal.normal_spans("fan01")
    assert (longer.id, longer.end) == (span.id, ended.cleared)
    assert ask(fan, stored) == f"{FAN_ALARM}: already marked as normal by ann"


def test_the_sound_of_a_valid_alarm_is_not_marked(journal: Journal) -> None:
    fan = raised(journal)
    label = Request(
        Verb.LABEL, "fan01", "bob", fan.now, FAN_ALARM, "outer race", {"label": "valid"}
    )
    journal.requests.add(label)
    fan.apply()
    answer = ask(fan, Stored())
    assert answer.startswith(f"refused: {FAN_ALARM} is not marked: it is labelled valid by bob")
    assert f"asd-monitor alarms label {FAN_ALARM} invalid" in answer
    assert journal.normal_spans("fan01") == []


def test_a_mark_is_withdrawn(journal: Journal) -> None:
    fan, stored = raised(journal), Stored()
    assert "is not marked as normal" in ask(fan, stored, withdraw=True)
    ask(fan, stored)
    assert "the mark is withdrawn by ann" in ask(fan, stored, withdraw=True, why="a mistake")
    assert journal.normal_spans("fan01") == []
    event = journal.events(FAN_ALARM)[-1]
    assert (event.before, event.after, event.why) == ("marked_normal", "not_marked", "a mistake")
    span = fan.now - timedelta(minutes=5), fan.now - timedelta(minutes=3)
    ask(fan, stored, span=span)
    assert len(journal.normal_spans("fan01")) == 1
    ask(fan, stored, span=span, withdraw=True)
    assert journal.normal_spans("fan01") == []


def test_a_span_of_a_machine_is_marked_without_an_alarm(journal: Journal) -> None:
    fan, stored = raised(journal), Stored()
    begin, end = fan.now - 2 * DAY, fan.now - 2 * DAY + timedelta(hours=1)
    assert "40 s of live sound and the sound of 1 alarm is kept" in ask(
        fan, stored, span=(begin, end)
    )
    (span,) = journal.normal_spans("fan01")
    assert (span.begin, span.end, span.alarm_id) == (begin, end, None)
    assert fan.machine.newest is not None
    assert fan.machine.newest.label is None
    assert "already marked" in ask(fan, stored, span=(begin, end))


@pytest.mark.parametrize(
    ("begin_h", "end_h", "reason"),
    [
        (-1, 1, "its end lies in the future: give an earlier time"),
        (-31 * 24, -30.5 * 24, "is more than 30 days ago, and older sound is not kept"),
        (-26, -1, "longer than a day: mark shorter spans"),
        (-1, -2, "give two times, the earlier one first"),
        (-1, -0.998, "shorter than ten seconds"),
    ],
)
def test_a_span_that_cannot_be_marked_is_refused(
    journal: Journal, begin_h: float, end_h: float, reason: str
) -> None:
    fan = raised(journal)
    span = fan.now + timedelta(hours=begin_h), fan.now + timedelta(hours=end_h)
    answer = ask(fan, Stored(), span=span)
    assert answer.startswith("refused: fan01")
    assert reason in answer
    assert journal.normal_spans("fan01") == []
    assert fan.machine.newest is not None
    assert fan.machine.newest.label is None


def test_without_a_reason_or_an_alarm_nothing_is_marked(journal: Journal) -> None:
    fan = raised(journal)
    assert ask(fan, Stored(), why=None) == "refused: nothing is marked: say why"
    span = fan.now - timedelta(minutes=3), fan.now
    request = Request(Verb.MARK_NORMAL, "fan01", "ann", fan.now, "fan01-x", "why")
    journal.requests.add(request)
    fan.apply()
    settled = outcome_of(journal.path.parent, request.id)
    assert settled is not None
    assert settled.outcome == "fan01 has no alarm fan01-x: see `alarms list --all`"
    request = Request(Verb.MARK_NORMAL, "fan01", "ann", fan.now, None, "why", {"from": "x"})
    journal.requests.add(request)
    fan.apply()
    assert journal.normal_spans("fan01") == []
    assert span[0] < span[1]


def test_a_span_of_which_nothing_is_kept_is_refused_once_it_would_be_stored(
    journal: Journal,
) -> None:
    fan, nothing = raised(journal), Stored(KeptSound(0, 0))
    answer = ask(fan, nothing)
    assert "none of its sound is stored yet, which takes some minutes" in answer
    fan.play(0.0, 60)
    fan.now += timedelta(hours=1)
    ended = ask(fan, nothing, span=(fan.now - DAY, fan.now - DAY / 2))
    assert ended.startswith("refused: fan01")
    assert "none of its sound is kept" in ended
    assert "record the machine as it runs now and train again" in ended
    unknown = ask(fan, Stored(None), span=(fan.now - DAY, fan.now - DAY / 2))
    assert "the stored sound cannot be read now" in unknown
    assert len(journal.normal_spans("fan01")) == 2


@pytest.mark.parametrize(
    ("raised_ago", "begin_ago_s", "answer", "marked_s"),
    [
        # the sound of an alarm that is longer than a day
        (timedelta(days=3), 3 * 86_400 + 20, "the sound of 1 alarm is kept", 86_400),
        # the clock was behind by weeks, or by hours, until it was set in the alarm
        (timedelta(days=21), 70, "the sound of 1 alarm is kept", 40),
        (timedelta(hours=10), 70, "the sound of 1 alarm is kept", 40),
        # it was ahead
        (timedelta(minutes=-10), 70, "its sound lies in the future", None),
        # too short to be learned
        (timedelta(seconds=4), 2, "none of its sound is stored yet", 7),
    ],
)
def test_the_mark_of_an_alarm_is_bounded_to_its_sound_and_a_day(
    raised_ago: timedelta, begin_ago_s: float, answer: str, marked_s: float | None
) -> None:
    begin = NOW - timedelta(seconds=begin_ago_s)
    end = min(NOW, begin + timedelta(seconds=40))
    record = AlarmRecord(
        FAN_ALARM,
        "fan01",
        "alarm",
        AlarmCondition.RETURNED,
        raised=NOW - raised_ago,
        cleared=NOW,
        acknowledged_at=None,
        who=None,
        why=None,
        peak_score=6.0,
        model="v1",
    )
    decision = decide_on_mark(
        Request(Verb.MARK_NORMAL, "fan01", "ann", NOW, FAN_ALARM, "dust"),
        record,
        [],
        lambda _begin, _end: KeptSound(0, 3),
        now=NOW,
        on_delay_s=3.0,
        sound=(begin, end),
    )
    assert answer in decision.outcome
    assert decision.accepted == (marked_s is not None)
    span = decision.marked
    assert (None if span is None else (span.end - span.begin).total_seconds()) == marked_s
    if marked_s == 40:
        assert span is not None
        assert span.begin == begin


def test_marks_are_kept_over_a_restart_and_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(normal_spans_module, "MAX_SPANS", 3)
    with Journal(tmp_path) as journal:
        fan = raised(journal)
        for hours in range(5):
            begin = fan.now - DAY * 2 + timedelta(hours=2 * hours)
            ask(fan, Stored(), span=(begin, begin + timedelta(hours=1)))
        spans = journal.normal_spans("fan01")
        assert len(spans) == 3
        assert spans[-1].begin == begin
    with Journal(tmp_path) as journal:
        assert journal.normal_spans("fan01") == spans
    content = read_journal(tmp_path)
    assert content is not None
    assert content.normal_spans == spans
    assert content.damage is None


def test_a_damaged_mark_is_set_aside_and_an_alarm_is_rebuilt_beside_its_mark(
    tmp_path: Path,
) -> None:
    with Journal(tmp_path) as journal:
        fan = raised(journal)
        ask(fan, Stored())
        condition = fan.machine.newest
        assert condition is not None
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as database, database:
        database.execute("UPDATE normal_spans SET why = 'another reason'")
        database.execute("UPDATE alarms SET who = 'changed'")
    with Journal(tmp_path) as journal:
        assert journal.normal_spans("fan01") == []
        rebuilt = MachineJournal(journal, "fan01").newest
        assert rebuilt is not None
        assert rebuilt.condition is condition.condition


def test_a_mark_without_a_session_has_the_default_on_delay(journal: Journal) -> None:
    fan = raised(journal)
    request = Request(Verb.MARK_NORMAL, "fan01", "ann", fan.now, FAN_ALARM, "a new filter")
    journal.requests.add(request)
    MachineRequests(fan.machine, Stored()).apply(None, fan.now, None)
    (span,) = journal.normal_spans("fan01")
    assert fan.machine.newest is not None
    assert span.begin == fan.machine.newest.raised - timedelta(seconds=3)
    assert span.end > NOW
