"""Sound that gets worse after the acknowledgement, through the alarm score of all time scales."""

from __future__ import annotations

from dataclasses import replace

import pytest

from asd_monitor.alarm.alarm_score import AlarmScore
from asd_monitor.alarm.scale_tail import ScaleTail
from asd_monitor.alarm.state import Alarm, AlarmCondition, AlarmRule, Trigger
from asd_monitor.alarm.state_machine import AlarmStateMachine
from asd_monitor.alarm.time_scales import evidence_at
from asd_monitor.records import Thresholds, WhenQuiet

RATE_HZ = 100
HOP_S = 1.0
HOUR_S = 3600.0
SCALES_S = (10.0, 30.0, 600.0, HOUR_S, 86400.0)
LIGHT = (40.0, (1.0, 0.6, 0.2, 0.12, 0.08))
"""Degrees of freedom and scales of a model of hours: its long time scales show small changes."""
WIDE = (5.0, (1.0, 0.9, 0.7, 0.6, 0.5))


def rule_of(dof: float, spreads: tuple[float, ...]) -> AlarmRule:
    tails = tuple(
        ScaleTail(seconds, 0.0, spread, dof)
        for seconds, spread in zip(SCALES_S, spreads, strict=True)
    )
    return AlarmRule(Thresholds(4.0, 5.42), hop_s=HOP_S, tails=tails)


class Plant:
    """One machine, with a window every second."""

    def __init__(self, rule: AlarmRule) -> None:
        self.rule = rule
        self.score = AlarmScore(rule, RATE_HZ)
        self.machine = AlarmStateMachine(rule, RATE_HZ)
        self.end = 0

    def play(self, evidence: float, seconds: float) -> list[str]:
        """Evaluate so much sound with this evidence; return the transitions of the alarm."""
        changes: list[str] = []
        for _ in range(round(seconds / HOP_S)):
            self.end += round(RATE_HZ * HOP_S)
            newest = self.score.push(evidence, self.end)
            found = self.machine.observe(
                self.end,
                newest.score,
                time_scale_s=newest.time_scale_s,
                scores=self.score.scores,
                conclusive=self.score.full,
            )
            changes += [f"{c.before}→{c.after}" for c in found if c.kind == "alarm"]
        return changes

    def acknowledge(self) -> None:
        self.machine.change(Trigger.ACKNOWLEDGE, self.end, 1, "ann", "seen")

    def restart(self) -> None:
        """Continue with the alarm and the means of a stream before, as after a restart."""
        alarm = self.machine.alarm
        assert alarm is not None
        standing = replace(alarm, raised=None, cleared=None)
        self.machine = AlarmStateMachine(self.rule, RATE_HZ, standing)
        self.score.interrupt()


@pytest.mark.parametrize(("dof", "spreads"), [LIGHT, WIDE])
@pytest.mark.parametrize("lasted_s", [30.0, 2 * HOUR_S])
def test_a_fault_that_gets_much_worse_rings_whenever_it_was_acknowledged(
    dof: float, spreads: tuple[float, ...], lasted_s: float
) -> None:
    plant = Plant(rule_of(dof, spreads))
    before, after = (evidence_at(plant.rule.tails[0], score) for score in (6.5, 9.0))
    plant.play(0.0, 60)
    assert plant.play(before, lasted_s) == ["normal→unacknowledged"]
    plant.acknowledge()
    assert plant.play(before, 600) == []
    assert plant.play(after, 20) == ["acknowledged→unacknowledged"]


