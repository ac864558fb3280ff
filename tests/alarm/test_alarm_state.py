"""The alarm state machine: on-delay, off-delay, dead band, latch, acknowledgement."""

from __future__ import annotations

from typing import Any

import pytest

from asd_monitor.alarm.state import (
    ACTIVE,
    TRANSITIONS,
    UNACKNOWLEDGED,
    Alarm,
    AlarmCondition,
    AlarmRule,
    Transition,
    TransitionKind,
    Trigger,
)
from asd_monitor.alarm.state_machine import AlarmStateMachine
from asd_monitor.records import MachineState, Thresholds

RATE_HZ = 100
RULE = AlarmRule(Thresholds(warning=4.0, alarm=6.0), hop_s=0.5, on_delay_s=3.0, off_delay_s=10.0)
UNLATCHED = AlarmRule(RULE.thresholds, hop_s=0.5, on_delay_s=3.0, off_delay_s=10.0, latch=False)


class Player:
    """Passes a score to the state machine every half second and collects the transitions."""

    def __init__(self, alarm_rule: AlarmRule = RULE, standing: Alarm | None = None) -> None:
        self.machine = AlarmStateMachine(alarm_rule, RATE_HZ, standing)
        self.at = 0
        self.changes: list[Transition] = []

    def play(self, score: float, seconds: float, *, conclusive: bool = True) -> list[Transition]:
        return self._each(
            seconds, lambda: self.machine.observe(self.at, score, conclusive=conclusive)
        )

    def pause(self, seconds: float) -> list[Transition]:
        return self._each(seconds, lambda: self.machine.pause(self.at))

    def acknowledge(self, number: int = 1) -> list[Transition]:
        return list(self.machine.change(Trigger.ACKNOWLEDGE, self.at, number, "ann", "seen"))

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


def test_an_alarm_is_raised_after_the_on_delay() -> None:
    player = Player()
    player.play(1.0, 20)
    onset = player.at + RATE_HZ // 2
    changes = player.play(7.0, 5)
    assert path(changes) == ["normal→unacknowledged"]
    assert path(changes, TransitionKind.STATE) == ["normal→alarm"]
    alarm = next(c.alarm for c in changes if c.alarm)
    assert alarm.raised == onset + 3 * RATE_HZ
    assert alarm.number == 1


def test_an_excess_shorter_than_the_on_delay_raises_no_alarm() -> None:
    player = Player()
    for _ in range(10):
        assert path(player.play(9.0, 3)) == []
        player.play(1.0, 0.5)
    assert player.machine.state is MachineState.NORMAL


def test_an_excess_of_exactly_the_on_delay_raises_an_alarm() -> None:
    player = Player()
    assert path(player.play(6.0, 3)) == []  # from the first to the last score: 2.5 s
    assert path(player.play(6.0, 0.5)) == ["normal→unacknowledged"]


def test_an_alarm_returns_to_normal_after_exactly_the_off_delay() -> None:
    player = Player()
    player.play(7.0, 5)
    player.acknowledge()
    assert path(player.play(3.9, 10)) == []
    assert path(player.play(3.9, 0.5)) == ["acknowledged→normal"]


@pytest.mark.parametrize(("score", "state"), [(3.99, "normal"), (4.0, "warning"), (6.0, "alarm")])
def test_a_score_at_a_threshold_reaches_it(score: float, state: str) -> None:
    player = Player()
    player.play(score, 5)
    assert player.machine.state == state


def test_without_on_delay_the_first_score_raises_an_alarm() -> None:
    player = Player(AlarmRule(RULE.thresholds, hop_s=0.5, on_delay_s=0.0, off_delay_s=0.0))
    assert path(player.play(6.0, 0.5)) == ["normal→unacknowledged"]


def test_the_peak_score_includes_the_on_delay() -> None:
    player = Player()
    player.play(9.0, 1)
    player.play(7.0, 5)
    assert player.alarm.peak_score == 9.0
    player.play(11.0, 1)
    player.play(1.0, 1)
    assert player.alarm.peak_score == 11.0


def test_a_latched_alarm_stays_active_until_it_is_acknowledged() -> None:
    player = Player()
    player.play(7.0, 5)
    assert path(player.play(1.0, 3600)) == ["unacknowledged→latched"]
    assert player.alarm.active
    assert player.alarm.latched
    assert player.machine.state == "alarm"
    changes = player.acknowledge()
    assert path(changes) == ["latched→acknowledged", "acknowledged→normal"]
    assert [c.who for c in changes if c.kind is TransitionKind.ALARM] == ["ann", None]
    assert player.machine.state == "normal"
    assert player.alarm.cleared == player.at


