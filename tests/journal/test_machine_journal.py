"""Alarms of a machine in the journal, and acknowledgements from other processes."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from asd_monitor.alarm.state import Alarm, AlarmCondition
from asd_monitor.journal.commands import make_request
from asd_monitor.journal.machine_journal import MachineJournal
from asd_monitor.journal.store import Journal
from tests.doubles.journalled_machine import (
    FAN_ALARM,
    LATER,
    NOW,
    RAISED,
    RETURNED,
    JournalledMachine,
    acknowledge,
    acknowledgement,
    alarm_transition,
    apply_requests,
    state_transition,
)


def test_an_alarm_has_a_readable_id_and_all_its_transitions(journal: Journal) -> None:
    fan = MachineJournal(journal, "fan01")
    event = fan.record(RAISED, NOW, "v1")
    assert event.alarm is not None
    assert event.alarm.id == FAN_ALARM
    assert event.alarm.active
    fan.record(RETURNED, LATER, "v1")
    (stored,) = journal.alarms()
    assert stored == fan.newest
    assert (stored.raised, stored.cleared) == (NOW, LATER)
    assert (stored.active, stored.acknowledged, stored.peak_score) == (False, False, 7.0)
    events = journal.events(stored.id)
    assert [(e.time, e.before, e.after) for e in events] == [
        (NOW, "normal", "unacknowledged"),
        (LATER, "unacknowledged", "returned"),
    ]
    assert len({e.id for e in events}) == 2


@pytest.mark.parametrize("step_s", [0.0, -3600.0, 86400.0 * 365, -86400.0 * 365])
def test_ids_are_unique_and_in_order_where_the_clock_is_stepped(
    tmp_path: Path, step_s: float
) -> None:
    times = [NOW, NOW + timedelta(seconds=step_s), NOW + timedelta(seconds=1)]
    for number, time in enumerate(times, start=1):
        with Journal(tmp_path) as journal:  # a new run of the daemon
            fan = MachineJournal(journal, "fan01")
            earlier = fan.restored_alarm()
            raised = alarm_transition(
                AlarmCondition.RETURNED,
                AlarmCondition.UNACKNOWLEDGED,
                number=earlier.number + 1 if earlier else 1,
            )
            fan.record(raised, time, None)
            assert len(journal.alarms("fan01")) == number
    with Journal(tmp_path) as journal:
        alarms = journal.alarms()[::-1]
    assert alarms[0].id == FAN_ALARM
    assert [alarm.id for alarm in alarms] == sorted({alarm.id for alarm in alarms})
    assert [alarm.raised for alarm in alarms] == times


def test_an_alarm_is_neither_cleared_nor_acknowledged_before_it_was_raised(
    tmp_path: Path, journal: Journal
) -> None:
    fan = JournalledMachine(journal)
    fan.play(8.0, 20)
    fan.now -= timedelta(hours=2)
    make_request(tmp_path, acknowledgement(FAN_ALARM, "ann", None, fan.now))
    assert fan.poll() == ["unacknowledged→acknowledged"]
    fan.play(0.5, 60)
    (alarm,) = journal.alarms()
    assert (alarm.cleared, alarm.acknowledged_at) == (alarm.raised, alarm.raised)
    assert {event.time for event in journal.events(alarm.id)} == {alarm.raised}


def test_a_transition_of_the_machine_state_has_no_alarm(journal: Journal) -> None:
    event = MachineJournal(journal, "fan01").record(state_transition(), NOW, None)
    assert event.alarm is None
    assert journal.alarms() == []


def test_the_peak_score_is_updated_when_it_rises(journal: Journal) -> None:
    fan = MachineJournal(journal, "fan01")
    fan.record(RAISED, NOW, "v1")
    fan.update_peak(Alarm(1, AlarmCondition.UNACKNOWLEDGED, 9.5))
    fan.update_peak(Alarm(1, AlarmCondition.UNACKNOWLEDGED, 8.0))
    fan.update_peak(Alarm(2, AlarmCondition.UNACKNOWLEDGED, 12.0))
    fan.update_peak(None)
    assert journal.alarms()[0].peak_score == 9.5


def test_machines_are_independent(journal: Journal) -> None:
    MachineJournal(journal, "fan01").record(RAISED, NOW, "v1")
    assert MachineJournal(journal, "fan02").restored_alarm() is None
    assert journal.alarms("fan02") == []


def test_a_running_daemon_applies_an_acknowledgement(tmp_path: Path, journal: Journal) -> None:
    fan = JournalledMachine(journal)
    fan.play(8.0, 20)
    assert fan.poll() == []
    fan.now = LATER
    acknowledge(tmp_path)
    assert fan.poll() == ["unacknowledged→acknowledged"]
    assert fan.poll() == []
    assert fan.apply() == []
    newest = fan.machine.newest
    assert newest is not None
    assert journal.alarms() == [newest]
    assert (newest.who, newest.why, newest.acknowledged_at) == ("ann", "greased", LATER)
    fan.play(0.5, 60)
    assert not journal.alarms()[0].active


def test_an_acknowledgement_without_a_daemon_is_applied_by_the_next_one(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        fan = JournalledMachine(journal)
        fan.play(8.0, 20)
        fan.play(0.5, 60)
    acknowledge(tmp_path)

    with Journal(tmp_path) as journal:
        fan = JournalledMachine(journal)
        assert fan.monitor.alarm is not None
        assert fan.monitor.alarm.active
        assert fan.apply() == ["latched→acknowledged"]
        fan.play(0.5, 60)
        (alarm,) = journal.alarms()
        assert (alarm.active, alarm.acknowledged, alarm.closed) == (False, True, True)
        assert [f"{e.before}→{e.after}" for e in journal.events(alarm.id)] == [
            "normal→unacknowledged",
            "unacknowledged→latched",
            "latched→acknowledged",
            "acknowledged→normal",
        ]


def test_an_applied_acknowledgement_is_not_applied_again(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        fan = JournalledMachine(journal)
        fan.play(8.0, 20)
        acknowledge(tmp_path)
        fan.apply()
    with Journal(tmp_path) as journal:
        assert JournalledMachine(journal).apply() == []


def test_the_acknowledgement_of_an_older_alarm_does_not_affect_the_newest(
    tmp_path: Path, journal: Journal
) -> None:
    fan = JournalledMachine(journal, latch=False)
    fan.play(8.0, 20)
    fan.play(0.5, 60)
    fan.play(8.0, 20)
    newer, older = journal.alarms()
    acknowledge(tmp_path, older.id)
    assert fan.poll() == ["returned→normal"]
    newer, older = journal.alarms()
    assert (newer.active, newer.acknowledged) == (True, False)
    assert (older.active, older.acknowledged) == (False, True)


def test_without_a_monitor_an_acknowledged_alarm_stays_active(
    tmp_path: Path, journal: Journal
) -> None:
    fan = JournalledMachine(journal)
    fan.play(8.0, 20)
    acknowledge(tmp_path)
    events = apply_requests(fan.machine, LATER)
    assert [e.after for e in events] == ["acknowledged"]
    alarm = fan.machine.restored_alarm()
    assert alarm is not None
    assert alarm.condition is AlarmCondition.ACKNOWLEDGED
    assert apply_requests(fan.machine, LATER) == []


def test_only_an_acknowledged_alarm_ends_with_the_monitoring(
    tmp_path: Path, journal: Journal
) -> None:
    fan = JournalledMachine(journal)
    assert fan.machine.end_acknowledged_alarm("removed", LATER) == []
    fan.play(8.0, 20)
    assert fan.machine.end_acknowledged_alarm("removed", LATER) == []
    fan.play(0.5, 60)
    assert fan.machine.end_acknowledged_alarm("removed", LATER) == []
    acknowledge(tmp_path)
    apply_requests(fan.machine, LATER)
    (event,) = fan.machine.end_acknowledged_alarm("removed", LATER)
    assert (event.before, event.after, event.who) == ("acknowledged", "normal", None)
    assert fan.machine.end_acknowledged_alarm("removed", LATER) == []
    (alarm,) = journal.alarms()
    assert alarm == fan.machine.newest
    assert (alarm.closed, alarm.cleared, alarm.who) == (True, LATER, "ann")
    assert [each.why for each in journal.events(alarm.id)][-1] == "removed"


def test_an_acknowledgement_survives_transitions_written_before_it_is_applied(
    tmp_path: Path, journal: Journal
) -> None:
    fan = JournalledMachine(journal)
    fan.play(8.0, 20)
    acknowledge(tmp_path)
    fan.play(0.5, 60)
    assert journal.alarms()[0].who is None
    assert fan.poll() == ["latched→acknowledged", "acknowledged→normal"]
    assert journal.alarms()[0].who == "ann"
