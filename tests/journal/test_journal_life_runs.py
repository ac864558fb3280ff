"""Any order of sound, requests, expiries and restarts: nothing is lost, alarms stay in order."""

from __future__ import annotations

import tempfile
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from asd_monitor.alarm.state import (
    ACTIVE,
    OUT_OF_SERVICE,
    SHELVED,
    AlarmCondition,
    TransitionKind,
)
from asd_monitor.journal.commands import outcome_of
from asd_monitor.journal.requests import Request, Verb
from asd_monitor.journal.store import Journal
from tests.doubles.journal_outbox import Disk
from tests.doubles.journalled_machine import JournalledMachine


class AnyLife(RuleBasedStateMachine):
    """One machine, whose journal is closed and opened again, or whose process is killed."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.state = Path(self.folder.name)
        self.journal = Journal(self.state, connect=Disk().connect)
        self.fan = JournalledMachine(self.journal)
        self.asked: list[str] = []

    def teardown(self) -> None:
        self.journal.close()
        self.folder.cleanup()

    @rule(score=st.sampled_from([0.5, 5.0, 8.0, 11.0]), seconds=st.integers(1, 25))
    def play(self, score: float, seconds: int) -> None:
        self.fan.play(score, seconds)

    @rule(verb=st.sampled_from(Verb), back=st.integers(0, 1), minutes=st.integers(0, 3))
    def ask(self, verb: Verb, back: int, minutes: int) -> None:
        alarms = self.journal.alarms("fan01")
        of_machine = verb in (Verb.OUT_OF_SERVICE, Verb.IN_SERVICE)
        if not of_machine and len(alarms) <= back:
            return
        until = self.fan.now + timedelta(minutes=minutes)
        request = Request(
            verb,
            "fan01",
            "ann",
            self.fan.now,
            alarm_id=None if of_machine else alarms[back].id,
            why="a test",
            arguments={"until": until.isoformat(), "label": "valid"},
        )
        self.journal.requests.add(request)
        self.asked.append(request.id)

    @rule()
    def apply(self) -> None:
        self.fan.apply()
        for request_id in self.asked:
            found = outcome_of(self.state, request_id)
            assert found is not None
            assert found.outcome is not None
        self.asked.clear()

    @rule()
    def expire(self) -> None:
        self.fan.expire()
        newest = self.fan.machine.newest
        if newest is not None and newest.shelved:
            assert newest.shelved_until is not None
            assert newest.shelved_until > self.fan.now

    @rule()
    def restart(self) -> None:
        now, newest = self.fan.now, self.fan.machine.newest
        self.journal.close()
        self.journal = Journal(self.state, connect=Disk().connect)
        self.fan = JournalledMachine(self.journal)
        self.fan.now = now
        assert self.fan.machine.newest == newest

    @invariant()
    def the_record_is_that_of_the_monitor(self) -> None:
        newest, alarm = self.fan.machine.newest, self.fan.monitor.alarm
        assert (newest is None) == (alarm is None)
        if newest is not None and alarm is not None:
            assert newest.condition is alarm.condition
            assert self.fan.machine.number == alarm.number
            assert newest.shelved == (newest.shelved_until is not None)
        assert self.fan.monitor.in_service == (self.fan.machine.out_of_service is None)

    @invariant()
    def every_alarm_is_raised_and_cleared_in_turns(self) -> None:
        alarms = self.journal.alarms("fan01")
        assert len({alarm.id for alarm in alarms}) == len(alarms)
        hidden = SHELVED | OUT_OF_SERVICE
        is_open = [each.active or each.condition in hidden for each in alarms]
        assert sum(is_open) <= 1
        assert not any(is_open[1:]), "an alarm before the newest is open"
        for alarm in alarms:
            events = [
                each
                for each in self.journal.events(alarm.id)
                if each.kind is TransitionKind.ALARM  # marks of sound are others
            ]
            for before, after in pairwise(events):
                assert before.after == after.before
            assert events[-1].after == alarm.condition
            active = [AlarmCondition(event.after) in ACTIVE for event in events]
            assert active[0]
            assert (alarm.cleared is None) == active[-1]


TestAnyLife = AnyLife.TestCase
TestAnyLife.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