@pytest.mark.parametrize("spreads", [LIGHT[1], WIDE[1]])
@pytest.mark.parametrize("scale", range(4))
def test_a_steady_fault_does_not_ring_again_while_longer_scales_fill(
    spreads: tuple[float, ...], scale: int
) -> None:
    """Acknowledged at once, at the shortest time scale that shows it."""
    plant = Plant(rule_of(40.0, spreads))
    evidence = evidence_at(plant.rule.tails[scale], 9.0)
    plant.play(0.0, 2 * HOUR_S)
    for _ in range(2 * 3600):
        if plant.play(evidence, HOP_S):
            break
    assert plant.machine.alarm is not None
    plant.acknowledge()
    assert plant.play(evidence, 600) == []
    plant.restart()
    assert plant.play(evidence, 2 * HOUR_S) == []


def test_a_slight_fault_that_gets_worse_rings_by_the_scale_that_shows_it() -> None:
    plant = Plant(rule_of(*LIGHT))
    plant.play(0.0, HOUR_S)
    slight = evidence_at(plant.rule.tails[2], 6.0)
    assert plant.play(slight, HOUR_S) == ["normal→unacknowledged"]
    plant.acknowledge()
    assert plant.play(slight, HOUR_S) == []
    assert plant.play(evidence_at(plant.rule.tails[2], 8.5), HOUR_S) == [
        "acknowledged→unacknowledged"
    ]


def test_a_fault_that_got_worse_during_a_restart_rings() -> None:
    plant = Plant(rule_of(*LIGHT))
    plant.play(0.0, 60)
    plant.play(evidence_at(plant.rule.tails[0], 7.0), HOUR_S)
    plant.acknowledge()
    plant.restart()
    worse = evidence_at(plant.rule.tails[0], 9.5)
    assert plant.play(worse, 20) == ["acknowledged→unacknowledged"]


def test_the_sound_of_the_work_is_not_the_highest_before_the_acknowledgement() -> None:
    plant = Plant(rule_of(*LIGHT))
    fault, work, worse = (evidence_at(plant.rule.tails[0], score) for score in (6.5, 11.9, 9.5))
    plant.play(0.0, 60)
    assert plant.play(fault, 60) == ["normal→unacknowledged"]
    begun = plant.end
    plant.machine.change_service(begun, "ann", "belt", in_service=False)
    plant.play(work, 600)
    plant.play(fault, 60)
    plant.score.forget_means_since(begun)  # as `AlarmLogic` does
    plant.machine.change_service(plant.end, "ann", "belt", in_service=True)
    plant.play(fault, 60)
    plant.acknowledge()
    assert plant.machine.alarm is not None
    assert (plant.machine.alarm.scale_peaks or {})[10.0] < 7.0
    assert plant.play(fault, 60) == []
    assert plant.play(worse, 20) == ["acknowledged→unacknowledged"]


def test_an_alarm_by_silence_is_raised_again_by_abnormal_sound() -> None:
    rule = replace(rule_of(*LIGHT), when_quiet=WhenQuiet.ALARM)
    plant = Plant(rule)
    for _ in range(20):
        plant.end += round(RATE_HZ * HOP_S)
        plant.machine.observe_quiet(plant.end)
    plant.acknowledge()
    assert plant.machine.alarm is not None
    assert (plant.machine.alarm.condition, plant.machine.alarm.scale_peaks) == ("acknowledged", {})
    plant.restart()
    assert plant.play(evidence_at(rule.tails[0], 6.0), 20) == ["acknowledged→unacknowledged"]


def test_sound_does_not_compare_with_what_is_not_known() -> None:
    plant = Plant(rule_of(*LIGHT))
    standing = Alarm(1, AlarmCondition.ACKNOWLEDGED, 7.0)
    plant.machine = AlarmStateMachine(plant.rule, RATE_HZ, standing)
    assert plant.play(evidence_at(plant.rule.tails[0], 11.0), 120) == []


def test_sound_at_the_end_of_the_scale_cannot_get_worse() -> None:
    plant = Plant(rule_of(*LIGHT))
    plant.play(0.0, 60)
    plant.play(evidence_at(plant.rule.tails[0], 10.5), 60)
    plant.acknowledge()
    assert plant.play(1000.0, 600) == []
