"""The alarm rule as a user relies on it, and its invariants under any history."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from asd_monitor.alarm.state import (
    ACTIVE,
    TRANSITIONS,
    UNSEEN,
    Alarm,
    AlarmMachine,
    AlarmRule,
    Condition,
    Signal,
    Transition,
    TransitionKind,
)
from asd_monitor.records import MachineState, Thresholds

RATE_HZ = 100
RULE = AlarmRule(Thresholds(warning=4.0, alarm=6.0), hop_s=0.5, on_delay_s=3.0, off_delay_s=10.0)
UNLATCHED = AlarmRule(RULE.thresholds, hop_s=0.5, on_delay_s=3.0, off_delay_s=10.0, latch=False)


class Player:
    """Plays scores every half second and keeps what changed."""

    def __init__(self, alarm_rule: AlarmRule = RULE, standing: Alarm | None = None) -> None:
        self.machine = AlarmMachine(alarm_rule, RATE_HZ, standing)
        self.at = 0
        self.changes: list[Transition] = []

    def play(self, score: float, seconds: float, *, settled: bool = True) -> list[Transition]:
        return self._each(seconds, lambda: self.machine.observe(self.at, score, settled=settled))

    def rest(self, seconds: float) -> list[Transition]:
        return self._each(seconds, lambda: self.machine.rest(self.at))

    def acknowledge(self, number: int = 1) -> list[Transition]:
        return list(self.machine.acknowledge(self.at, number, "ann", "seen"))

    def _each(self, seconds: float, step: Any) -> list[Transition]:
        new: list[Transition] = []
        for _ in range(round(seconds * 2)):
            self.at += RATE_HZ // 2
            new += step()
        self.changes += new
        return new

    @property
    def alarm(self) -> Alarm:
        alarm = self.machine.alarm
        assert alarm is not None
        return alarm


def path(changes: list[Transition], kind: TransitionKind = TransitionKind.ALARM) -> list[str]:
    return [f"{c.before}→{c.after}" for c in changes if c.kind is kind]


def test_an_alarm_rises_when_the_excess_lasted_for_the_on_delay() -> None:
    player = Player()
    player.play(1.0, 20)
    onset = player.at + RATE_HZ // 2
    changes = player.play(7.0, 5)
    assert path(changes) == ["normal→unacknowledged"]
    assert path(changes, TransitionKind.STATE) == ["normal→alarm"]
    alarm = next(c.alarm for c in changes if c.alarm)
    assert alarm.raised == onset + 3 * RATE_HZ
    assert alarm.number == 1


def test_an_excess_shorter_than_the_on_delay_passes() -> None:
    player = Player()
    for _ in range(10):
        assert path(player.play(9.0, 3)) == []
        player.play(1.0, 0.5)
    assert player.machine.state is MachineState.NORMAL


def test_no_delay_alarms_with_the_first_score() -> None:
    player = Player(AlarmRule(RULE.thresholds, hop_s=0.5, on_delay_s=0.0, off_delay_s=0.0))
    assert path(player.play(6.0, 0.5)) == ["normal→unacknowledged"]


def test_the_peak_is_the_greatest_score_since_the_excess_began() -> None:
    player = Player()
    player.play(9.0, 1)
    player.play(7.0, 5)
    assert player.alarm.peak_score == 9.0
    player.play(11.0, 1)
    player.play(1.0, 1)
    assert player.alarm.peak_score == 11.0


def test_a_latched_alarm_waits_for_the_acknowledgement() -> None:
    player = Player()
    player.play(7.0, 5)
    assert path(player.play(1.0, 3600)) == ["unacknowledged→latched"]
    assert player.alarm.active
    assert player.alarm.latched
    assert player.machine.state is MachineState.ALARM
    changes = player.acknowledge()
    assert path(changes) == ["latched→acknowledged", "acknowledged→normal"]
    assert [c.who for c in changes if c.kind is TransitionKind.ALARM] == ["ann", None]
    assert player.machine.state is MachineState.NORMAL
    assert player.alarm.cleared == player.at


def test_an_acknowledged_alarm_lasts_until_the_sound_is_calm() -> None:
    player = Player()
    player.play(7.0, 5)
    assert path(player.acknowledge()) == ["unacknowledged→acknowledged"]
    assert player.play(7.0, 3600) == []
    assert path(player.play(1.0, 20)) == ["acknowledged→normal"]


def test_a_fault_at_the_edge_does_not_come_and_go() -> None:
    player = Player()
    player.play(7.0, 5)
    for _ in range(20):
        assert path(player.play(5.0, 30)) == []
        assert path(player.play(7.0, 30)) == []
    assert path(player.play(3.9, 20)) == ["unacknowledged→latched"]


def test_a_latched_alarm_that_stirs_does_not_clear_at_the_acknowledgement() -> None:
    player = Player()
    player.play(7.0, 5)
    player.play(1.0, 20)
    player.play(7.0, 1)
    assert path(player.acknowledge()) == ["latched→acknowledged"]
    assert path(player.play(1.0, 20)) == ["acknowledged→normal"]


def test_a_latched_alarm_whose_sound_gets_wrong_again_is_the_same_alarm() -> None:
    player = Player()
    player.play(7.0, 5)
    player.play(1.0, 20)
    assert path(player.play(7.0, 5)) == ["latched→unacknowledged"]
    assert player.alarm.number == 1


def test_without_latch_it_clears_by_itself_and_stays_unacknowledged() -> None:
    player = Player(UNLATCHED)
    player.play(7.0, 5)
    assert path(player.play(1.0, 20)) == ["unacknowledged→returned"]
    assert not player.alarm.active
    assert not player.alarm.acknowledged
    assert player.machine.state is MachineState.NORMAL
    assert path(player.acknowledge()) == ["returned→normal"]


def test_the_acknowledgement_of_an_older_alarm_leaves_the_newer_alone() -> None:
    player = Player(UNLATCHED)
    player.play(7.0, 5)
    player.play(1.0, 20)
    assert path(player.play(7.0, 5)) == ["returned→unacknowledged"]
    assert player.alarm.number == 2
    assert player.acknowledge(1) == []
    assert player.alarm.condition is Condition.UNACKNOWLEDGED


def test_an_alarm_is_acknowledged_once() -> None:
    player = Player()
    player.play(7.0, 5)
    player.acknowledge()
    assert player.acknowledge() == []


def test_a_warning_has_its_own_threshold_and_clears_by_itself() -> None:
    player = Player()
    assert path(player.play(5.0, 5), TransitionKind.STATE) == ["normal→warning"]
    assert player.machine.alarm is None
    assert path(player.play(1.0, 20), TransitionKind.STATE) == ["warning→normal"]


def test_an_interruption_starts_the_on_delay_again() -> None:
    player = Player()
    for _ in range(20):
        assert path(player.play(9.0, 3)) == []
        player.machine.interrupt()
    assert path(player.play(9.0, 4)) == ["normal→unacknowledged"]


def test_an_interruption_starts_the_off_delay_again() -> None:
    player = Player()
    player.play(7.0, 5)
    player.acknowledge()
    for _ in range(20):
        assert path(player.play(1.0, 10)) == []
        player.machine.interrupt()
    assert path(player.play(1.0, 11)) == ["acknowledged→normal"]


def test_scores_from_too_little_sound_start_no_off_delay() -> None:
    player = Player()
    player.play(7.0, 5)
    player.acknowledge()
    assert path(player.play(1.0, 30, settled=False)) == []


def test_a_machine_that_is_off_neither_alarms_nor_clears() -> None:
    player = Player()
    player.play(7.0, 5)
    player.acknowledge()
    assert path(player.rest(60)) == []
    assert player.machine.state is MachineState.ALARM
    assert path(player.play(1.0, 11)) == ["acknowledged→normal"]
    assert path(player.rest(10), TransitionKind.STATE) == ["normal→idle"]
    assert path(player.play(1.0, 1), TransitionKind.STATE) == ["idle→normal"]


def test_a_pause_suspends_the_on_delay() -> None:
    player = Player()
    for _ in range(3):
        assert path(player.play(7.0, 1)) == []
        assert path(player.rest(60)) == []
    assert path(player.play(7.0, 0.5)) == ["normal→unacknowledged"]
    assert player.alarm.raised == player.at


def test_a_pause_suspends_the_off_delay() -> None:
    player = Player()
    player.play(7.0, 5)
    player.acknowledge()
    for _ in range(5):
        assert path(player.play(1.0, 2)) == []
        assert path(player.rest(60)) == []
    assert path(player.play(1.0, 0.5)) == ["acknowledged→normal"]


def test_a_pause_suspends_the_delays_of_a_warning() -> None:
    player = Player()
    for _ in range(3):
        player.play(5.0, 1)
        player.rest(2)
    assert path(player.play(5.0, 0.5), TransitionKind.STATE) == ["normal→warning"]
    for _ in range(5):
        assert path(player.play(1.0, 2), TransitionKind.STATE) == []
        assert path(player.rest(2), TransitionKind.STATE) == []
    assert path(player.play(1.0, 0.5), TransitionKind.STATE) == ["warning→normal"]


def test_an_interruption_within_a_pause_starts_the_delays_again() -> None:
    player = Player()
    for _ in range(20):
        assert path(player.play(9.0, 3)) == []
        player.rest(5)
        player.machine.interrupt()
        player.rest(5)
    assert path(player.play(9.0, 4)) == ["normal→unacknowledged"]


def test_the_peak_before_a_pause_counts() -> None:
    player = Player()
    player.play(9.0, 1)
    player.rest(5)
    player.play(7.0, 5)
    assert player.alarm.peak_score == 9.0


def test_an_acknowledgement_within_a_pause_clears_when_the_machine_runs_again() -> None:
    player = Player()
    player.play(7.0, 5)
    player.play(1.0, 20)
    player.rest(5)
    assert path(player.acknowledge()) == ["latched→acknowledged"]
    assert path(player.rest(5)) == []
    assert path(player.play(1.0, 0.5)) == ["acknowledged→normal"]


def test_one_quiet_window_is_not_idle() -> None:
    player = Player()
    for _ in range(10):
        player.play(1.0, 1)
        assert player.rest(1) == []


def test_an_acknowledgement_while_nobody_listens_does_not_clear() -> None:
    player = Player()
    player.play(7.0, 5)
    player.play(1.0, 20)
    player.machine.interrupt()
    assert path(player.acknowledge()) == ["latched→acknowledged"]
    assert path(player.play(1.0, 11)) == ["acknowledged→normal"]


def test_a_standing_alarm_is_taken_up_and_the_next_one_has_the_next_number() -> None:
    player = Player(standing=Alarm(1, Condition.LATCHED, 8.0))
    assert player.machine.state is MachineState.ALARM
    assert player.alarm.peak_score == 8.0
    assert path(player.play(1.0, 20)) == []
    assert path(player.acknowledge(1)) == ["latched→acknowledged", "acknowledged→normal"]
    player.play(7.0, 5)
    assert player.alarm.number == 2


def test_a_latch_that_was_configured_away_lets_go() -> None:
    player = Player(UNLATCHED, standing=Alarm(1, Condition.LATCHED, 8.0))
    assert path(player.play(1.0, 20)) == ["latched→returned"]


def test_only_rising_makes_an_alarm_active() -> None:
    for (before, signal), after in TRANSITIONS.items():
        if before not in ACTIVE and after in ACTIVE:
            assert signal is Signal.RISE
        if before in UNSEEN and after not in UNSEEN:
            assert signal is Signal.ACKNOWLEDGE


class AnyHistory(RuleBasedStateMachine):
    """Whatever is heard, interrupted and acknowledged, in whatever order."""

    alarm_rule = RULE

    def __init__(self) -> None:
        super().__init__()
        self.machine = AlarmMachine(self.alarm_rule, RATE_HZ)
        self.at = 0
        self.ran = 0  # as `at`, without the pauses
        self.excess_since: int | None = None
        self.calm_since: int | None = None
        self.listening = False

    def take(self, changes: tuple[Transition, ...]) -> None:
        on, off = 3 * RATE_HZ, 10 * RATE_HZ
        for change in changes:
            if change.kind is not TransitionKind.ALARM:
                continue
            before, after = Condition(change.before), Condition(change.after)
            assert after in {a for (b, _), a in TRANSITIONS.items() if b is before}
            if after is Condition.UNACKNOWLEDGED:
                assert self.excess_since is not None
                assert self.listening
                assert self.ran - self.excess_since >= on
            if after is Condition.LATCHED or (before in ACTIVE and after not in ACTIVE):
                assert self.listening
                assert self.calm_since is not None
                assert self.ran - self.calm_since >= off
            if before in ACTIVE and after not in ACTIVE and self.alarm_rule.latch:
                assert before is Condition.ACKNOWLEDGED

    @rule(score=st.sampled_from([0.0, 3.9, 4.0, 5.9, 6.0, 12.0]), count=st.integers(1, 30))
    def hear(self, score: float, count: int) -> None:
        for _ in range(count):
            self.at += RATE_HZ // 2
            self.ran += RATE_HZ // 2
            self.listening = True
            since = self.ran if self.excess_since is None else self.excess_since
            self.excess_since = since if score >= 6.0 else None
            since = self.ran if self.calm_since is None else self.calm_since
            self.calm_since = since if score < 4.0 else None
            self.take(self.machine.observe(self.at, score))

    @rule(count=st.integers(1, 30))
    def be_off(self, count: int) -> None:
        self.listening = False
        for _ in range(count):
            self.at += RATE_HZ // 2
            self.take(self.machine.rest(self.at))

    @rule()
    def stop_listening(self) -> None:
        self.excess_since = self.calm_since = None
        self.listening = False
        self.machine.interrupt()

    @precondition(lambda self: self.machine.alarm is not None)
    @rule(back=st.integers(0, 2))
    def acknowledge(self, back: int) -> None:
        before = self.machine.alarm
        assert before is not None
        changes = self.machine.acknowledge(self.at, before.number - back, "ann", "seen")
        self.take(changes)
        after = self.machine.alarm
        assert after is not None
        if back:
            assert changes == ()
            assert after == before
        else:
            assert after.acknowledged

    @rule()
    def restart(self) -> None:
        self.excess_since = self.calm_since = None
        self.listening = False
        before = self.machine.alarm
        self.machine = AlarmMachine(self.alarm_rule, RATE_HZ, before)
        assert self.machine.alarm == before

    @invariant()
    def the_state_tells_an_active_alarm(self) -> None:
        alarm = self.machine.alarm
        active = alarm is not None and alarm.active
        assert (self.machine.state is MachineState.ALARM) == active


class AnyHistoryUnlatched(AnyHistory):
    alarm_rule = UNLATCHED


TestAnyHistory = AnyHistory.TestCase
TestAnyHistoryUnlatched = AnyHistoryUnlatched.TestCase
