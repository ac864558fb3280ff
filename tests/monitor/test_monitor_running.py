"""While the machine is off by a signal from outside nothing is scored, as in an idle pause."""

from __future__ import annotations

import pytest

from asd_monitor.alarm.state import Alarm, AlarmCondition, TransitionKind, Trigger
from asd_monitor.monitor import Monitor, Reading, push_batch
from tests.doubles.blocks import block_at
from tests.doubles.scripted_scorer import (
    RATE_HZ,
    RULE,
    SPAN,
    ScriptedScorer,
    changes,
    dead,
    monitor_of,
    never,
    sound,
)


class Player:
    """Plays parts of a stream, in some of which the machine is off."""

    def __init__(self, subject: Monitor) -> None:
        self.subject = subject
        self.end = 0
        self.readings: list[Reading] = []

    def play(self, seconds: float, *, running: bool = True, gap_s: float = 0.0) -> list[Reading]:
        """Play this after a gap; return the readings."""
        self.end += round(gap_s * RATE_HZ)
        self.subject.running = running
        samples = sound(seconds, self.end)
        (outcome,) = push_batch([self.subject], [block_at(self.end, samples, RATE_HZ)])
        assert isinstance(outcome, list)
        self.end += len(samples)
        self.readings += outcome
        return outcome


def test_nothing_is_scored_and_the_state_is_kept() -> None:
    scorer = ScriptedScorer(lambda end: 9.0, never)
    player = Player(Monitor(scorer, RULE, RATE_HZ))
    player.play(20)
    state, scored = player.subject.state, len(scorer.samples)
    assert player.play(600, running=False) == []
    assert player.subject.state is state
    assert len(scorer.samples) == scored
    assert player.subject.missing_samples == 0
    assert [r.sample for r in player.play(3)] == [62_200, 62_250, 62_300]


@pytest.mark.parametrize("run_s", [3, 5, 9])
def test_a_fault_in_short_runs_raises_an_alarm_and_normal_sound_clears_it(run_s: int) -> None:
    fault = True
    player = Player(monitor_of(lambda end: 9.0 if fault else 0.5))
    for _ in range(12):
        player.play(run_s)
        player.play(100, running=False)
    player.subject.change(Trigger.ACKNOWLEDGE, 1, "ann", "seen")
    fault = False
    for _ in range(16):
        player.play(run_s)
        player.play(100, running=False)
    alarms = [change for _, change in changes(player.readings, TransitionKind.ALARM)]
    assert alarms == ["normal→unacknowledged", "acknowledged→normal"]


@pytest.mark.parametrize(("gap_s", "score"), [(0.0, 9.0), (SPAN * 0.5, 0.0)])
def test_sound_that_is_lost_after_a_pause_is_missing(gap_s: float, score: float) -> None:
    player = Player(monitor_of(lambda end: 9.0))
    player.play(20)
    player.play(100, running=False)
    assert player.play(2, gap_s=gap_s)[0].alarm_score == score


def test_a_run_after_hours_begins_with_an_empty_span() -> None:
    player = Player(monitor_of(lambda end: 9.0))
    player.play(20)
    player.play(3700, running=False)
    assert player.play(2)[0].alarm_score == 0.0


def test_an_acknowledged_alarm_does_not_clear_by_a_pause() -> None:
    standing = Alarm(1, AlarmCondition.LATCHED, 7.0)
    player = Player(monitor_of(lambda end: 0.5, standing=standing))
    player.play(25)
    player.play(100, running=False)
    changes_ = player.subject.change(Trigger.ACKNOWLEDGE, 1, "ann", "seen")
    assert [c.after for c in changes_ if c.kind is TransitionKind.ALARM] == ["acknowledged"]


def test_a_dead_channel_is_detected_in_a_pause() -> None:
    player = Player(monitor_of(lambda end: 0.5))
    player.play(10)
    player.subject.running = False
    readings = player.subject.push(block_at(player.end, dead(20), RATE_HZ))
    assert [change for _, change in changes(readings, TransitionKind.MICROPHONE)] == ["ok→fault"]
