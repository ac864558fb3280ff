"""A dead channel: a microphone fault, and its sound is not scored."""

from __future__ import annotations

import numpy as np

from asd_monitor.alarm.state import Alarm, AlarmCondition, TransitionKind
from asd_monitor.records import MachineState
from tests.doubles.scripted_scorer import (
    HOP,
    WINDOW,
    changes,
    dead,
    monitor_of,
    play,
    sound,
    stream,
)


def test_a_dead_channel_is_a_microphone_fault_and_not_scored() -> None:
    subject = monitor_of(lambda end: 0.5)
    readings = play(subject, stream(sound(10), dead(60), sound(10, seed=1)))
    assert changes(readings, TransitionKind.MICROPHONE) == [(12.0, "ok→fault"), (70.0, "fault→ok")]
    assert [r.sample for r in readings if 1200 < r.sample < 7200] == [7000]
    assert [str(r.microphone) for r in readings if r.window is None] == ["fault", "ok"]
    assert not subject.microphone.is_fault


def test_a_channel_can_die_and_return_within_one_block() -> None:
    whole = np.concatenate([sound(10), dead(60), sound(10, seed=1), dead(5), sound(10, seed=2)])
    readings = play(monitor_of(lambda end: 0.5), stream(whole))
    assert changes(readings, TransitionKind.MICROPHONE) == [
        (12.0, "ok→fault"),
        (70.0, "fault→ok"),
        (82.0, "ok→fault"),
        (85.0, "fault→ok"),
    ]


def test_a_dead_channel_neither_raises_nor_clears_an_alarm() -> None:
    subject = monitor_of(lambda end: 0.5, standing=Alarm(1, AlarmCondition.ACKNOWLEDGED, 7.0))
    readings = play(subject, stream(sound(8), dead(600)))
    assert changes(readings, TransitionKind.ALARM) == []
    assert subject.microphone.is_fault
    assert subject.state is MachineState.ALARM


def test_a_channel_is_dead_at_any_constant_value() -> None:
    readings = play(monitor_of(lambda end: 0.5), stream(sound(3), dead(3, value=-1.0)))
    assert changes(readings, TransitionKind.MICROPHONE) == [(5.0, "ok→fault")]


def test_a_channel_is_dead_after_exactly_two_seconds() -> None:
    readings = play(monitor_of(lambda end: 0.5), stream(sound(3), dead(2.0), sound(3)))
    assert changes(readings, TransitionKind.MICROPHONE) == [(5.0, "ok→fault"), (5.0, "fault→ok")]


def test_a_constant_run_shorter_than_two_seconds_is_sound() -> None:
    parts = [sound(3), dead(1.99)] * 10
    readings = play(monitor_of(lambda end: 0.5), stream(*parts))
    assert changes(readings, TransitionKind.MICROPHONE) == []
    assert len(readings) == len(range(WINDOW, sum(map(len, parts)) + 1, HOP))


def test_a_dead_channel_stays_dead_over_a_gap() -> None:
    readings = play(monitor_of(lambda end: 0.5), stream(dead(3), 5.0, dead(1), sound(3)))
    assert changes(readings, TransitionKind.MICROPHONE) == [(2.0, "ok→fault"), (9.0, "fault→ok")]


def test_a_gap_ends_a_constant_run() -> None:
    readings = play(monitor_of(lambda end: 0.5), stream(dead(1.5), 5.0, dead(1.5), sound(3)))
    assert changes(readings, TransitionKind.MICROPHONE) == []
