"""Invariants of the alarm state machine under any history of scores, gaps and what people do."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from asd_monitor.alarm.state import (
    ACTIVE,
    NEW_ALARM,
    OUT_OF_SERVICE,
    SHELVED,
    TRANSITIONS,
    AlarmCondition,
    AlarmRule,
    Transition,
    TransitionKind,
    Trigger,
)
from asd_monitor.alarm.state_machine import AlarmStateMachine
from asd_monitor.records import MachineState, Thresholds, WhenQuiet

HIDDEN = SHELVED | OUT_OF_SERVICE
RATE_HZ = 100
THRESHOLDS = Thresholds(warning=4.0, alarm=6.0)
LATCHED = AlarmRule(THRESHOLDS, hop_s=0.5, on_delay_s=3.0, off_delay_s=10.0)
UNLATCHED = AlarmRule(THRESHOLDS, hop_s=0.5, on_delay_s=3.0, off_delay_s=10.0, latch=False)


class AnyHistory(RuleBasedStateMachine):
    """Scores, idle and quiet windows, suspensions, gaps and people's requests in any order."""

    alarm_rule = LATCHED

    def __init__(self) -> None:
        super().__init__()
        self.machine = AlarmStateMachine(self.alarm_rule, RATE_HZ)
        self.at = 0
        self.running = 0  # as `at`, without the idle pauses
        self.excess_since: int | None = None
        self.below_since: int | None = None
        self.evaluated = False
        self.raised = 0  # alarms
        self.active = False  # the newest

    def check(self, changes: tuple[Transition, ...]) -> None:
        on, off = 3 * RATE_HZ, 10 * RATE_HZ
        for change in changes:
            if change.kind is not TransitionKind.ALARM:
                continue
            before, after = AlarmCondition(change.before), AlarmCondition(change.after)
            assert after in {a for (b, _), a in TRANSITIONS.items() if b is before}
            self.check_occurrence(change, before, after)
            if change.who is not None or before in HIDDEN or after in HIDDEN:
                continue
            if after is AlarmCondition.UNACKNOWLEDGED:
                assert self.excess_since is not None
                assert self.evaluated
                assert self.running - self.excess_since >= on
            if after is AlarmCondition.LATCHED or (before in ACTIVE and after not in ACTIVE):
                assert self.evaluated
                assert self.below_since is not None
                assert self.running - self.below_since >= off
            if before in ACTIVE and after not in ACTIVE and self.alarm_rule.latch:
                assert before is AlarmCondition.ACKNOWLEDGED

    def check_occurrence(
        self, change: Transition, before: AlarmCondition, after: AlarmCondition
    ) -> None:
        """Check that alarms are numbered, and each is raised and cleared in turns."""
        alarm = change.alarm
        assert alarm is not None
        if before in NEW_ALARM and after in ACTIVE:
            assert (alarm.number, self.active) == (self.raised + 1, False)
            self.raised, self.active = alarm.number, True
        assert alarm.number == self.raised
        assert (before in ACTIVE) == self.active or before in NEW_ALARM
        self.active = after in ACTIVE
        assert (alarm.cleared is None) == self.active

    @rule(score=st.sampled_from([0.0, 3.9, 4.0, 5.9, 6.0, 12.0]), count=st.integers(1, 30))
    def run(self, score: float, count: int) -> None:
        for _ in range(count):
            self.at += RATE_HZ // 2
            self.running += RATE_HZ // 2
            self.evaluated = True
            since = self.running if self.excess_since is None else self.excess_since
            self.excess_since = since if score >= 6.0 else None
            since = self.running if self.below_since is None else self.below_since
            self.below_since = since if score < 4.0 else None
            self.check(self.machine.observe(self.at, score))

    @rule(count=st.integers(1, 30))
    def be_idle(self, count: int) -> None:
        self.evaluated = False
        for _ in range(count):
            self.at += RATE_HZ // 2
            self.check(self.machine.pause(self.at))

    @rule(count=st.integers(1, 30))
    def be_suspended(self, count: int) -> None:
        self.evaluated = False
        state = self.machine.state
        for _ in range(count):
            self.at += RATE_HZ // 2
            self.machine.suspend(self.at)
        assert self.machine.state is state

    @rule(count=st.integers(1, 30))
    def be_quiet(self, count: int) -> None:
        if self.alarm_rule.when_quiet is WhenQuiet.IDLE:
            self.evaluated = False
            for _ in range(count):
                self.at += RATE_HZ // 2
                self.check(self.machine.observe_quiet(self.at)[1])
            return
        must_run = self.alarm_rule.when_quiet is WhenQuiet.ALARM
        self.evaluated, self.below_since = must_run, None
        for _ in range(count):
            self.at += RATE_HZ // 2
            self.running += RATE_HZ // 2
            since = self.running if self.excess_since is None else self.excess_since
            self.excess_since = since if must_run else None
            self.check(self.machine.observe_quiet(self.at)[1])

    @rule()
    def lose_sound(self) -> None:
        self.excess_since = self.below_since = None
        self.evaluated = False
        self.machine.interrupt()

    @precondition(lambda self: self.machine.alarm is not None)
    @rule(back=st.integers(0, 2))
    def acknowledge(self, back: int) -> None:
        before = self.machine.alarm
        assert before is not None
        changes = self.machine.change(
            Trigger.ACKNOWLEDGE, self.at, before.number - back, "ann", "seen"
        )
        self.check(changes)
        after = self.machine.alarm
        assert after is not None
        if back:
            assert changes == ()
            assert after == before
        elif before.condition not in HIDDEN:
            assert after.acknowledged

    @precondition(lambda self: self.machine.alarm is not None)
    @rule(trigger=st.sampled_from([Trigger.SHELVE, Trigger.UNSHELVE, Trigger.SHELF_EXPIRED]))
    def shelve(self, trigger: Trigger) -> None:
        before = self.machine.occurrence.alarm
        self.check(self.machine.change(trigger, self.at, before.number, "ann", "noisy"))
        expected = TRANSITIONS.get((before.condition, trigger), before.condition)
        assert self.machine.occurrence.alarm.condition in {expected, AlarmCondition.NORMAL}

    @rule(in_service=st.booleans())
    def change_service(self, in_service: bool) -> None:
        self.check(self.machine.change_service(self.at, "ann", "belt", in_service=in_service))

    @rule()
    def reload(self) -> None:
        self.alarm_rule = replace(self.alarm_rule, latch=not self.alarm_rule.latch)
        self.machine.replace_rule(self.alarm_rule)

    @rule()
    def restart(self) -> None:
        self.excess_since = self.below_since = None
        self.evaluated = False
        before = self.machine.alarm
        in_service = self.machine.occurrence.in_service
        self.machine = AlarmStateMachine(self.alarm_rule, RATE_HZ, before, in_service=in_service)
        assert self.machine.alarm == before

    @invariant()
    def the_state_is_alarm_while_an_alarm_is_active(self) -> None:
        alarm = self.machine.alarm
        active = alarm is not None and alarm.active and not alarm.out_of_service
        assert (self.machine.state is MachineState.ALARM) == active

    @invariant()
    def the_newest_alarm_is_as_its_transitions_say(self) -> None:
        alarm = self.machine.occurrence.alarm
        assert (alarm.number, alarm.active) == (self.raised, self.active)

    @invariant()
    def out_of_service_hides_every_alarm(self) -> None:
        alarm = self.machine.occurrence.alarm
        if not self.machine.occurrence.in_service:
            assert alarm.condition in {AlarmCondition.NORMAL, *OUT_OF_SERVICE}
        else:
            assert alarm.condition not in OUT_OF_SERVICE


class AnyHistoryUnlatched(AnyHistory):
    alarm_rule = replace(UNLATCHED, when_quiet=WhenQuiet.ALARM)


class AnyHistoryIdle(AnyHistory):
    alarm_rule = replace(LATCHED, when_quiet=WhenQuiet.IDLE)


TestAnyHistory = AnyHistory.TestCase
TestAnyHistoryUnlatched = AnyHistoryUnlatched.TestCase
TestAnyHistoryIdle = AnyHistoryIdle.TestCase
