"""The monitor of one machine: alarms, gaps, acknowledgements, division into blocks."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asd_monitor.alarm.state import Alarm, AlarmCondition, TransitionKind, Trigger
from asd_monitor.monitor import Monitor
from asd_monitor.records import Block, MachineState, Samples, Stream
from tests.doubles.blocks import block_at
from tests.doubles.scripted_scorer import (
    HOP,
    RAISED_S,
    RATE_HZ,
    RULE,
    SPAN,
    WINDOW,
    ScriptedScorer,
    changes,
    dead,
    monitor_of,
    play,
    sound,
    stream,
)


def test_a_fault_raises_one_alarm() -> None:
    subject = monitor_of(lambda end: 8.0 if end > 3000 else 0.5)
    readings = play(subject, stream(sound(120)))
    # more than half of the span of the alarm score, then the on-delay
    assert changes(readings, TransitionKind.ALARM) == [(30.5 + RAISED_S, "normal→unacknowledged")]
    assert readings[-1].state is MachineState.ALARM
    assert readings[-1].alarm is not None
    assert readings[-1].alarm.peak_score == 8.0


def test_every_window_has_one_reading() -> None:
    readings = play(monitor_of(lambda end: 0.5), stream(sound(30)))
    assert [r.sample for r in readings] == list(range(WINDOW, 3001, HOP))
    assert all(r.window is not None and r.window.end == r.sample for r in readings)
    assert readings[-1].alarm_score == pytest.approx(0.5)


def test_gaps_restart_the_delays() -> None:
    parts: list[Samples | float] = [sound(2.0 + RULE.on_delay_s - 0.5), 1.0] * 20
    readings = play(monitor_of(lambda end: 9.0), stream(*parts))
    assert changes(readings, TransitionKind.ALARM) == []


def test_a_fault_raises_an_alarm_in_spite_of_short_gaps() -> None:
    parts: list[Samples | float] = [sound(8), 0.1] * 4
    readings = play(monitor_of(lambda end: 9.0), stream(*parts))
    raised = changes(readings, TransitionKind.ALARM)
    assert [change for _, change in raised] == ["normal→unacknowledged"]
    assert raised[0][0] < 18


def test_scores_from_before_a_long_gap_do_not_enter_the_alarm_score() -> None:
    parts: list[Samples | float] = [sound(20), float(SPAN), sound(4)]
    readings = play(monitor_of(lambda end: 9.0 if end < 1500 else 0.5), stream(*parts))
    assert readings[-1].alarm_score == 0.0


def test_a_standing_alarm_does_not_return_to_normal_in_a_gap() -> None:
    subject = monitor_of(lambda end: 0.5, standing=Alarm(1, AlarmCondition.ACKNOWLEDGED, 7.0))
    readings = play(subject, stream(sound(12), 3600.0, sound(12), 3600.0, sound(40)))
    cleared = changes(readings, TransitionKind.ALARM)
    assert cleared == [(7224.0 + 2 + (SPAN - 1) * 0.5 + 10, "acknowledged→normal")]


def test_an_alarm_acknowledged_while_capture_is_interrupted_stays_active() -> None:
    subject = monitor_of(lambda end: 8.0 if end < 1500 else 0.5)
    play(subject, stream(sound(60)))
    subject.interrupt()
    assert [t.after for t in subject.change(Trigger.ACKNOWLEDGE, 1, "ann", "seen")] == [
        "acknowledged"
    ]
    assert subject.state is MachineState.ALARM


def test_an_interrupted_capture_empties_the_span_of_the_alarm_score() -> None:
    """Also where the sample index continues without a gap."""
    subject = monitor_of(lambda end: 9.0)
    before, after = sound(20), sound(8)
    assert subject.push(block_at(0, before, RATE_HZ))[-1].alarm_score == 9.0
    subject.interrupt()
    readings = subject.push(block_at(len(before), after, RATE_HZ))
    assert [reading.alarm_score for reading in readings[: SPAN // 2]] == [0.0] * (SPAN // 2)
    assert readings[SPAN // 2].alarm_score == 9.0


def test_an_acknowledgement_clears_a_latched_alarm() -> None:
    subject = monitor_of(lambda end: 8.0 if end < 1500 else 0.5)
    play(subject, stream(sound(60)))
    assert subject.alarm is not None
    assert subject.alarm.latched
    transitions = subject.change(Trigger.ACKNOWLEDGE, 1, "ann", "bearing greased")
    assert [t.after for t in transitions] == ["acknowledged", "normal", "normal"]
    assert {t.sample for t in transitions} == {6000}
    assert subject.state is MachineState.NORMAL
    assert subject.change(Trigger.ACKNOWLEDGE, 1, "ann", "again") == ()


def test_overlapping_blocks_are_refused() -> None:
    subject = monitor_of(lambda end: 0.5)
    subject.push(block_at(100, sound(1), RATE_HZ))
    with pytest.raises(ValueError, match="overlaps"):
        subject.push(block_at(150, sound(1), RATE_HZ))


PARTS = st.lists(
    st.one_of(
        st.floats(0.5, 40).map(lambda s: ("sound", s)),
        st.floats(0.5, 8).map(lambda s: ("dead", s)),
        st.floats(0.1, 5).map(lambda s: ("gap", s)),
    ),
    min_size=1,
    max_size=8,
)


@settings(deadline=None, max_examples=60)
@given(
    PARTS,
    st.integers(0, 2**32),
    st.lists(st.integers(1, 900), min_size=1, max_size=30),
    st.sampled_from([0.1, 0.5]),
    st.integers(1, 3),
)
def test_readings_do_not_depend_on_the_division_into_blocks(
    parts: list[tuple[str, float]], seed: int, cuts: list[int], idle_share: float, stride: int
) -> None:
    random = np.random.default_rng(seed)
    scores = random.choice([0.5, 5.0, 8.0], size=200, p=[0.3, 0.1, 0.6]).repeat(12)
    off = (random.random(200) < idle_share).repeat(12)

    def new() -> tuple[Monitor, ScriptedScorer]:
        scorer = ScriptedScorer(
            lambda end: float(scores[end // HOP % len(scores)]),
            lambda end: bool(off[end // HOP % len(off)]),
            stride,
        )
        return Monitor(scorer, RULE, RATE_HZ), scorer

    parts_of: dict[str, Callable[[float], Samples | float]] = {
        "sound": lambda seconds: sound(seconds, seed % 1000),
        "dead": dead,
        "gap": float,
    }
    whole: list[Block] = []
    for block in stream(*(parts_of[kind](seconds) for kind, seconds in parts)):
        if whole and whole[-1].end == block.start:
            before = whole.pop()
            joined = np.concatenate([before.samples, block.samples])
            whole.append(block_at(before.start, joined, RATE_HZ))
        else:
            whole.append(block)
    pieces, turn = [], 0
    for block in whole:
        at = 0
        while at < len(block.samples):
            size = cuts[turn % len(cuts)]
            pieces.append(block_at(block.start + at, block.samples[at : at + size], RATE_HZ))
            at, turn = at + size, turn + 1

    subject, scorer = new()
    cut_subject, cut_scorer = new()
    assert play(cut_subject, pieces) == play(subject, whole)
    assert cut_scorer.samples == scorer.samples
    assert cut_subject.microphone == subject.microphone


def test_a_block_of_another_stream_is_refused() -> None:
    subject = monitor_of(lambda end: 0.0)
    subject.push(block_at(0, sound(1), RATE_HZ))
    with pytest.raises(ValueError, match="another stream"):
        subject.push(Block(Stream(RATE_HZ), RATE_HZ, sound(1)))


def test_a_stream_of_another_rate_is_refused() -> None:
    with pytest.raises(ValueError, match="another stream"):
        monitor_of(lambda end: 0.0).push(block_at(0, sound(1), 2 * RATE_HZ))
