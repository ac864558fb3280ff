"""The life of an alarm: shelving, out of service, and sound that gets worse."""

from __future__ import annotations

from dataclasses import replace

import pytest

from asd_monitor.alarm.re_alarm import ScoreAtScale
from asd_monitor.alarm.state import (
    OUT_OF_SERVICE,
    SHELVED,
    TRANSITIONS,
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


class Plant:
    """One machine, with a score every half second."""

    def __init__(self, *, latch: bool = True, standing: Alarm | None = None) -> None:
        self.machine = AlarmStateMachine(replace(RULE, latch=latch), RATE_HZ, standing)
        self.at = 0

    def play(self, score: float, seconds: float, scale_s: float = 10.0) -> list[str]:
        changes: list[Transition] = []
        for _ in range(round(seconds * 2)):
            self.at += RATE_HZ // 2
            scores = (ScoreAtScale(score, scale_s),)
            changes += self.machine.observe(self.at, score, time_scale_s=scale_s, scores=scores)
        return path(changes)

    def change(self, trigger: Trigger) -> list[str]:
        number = self.machine.occurrence.alarm.number
        return path(list(self.machine.change(trigger, self.at, number, "ann", "a test")))

    def service(self, *, in_service: bool) -> list[str]:
        changes = self.machine.change_service(self.at, "ann", "belt", in_service=in_service)
        return path(list(changes))

    @property
    def alarm(self) -> Alarm:
        assert self.machine.alarm is not None
        return self.machine.alarm


def path(changes: list[Transition]) -> list[str]:
    return [f"{c.before}→{c.after}" for c in changes if c.kind is TransitionKind.ALARM]


def raised() -> Plant:
    plant = Plant()
    assert plant.play(7.0, 5) == ["normal→unacknowledged"]
    return plant


def test_the_sound_is_followed_below_a_shelf() -> None:
    plant = raised()
    assert plant.change(Trigger.SHELVE) == ["unacknowledged→shelved"]
    assert plant.machine.state is MachineState.ALARM
    assert plant.play(1.0, 15) == ["shelved→shelved_returned"]
    assert (plant.alarm.active, plant.machine.state) == (False, MachineState.NORMAL)
    assert plant.play(7.0, 5) == ["shelved_returned→shelved"]
    assert (plant.alarm.number, plant.alarm.active, plant.alarm.cleared) == (1, True, None)


def test_an_alarm_that_is_unshelved_is_acknowledged_by_that() -> None:
    plant = raised()
    plant.change(Trigger.SHELVE)
    assert plant.change(Trigger.UNSHELVE) == ["shelved→acknowledged"]
    assert plant.play(1.0, 15) == ["acknowledged→normal"]
    plant = raised()
    plant.change(Trigger.SHELVE)
    plant.play(1.0, 15)
    assert plant.change(Trigger.UNSHELVE) == ["shelved_returned→normal"]


def test_a_shelf_that_expires_leaves_the_alarm_unacknowledged() -> None:
    plant = raised()
    plant.change(Trigger.ACKNOWLEDGE)
    assert plant.change(Trigger.SHELVE) == ["acknowledged→shelved"]
    assert plant.change(Trigger.SHELF_EXPIRED) == ["shelved→unacknowledged"]


def test_a_shelf_that_expires_in_normal_sound_does_not_activate_the_alarm() -> None:
    plant = raised()
    plant.change(Trigger.SHELVE)
    plant.play(1.0, 15)
    assert plant.change(Trigger.SHELF_EXPIRED) == ["shelved_returned→returned"]
    assert (plant.alarm.number, plant.alarm.active) == (1, False)
    assert plant.machine.state == "normal"


def test_out_of_service_hides_the_alarm_and_the_state_is_a_warning_at_most() -> None:
    plant = raised()
    assert plant.service(in_service=False) == ["unacknowledged→out_of_service"]
    assert (plant.machine.state, plant.alarm.active) == (MachineState.WARNING, True)
    assert plant.play(1.0, 15) == ["out_of_service→out_of_service_returned"]
    assert plant.machine.state == "normal"
    assert plant.play(7.0, 5) == ["out_of_service_returned→out_of_service"]
    assert plant.service(in_service=True) == ["out_of_service→unacknowledged"]
    assert plant.machine.state == "alarm"


def test_an_alarm_in_normal_sound_is_closed_by_the_return_to_service() -> None:
    plant = raised()
    plant.change(Trigger.SHELVE)
    assert plant.service(in_service=False) == ["shelved→out_of_service"]
    plant.play(1.0, 15)
    assert plant.service(in_service=True) == ["out_of_service_returned→normal"]


def test_no_alarm_is_raised_out_of_service_and_one_at_once_in_service() -> None:
    plant = Plant()
    assert plant.service(in_service=False) == []
    assert plant.play(9.0, 60) == []
    assert (plant.machine.alarm, plant.machine.state) == (None, MachineState.WARNING)
    assert plant.service(in_service=True) == []
    assert plant.play(9.0, 0.5) == ["normal→unacknowledged"]


def test_an_alarm_that_a_suspicion_delays_is_not_raised_out_of_service() -> None:
    plant = Plant()
    for _ in range(20):
        plant.at += RATE_HZ // 2
        plant.machine.observe(plant.at, 9.0, suspected=True)
    plant.service(in_service=False)
    assert path(list(plant.machine.raise_held())) == []
    assert plant.play(9.0, 60) == []


def test_an_acknowledged_alarm_is_raised_again_where_its_score_rises_by_two() -> None:
    plant = raised()
    plant.play(7.5, 5)
    plant.change(Trigger.ACKNOWLEDGE)
    assert plant.play(9.4, 600) == []
    assert plant.play(9.5, 3) == []
    assert plant.play(9.5, 0.5) == ["acknowledged→unacknowledged"]
    assert plant.alarm.number == 1
    plant.change(Trigger.ACKNOWLEDGE)
    assert plant.play(11.4, 60) == []
    assert plant.play(11.5, 4) == ["acknowledged→unacknowledged"]


def test_a_longer_time_scale_is_no_news_and_a_shorter_one_is() -> None:
    plant = Plant()
    plant.play(7.0, 5, scale_s=600.0)
    plant.change(Trigger.ACKNOWLEDGE)
    assert plant.play(12.0, 60, scale_s=3600.0) == []
    assert plant.play(6.0, 4, scale_s=10.0) == ["acknowledged→unacknowledged"]
    plant.change(Trigger.ACKNOWLEDGE)
    assert plant.play(6.0, 60, scale_s=10.0) == []
    assert plant.play(6.0, 60, scale_s=600.0) == []


def test_a_shorter_scale_that_was_known_at_the_acknowledgement_is_no_news() -> None:
    plant = Plant()
    plant.play(7.0, 5, scale_s=600.0)
    plant.play(7.0, 5, scale_s=10.0)
    plant.change(Trigger.ACKNOWLEDGE)
    assert plant.play(7.0, 60, scale_s=10.0) == []


def test_what_was_acknowledged_is_known_after_a_restart() -> None:
    plant = raised()
    plant.change(Trigger.ACKNOWLEDGE)
    plant.play(8.5, 5)
    plant = Plant(standing=plant.alarm)
    assert plant.play(8.9, 60) == []
    assert plant.play(9.0, 4) == ["acknowledged→unacknowledged"]


def test_a_suspicion_of_the_microphone_delays_a_second_alarm_as_the_first() -> None:
    plant = raised()
    plant.change(Trigger.ACKNOWLEDGE)
    changes: list[Transition] = []
    for _ in range(40):
        plant.at += RATE_HZ // 2
        score = ScoreAtScale(11.0, 10.0)
        changes += plant.machine.observe(plant.at, 11.0, scores=(score,), suspected=True)
    assert path(changes) == []
    assert plant.play(1.0, 0.5) == ["acknowledged→unacknowledged"]


@pytest.mark.parametrize("hidden", [SHELVED, OUT_OF_SERVICE])
def test_a_hidden_alarm_is_left_by_a_person_or_by_time(hidden: frozenset[AlarmCondition]) -> None:
    of_sound = {Trigger.ALARM, Trigger.RETURN_TO_NORMAL, Trigger.RETURN_TO_NORMAL_LATCHED}
    for (before, trigger), after in TRANSITIONS.items():
        if before in hidden:
            assert (after in hidden) == (trigger in {*of_sound, Trigger.SHELVE})
