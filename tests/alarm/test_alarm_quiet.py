"""Sound far quieter than ever in training: by the rule a warning, an idle pause or an alarm."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from asd_monitor.alarm.logic import AlarmLogic
from asd_monitor.alarm.state import Alarm, AlarmCondition, Transition, TransitionKind, Trigger
from asd_monitor.records import MachineState, Thresholds, WhenQuiet
from tests.doubles.scripted_scorer import HOP, RATE_HZ, RULE, scored_window

NORMAL, FAULT = 0.5, 9.0


class Machine:
    """An alarm logic that is played windows of one kind for some seconds."""

    def __init__(self, when_quiet: WhenQuiet, standing: Alarm | None = None, **rule: object):
        rules = replace(RULE, when_quiet=when_quiet, **rule)  # type: ignore[arg-type]
        self.logic = AlarmLogic(rules, RATE_HZ, standing)
        self.end = 0
        self.scores: list[float] = []

    def play(self, seconds: float, score: float, *, quiet: bool = False) -> list[Transition]:
        """Return the transitions; `scores` has the alarm scores of the newest call."""
        changes: list[Transition] = []
        self.scores = []
        for _ in range(round(seconds * RATE_HZ / HOP)):
            self.end += HOP
            window = replace(scored_window(self.end, score), quiet=quiet)
            evaluated = self.logic.push(window)
            self.scores.append(evaluated.alarm_score)
            changes += evaluated.transitions
        return changes

    def be_quiet(self, seconds: float) -> list[Transition]:
        """Play silence, whose own scores are those of a fault."""
        return self.play(seconds, FAULT, quiet=True)


def states(changes: Sequence[Transition]) -> list[str]:
    return [f"{c.before}→{c.after}" for c in changes if c.kind is TransitionKind.STATE]


def alarms(changes: Sequence[Transition]) -> list[str]:
    return [f"{c.before}→{c.after}" for c in changes if c.kind is TransitionKind.ALARM]


def test_warn_is_a_warning_after_the_on_delay_and_ends_after_the_off_delay() -> None:
    machine = Machine(WhenQuiet.WARN)
    machine.play(20, NORMAL)
    assert machine.be_quiet(2.5) == []
    assert not machine.logic.quiet
    changes = machine.be_quiet(600)
    assert states(changes) == ["normal→warning"]
    assert changes[0].why == "the sound is far quieter than ever in training"
    assert set(machine.scores) == {RULE.thresholds.warning}
    assert machine.logic.quiet
    assert states(machine.play(9, NORMAL)) == []
    assert not machine.logic.quiet
    assert states(machine.play(2, NORMAL)) == ["warning→normal"]


def test_idle_is_an_idle_pause() -> None:
    machine = Machine(WhenQuiet.IDLE)
    machine.play(20, NORMAL)
    changes = machine.be_quiet(600)
    assert states(changes) == ["normal→idle"]
    assert "far quieter than ever in training" in changes[0].why
    assert set(machine.scores) == {0.0}
    assert states(machine.play(3.5, NORMAL)) == ["idle→normal"]


def test_alarm_is_an_alarm_with_its_whole_life() -> None:
    machine = Machine(WhenQuiet.ALARM)
    machine.play(20, NORMAL)
    assert alarms(machine.be_quiet(2.5)) == []
    changes = machine.be_quiet(60)
    assert alarms(changes) == ["normal→unacknowledged"]
    assert changes[0].why == (
        "the sound is far quieter than ever in training, and the machine has to run"
    )
    assert set(machine.scores) == {RULE.thresholds.alarm}
    assert machine.logic.alarm is not None
    assert machine.logic.alarm.peak_score == RULE.thresholds.alarm
    assert alarms(machine.play(30, NORMAL)) == ["unacknowledged→latched"]
    acknowledged = machine.logic.change(Trigger.ACKNOWLEDGE, machine.end, 1, "ann", "started")
    assert alarms(acknowledged) == ["latched→acknowledged", "acknowledged→normal"]


@pytest.mark.parametrize("when_quiet", WhenQuiet)
def test_silence_shorter_than_the_on_delay_changes_nothing(when_quiet: WhenQuiet) -> None:
    machine = Machine(when_quiet)
    machine.play(20, NORMAL)
    for _ in range(30):
        assert machine.be_quiet(2.5) == []
        assert machine.play(5, NORMAL) == []


@pytest.mark.parametrize("when_quiet", [WhenQuiet.WARN, WhenQuiet.IDLE])
def test_silence_raises_no_alarm_also_where_both_thresholds_are_equal(
    when_quiet: WhenQuiet,
) -> None:
    machine = Machine(when_quiet, thresholds=Thresholds(6.0, 6.0))
    machine.play(20, NORMAL)
    assert alarms(machine.be_quiet(3600)) == []
    assert machine.logic.state is not MachineState.NORMAL


@pytest.mark.parametrize("when_quiet", WhenQuiet)
@pytest.mark.parametrize("latch", [True, False])
def test_no_alarm_clears_by_silence(when_quiet: WhenQuiet, latch: bool) -> None:
    standing = Alarm(1, AlarmCondition.ACKNOWLEDGED, 7.0)
    machine = Machine(when_quiet, standing, latch=latch)
    assert alarms(machine.be_quiet(3600)) == []
    assert machine.logic.state is MachineState.ALARM


@pytest.mark.parametrize("when_quiet", [WhenQuiet.WARN, WhenQuiet.IDLE])
def test_a_fault_in_short_runs_between_silences_raises_an_alarm(when_quiet: WhenQuiet) -> None:
    machine = Machine(when_quiet)
    changes = []
    for _ in range(10):
        changes += machine.be_quiet(20)
        changes += machine.play(5, FAULT)
    assert alarms(changes) == ["normal→unacknowledged"]
    assert changes[-1].why != "the sound is far quieter than ever in training"


@pytest.mark.parametrize("when_quiet", [WhenQuiet.WARN, WhenQuiet.IDLE])
def test_after_hours_of_silence_the_scores_of_the_run_before_do_not_count(
    when_quiet: WhenQuiet,
) -> None:
    machine = Machine(when_quiet)
    machine.play(7, FAULT)
    machine.be_quiet(2 * 3600)
    machine.play(4, FAULT)
    assert max(machine.scores) < RULE.thresholds.warning