def test_an_acknowledged_alarm_stays_active_until_the_return_to_normal() -> None:
    player = Player()
    player.play(7.0, 5)
    assert path(player.acknowledge()) == ["unacknowledged→acknowledged"]
    assert player.play(7.0, 3600) == []
    assert path(player.play(1.0, 20)) == ["acknowledged→normal"]


def test_an_alarm_does_not_chatter_in_the_dead_band() -> None:
    player = Player()
    player.play(7.0, 5)
    for _ in range(20):
        assert path(player.play(5.0, 30)) == []
        assert path(player.play(7.0, 30)) == []
    assert path(player.play(3.9, 20)) == ["unacknowledged→latched"]


def test_an_acknowledgement_does_not_clear_a_latched_alarm_whose_score_is_high_again() -> None:
    player = Player()
    player.play(7.0, 5)
    player.play(1.0, 20)
    player.play(7.0, 1)
    assert path(player.acknowledge()) == ["latched→acknowledged"]
    assert path(player.play(1.0, 20)) == ["acknowledged→normal"]


def test_a_latched_alarm_that_recurs_keeps_its_number() -> None:
    player = Player()
    player.play(7.0, 5)
    player.play(1.0, 20)
    assert path(player.play(7.0, 5)) == ["latched→unacknowledged"]
    assert player.alarm.number == 1


def test_an_alarm_without_latch_returns_to_normal_unacknowledged() -> None:
    player = Player(UNLATCHED)
    player.play(7.0, 5)
    assert path(player.play(1.0, 20)) == ["unacknowledged→returned"]
    assert not player.alarm.active
    assert not player.alarm.acknowledged
    assert player.machine.state is MachineState.NORMAL
    assert path(player.acknowledge()) == ["returned→normal"]


def test_acknowledging_an_older_alarm_does_not_change_the_newest() -> None:
    player = Player(UNLATCHED)
    player.play(7.0, 5)
    player.play(1.0, 20)
    assert path(player.play(7.0, 5)) == ["returned→unacknowledged"]
    assert player.alarm.number == 2
    assert player.acknowledge(1) == []
    assert player.alarm.condition is AlarmCondition.UNACKNOWLEDGED


def test_a_second_acknowledgement_changes_nothing() -> None:
    player = Player()
    player.play(7.0, 5)
    player.acknowledge()
    assert player.acknowledge() == []


def test_a_warning_has_its_own_threshold_and_is_not_an_alarm() -> None:
    player = Player()
    assert path(player.play(5.0, 5), TransitionKind.STATE) == ["normal→warning"]
    assert player.machine.alarm is None
    assert path(player.play(1.0, 20), TransitionKind.STATE) == ["warning→normal"]


def test_a_gap_restarts_the_on_delay() -> None:
    player = Player()
    for _ in range(20):
        assert path(player.play(9.0, 3)) == []
        player.machine.interrupt()
    assert path(player.play(9.0, 4)) == ["normal→unacknowledged"]


def test_a_gap_restarts_the_off_delay() -> None:
    player = Player()
    player.play(7.0, 5)
    player.acknowledge()
    for _ in range(20):
        assert path(player.play(1.0, 10)) == []
        player.machine.interrupt()
    assert path(player.play(1.0, 11)) == ["acknowledged→normal"]


def test_inconclusive_scores_do_not_start_the_off_delay() -> None:
    player = Player()
    player.play(7.0, 5)
    player.acknowledge()
    assert path(player.play(1.0, 30, conclusive=False)) == []


def test_an_idle_machine_neither_raises_nor_clears_an_alarm() -> None:
    player = Player()
    player.play(7.0, 5)
    player.acknowledge()
    assert path(player.pause(60)) == []
    assert player.machine.state is MachineState.ALARM
    assert path(player.play(1.0, 11)) == ["acknowledged→normal"]
    assert path(player.pause(10), TransitionKind.STATE) == ["normal→idle"]
    assert path(player.play(1.0, 1), TransitionKind.STATE) == ["idle→normal"]


def test_an_idle_pause_suspends_the_on_delay() -> None:
    player = Player()
    for _ in range(3):
        assert path(player.play(7.0, 1)) == []
        assert path(player.pause(60)) == []
    assert path(player.play(7.0, 0.5)) == ["normal→unacknowledged"]
    assert player.alarm.raised == player.at


def test_an_idle_pause_suspends_the_off_delay() -> None:
    player = Player()
    player.play(7.0, 5)
    player.acknowledge()
    for _ in range(5):
        assert path(player.play(1.0, 2)) == []
        assert path(player.pause(60)) == []
    assert path(player.play(1.0, 0.5)) == ["acknowledged→normal"]


