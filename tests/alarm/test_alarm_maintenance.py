"""The sound of the work at a machine out of service, and the longer time scales after it."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from asd_monitor.alarm.block_means import BlockMean
from asd_monitor.alarm.logic import AlarmLogic
from asd_monitor.alarm.scale_tail import ScaleTail
from asd_monitor.alarm.state import AlarmRule, TransitionKind
from asd_monitor.alarm.time_scales import TIME_SCALES
from asd_monitor.records import MachineState, Thresholds, WindowScore

RATE_HZ, HOP = 100, 50
TAILS = tuple(ScaleTail(scale.seconds, 0.0, 0.35, 12.0) for scale in TIME_SCALES)
RULE = AlarmRule(Thresholds(3.94, 5.42), 0.5, 0.5, TAILS)
NORMAL, OF_THE_WORK = 0.0, 8.0


class Machine:
    """One machine with windows of half a second."""

    def __init__(
        self, history: Sequence[BlockMean] = (), *, in_service: bool = True, at: int = 0
    ) -> None:
        self.logic = AlarmLogic(RULE, RATE_HZ, history=history, in_service=in_service)
        self.at = at

    def play(self, evidence: float, minutes: float) -> list[str]:
        raised = []
        for _ in range(round(minutes * 120)):
            self.at += HOP
            window = WindowScore(
                self.at - HOP, self.at, 0.0, evidence, evidence, {}, -30.0, idle=False
            )
            changes = self.logic.push(window).transitions
            raised += [each.after for each in changes if each.kind is TransitionKind.ALARM]
        return raised

    @property
    def state(self) -> MachineState:
        return self.logic.state

    def service(self, *, in_service: bool) -> None:
        self.logic.change_service(self.at, "ann", "belt", in_service=in_service)


@pytest.mark.parametrize("restarted", [False, True])
def test_the_work_raises_no_alarm_after_the_return_to_service(restarted: bool) -> None:
    machine = Machine()
    machine.play(NORMAL, 20)
    machine.service(in_service=False)
    machine.play(OF_THE_WORK, 20)
    if restarted:
        machine = Machine(machine.logic.block_means, in_service=False, at=machine.at)
    assert machine.play(NORMAL, 2) == []
    assert machine.state == "warning"  # by the mean over ten minutes
    machine.service(in_service=True)
    assert machine.play(NORMAL, 2) == []
    assert machine.state == "normal"


def test_sound_that_is_abnormal_at_the_return_raises_an_alarm_at_once() -> None:
    machine = Machine()
    machine.play(NORMAL, 20)
    machine.service(in_service=False)
    machine.play(OF_THE_WORK, 20)
    machine.service(in_service=True)
    assert machine.play(OF_THE_WORK, 0.5 / 60) == ["unacknowledged"]


def test_the_means_before_the_work_are_kept() -> None:
    machine = Machine()
    machine.play(1.0, 20)
    machine.service(in_service=False)
    machine.play(OF_THE_WORK, 5)
    machine.service(in_service=True)
    means = {level.time_scale_s: level.mean for level in machine.logic.levels}
    assert means[600.0] == pytest.approx(1.0)
