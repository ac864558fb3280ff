"""Idle windows: skipped in the alarm score, and delays are suspended."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asd_monitor.alarm.span_median import ALARM_SPAN_S
from asd_monitor.alarm.state import Alarm, AlarmCondition, TransitionKind
from asd_monitor.monitor import Monitor, Reading
from asd_monitor.records import Samples
from tests.doubles.blocks import block_at
from tests.doubles.scripted_scorer import (
    HOP,
    RAISED_S,
    RATE_HZ,
    RULE,
    SPAN,
    WINDOW,
    ListedScorer,
    ScriptedScorer,
    changes,
    monitor_of,
    play,
    scored_window,
    sound,
    stream,
)


def test_an_idle_machine_raises_no_alarm() -> None:
    subject = monitor_of(lambda end: 9.0, idle=lambda end: end <= 6000)
    readings = play(subject, stream(sound(90)))
    assert changes(readings, TransitionKind.STATE)[:2] == [
        (5.0, "normal→idle"),
        (60.5, "idle→normal"),
    ]
    assert changes(readings, TransitionKind.ALARM) == [(60.5 + RAISED_S, "normal→unacknowledged")]
    assert all(r.alarm_score == 0.0 for r in readings if r.window and r.window.idle)


def duty_cycle(on: int, off: int) -> Callable[[int], bool]:
    """Idle for ``off`` windows after every ``on`` windows."""
    return lambda end: (end - WINDOW) // HOP % (on + off) >= on


@pytest.mark.parametrize(("on", "off"), [(1, 2), (4, 10), (7, 60), (19, 10)])
def test_a_fault_in_a_short_duty_cycle_raises_an_alarm_after_enough_running_time(
    on: int, off: int
) -> None:
    readings = play(monitor_of(lambda end: 9.0, duty_cycle(on, off)), stream(sound(600)))
    running = [r.sample for r in readings if r.window is not None and not r.window.idle]
    # as for a machine that runs continuously: more than half of the span, then the on-delay
    raised = running[round(RAISED_S / RULE.hop_s)]
    assert changes(readings, TransitionKind.ALARM) == [(raised / RATE_HZ, "normal→unacknowledged")]


def test_an_alarm_clears_after_the_off_delay_of_running_time() -> None:
    subject = Monitor(
        ScriptedScorer(lambda end: 0.5, duty_cycle(4, 10)),
        RULE,
        RATE_HZ,
        Alarm(1, AlarmCondition.ACKNOWLEDGED, 7.0),
    )
    readings = play(subject, stream(sound(600)))
    running = [r.sample for r in readings if r.window is not None and not r.window.idle]
    cleared = running[SPAN - 1 + round(RULE.off_delay_s / RULE.hop_s)]
    assert changes(readings, TransitionKind.ALARM) == [(cleared / RATE_HZ, "acknowledged→normal")]


@pytest.mark.parametrize(("gap_s", "alarms"), [(0.0, 1), (0.1, 0)])
def test_a_gap_within_an_idle_pause_restarts_the_delays(gap_s: float, alarms: int) -> None:
    """The machine runs for less than the on-delay between idle pauses."""
    period = round((8 + gap_s) * RATE_HZ)
    subject = monitor_of(lambda end: 9.0, idle=lambda end: not 350 <= end % period <= 600)
    parts: list[Samples | float] = [sound(8), gap_s] * 30
    readings = play(subject, stream(*parts))
    assert max(reading.alarm_score for reading in readings) == 9.0
    assert len(changes(readings, TransitionKind.ALARM)) == alarms


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize(("before_s", "after_s"), [(0, 0), (0, 15), (15, 0), (15, 15)])
def test_windows_lost_at_an_idle_pause_are_missing_from_the_alarm_score(
    before_s: int, after_s: int, stride: int
) -> None:
    """A gap as long as the span, with an idle pause before it, after it, or on both sides."""

    def alarm_score_after(gap_s: float) -> float:
        pause_end = (30 + before_s + after_s + gap_s) * RATE_HZ
        scorer = ScriptedScorer(
            lambda end: 9.0 if end <= 3000 else 0.5,
            lambda end: 3000 < end <= pause_end,
            stride,
        )
        parts: list[Samples | float] = [sound(30 + before_s), gap_s, sound(after_s + 4)]
        readings = play(Monitor(scorer, RULE, RATE_HZ), stream(*parts))
        return next(r.alarm_score for r in readings if r.sample > pause_end)

    assert alarm_score_after(ALARM_SPAN_S) == 0.0
    assert alarm_score_after(0.0) == 9.0


@pytest.mark.parametrize(("pause_s", "after_it"), [(3000, 9.0), (3900, 0.0)])
def test_the_alarm_score_of_a_new_run_has_no_windows_of_the_run_before(
    pause_s: int, after_it: float
) -> None:
    run_s = 20
    idle = range(run_s * RATE_HZ + 1, (run_s + pause_s) * RATE_HZ + 1)
    subject = monitor_of(
        lambda end: 9.0 if end <= run_s * RATE_HZ else 0.5, lambda end: end in idle
    )
    readings = play(subject, stream(sound(run_s + pause_s + 20)))
    first = next(r for r in readings if r.sample >= idle.stop)
    assert first.alarm_score == after_it


class GivenWindow(NamedTuple):
    """One window of a history."""

    score: float
    idle: bool
    hops: int
    lost: int  # windows lost in a gap before it


def play_history(history: Sequence[GivenWindow]) -> list[Reading]:
    end, windows, blocks = 0, [], []
    for each in history:
        begin = end + each.lost * HOP
        end = begin + each.hops * HOP
        windows.append(scored_window(end, each.score, idle=each.idle, hops=each.hops))
        blocks.append(block_at(begin, sound((end - begin) / RATE_HZ), RATE_HZ))
    return play(Monitor(ListedScorer(windows), RULE, RATE_HZ), blocks)


def without_pauses(history: Sequence[GivenWindow]) -> list[GivenWindow]:
    """Return the history without its idle windows; lost windows next to them are kept."""
    running, lost = [], 0
    for each in history:
        lost += each.lost
        if not each.idle:
            running.append(each._replace(lost=lost))
            lost = 0
    return running


def running_readings(readings: Sequence[Reading]) -> list[tuple[object, ...]]:
    """Return the readings of the running windows, without sample indices."""
    return [
        (
            reading.alarm_score,
            reading.state,
            reading.alarm and (reading.alarm.number, reading.alarm.peak_score),
            [(t.before, t.after) for t in reading.transitions if t.kind is TransitionKind.ALARM],
        )
        for reading in readings
        if reading.window is not None and not reading.window.idle
    ]


HISTORIES = st.lists(
    st.builds(
        lambda score, idle, hops, lost, count: [
            GivenWindow(score, idle, hops, lost),
            *[GivenWindow(score, idle, hops, 0)] * (count - 1),
        ],
        score=st.sampled_from([0.5, 0.5, 5.0, 8.0, 9.0, 9.0]),
        idle=st.booleans(),
        hops=st.integers(1, 4),
        lost=st.sampled_from([0, 0, 0, 0, 1, 6, 25]),
        count=st.integers(1, 25),
    ),
    min_size=1,
    max_size=16,
).map(lambda runs: [window for run in runs for window in run])


@settings(deadline=None, max_examples=200)
@given(HISTORIES)
def test_an_idle_pause_only_delays_the_readings(history: list[GivenWindow]) -> None:
    readings = play_history(history)
    uninterrupted = play_history(without_pauses(history))
    assert running_readings(readings) == running_readings(uninterrupted)
    assert not any(
        t.kind is TransitionKind.ALARM
        for reading in readings
        for t in reading.transitions
        if reading.window is not None and reading.window.idle
    )