def test_an_idle_pause_suspends_the_delays_of_a_warning() -> None:
    player = Player()
    for _ in range(3):
        player.play(5.0, 1)
        player.pause(2)
    assert path(player.play(5.0, 0.5), TransitionKind.STATE) == ["normal→warning"]
    for _ in range(5):
        assert path(player.play(1.0, 2), TransitionKind.STATE) == []
        assert path(player.pause(2), TransitionKind.STATE) == []
    assert path(player.play(1.0, 0.5), TransitionKind.STATE) == ["warning→normal"]


def test_a_warning_does_not_outlive_a_night_of_idle() -> None:
    player = Player()
    player.play(5.0, 5)
    assert player.machine.state == "warning"
    assert path(player.pause(8 * 3600), TransitionKind.STATE) == ["warning→idle"]
    assert path(player.play(1.0, 30), TransitionKind.STATE) == ["idle→normal"]


def test_a_warning_does_not_outlive_a_night_without_sound() -> None:
    player = Player()
    player.play(5.0, 5)
    player.machine.interrupt()
    player.at += 8 * 3600 * RATE_HZ
    assert path(player.play(1.0, 0.5), TransitionKind.STATE) == ["warning→normal"]


def test_a_warning_goes_on_after_a_pause_of_a_duty_cycle() -> None:
    player = Player()
    player.play(5.0, 5)
    player.pause(3500)
    assert path(player.play(5.0, 0.5), TransitionKind.STATE) == ["idle→warning"]


def test_an_alarm_outlives_a_night_of_idle() -> None:
    player = Player(UNLATCHED)
    player.play(7.0, 5)
    assert player.pause(8 * 3600) == []
    assert player.machine.state is MachineState.ALARM
    assert path(player.play(1.0, 9)) == []
    assert path(player.play(1.0, 2)) == ["unacknowledged→returned"]


def test_delays_before_a_night_of_idle_do_not_count_after_it() -> None:
    player = Player()
    player.play(7.0, 3)  # the on-delay is nearly over
    player.pause(8 * 3600)
    assert path(player.play(7.0, 3)) == []
    assert path(player.play(7.0, 0.5)) == ["normal→unacknowledged"]


def test_a_gap_within_an_idle_pause_restarts_the_delays() -> None:
    player = Player()
    for _ in range(20):
        assert path(player.play(9.0, 3)) == []
        player.pause(5)
        player.machine.interrupt()
        player.pause(5)
    assert path(player.play(9.0, 4)) == ["normal→unacknowledged"]


def test_the_peak_score_includes_the_on_delay_before_an_idle_pause() -> None:
    player = Player()
    player.play(9.0, 1)
    player.pause(5)
    player.play(7.0, 5)
    assert player.alarm.peak_score == 9.0


def test_an_alarm_acknowledged_in_an_idle_pause_clears_when_the_machine_runs_again() -> None:
    player = Player()
    player.play(7.0, 5)
    player.play(1.0, 20)
    player.pause(5)
    assert path(player.acknowledge()) == ["latched→acknowledged"]
    assert path(player.pause(5)) == []
    assert path(player.play(1.0, 0.5)) == ["acknowledged→normal"]


def test_idle_windows_shorter_than_the_on_delay_do_not_change_the_state() -> None:
    player = Player()
    for _ in range(10):
        player.play(1.0, 1)
        assert player.pause(1) == []


def test_an_alarm_acknowledged_in_a_gap_clears_after_the_off_delay() -> None:
    player = Player()
    player.play(7.0, 5)
    player.play(1.0, 20)
    player.machine.interrupt()
    assert path(player.acknowledge()) == ["latched→acknowledged"]
    assert path(player.play(1.0, 11)) == ["acknowledged→normal"]


def test_a_standing_alarm_is_continued_and_the_next_one_has_the_next_number() -> None:
    player = Player(standing=Alarm(1, AlarmCondition.LATCHED, 8.0))
    assert player.machine.state is MachineState.ALARM
    assert player.alarm.peak_score == 8.0
    assert path(player.play(1.0, 20)) == []
    assert path(player.acknowledge(1)) == ["latched→acknowledged", "acknowledged→normal"]
    player.play(7.0, 5)
    assert player.alarm.number == 2


def test_a_latched_alarm_returns_to_normal_after_the_latch_was_removed() -> None:
    player = Player(UNLATCHED, standing=Alarm(1, AlarmCondition.LATCHED, 8.0))
    assert path(player.play(1.0, 20)) == ["latched→returned"]


def test_only_the_sound_or_a_latch_activates_and_only_a_person_acknowledges() -> None:
    for (before, trigger), after in TRANSITIONS.items():
        if before not in ACTIVE and after in ACTIVE:
            assert trigger is Trigger.ALARM
        if before in UNACKNOWLEDGED and after in (
            AlarmCondition.ACKNOWLEDGED,
            AlarmCondition.NORMAL,
        ):
            assert trigger is Trigger.ACKNOWLEDGE
