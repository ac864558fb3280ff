"""Idle windows: skipped in the alarm score, and delays are suspended."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asd_monitor.alarm.logic import AlarmLogic
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


@pytest.mark.parametrize(("on", "off"), [(6, 2), (7, 60), (19, 10)])
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
        ScriptedScorer(lambda end: 0.5, duty_cycle(6, 10)),
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
        parts: list[Samples | float] = [sound(30 + before_s), gap_s, sound(after_s + 12)]
        readings = play(Monitor(scorer, RULE, RATE_HZ), stream(*parts))
        return next(r.alarm_score for r in readings if r.sample > pause_end and r.time_scale_s)

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
    first = next(r for r in readings if r.sample >= idle.stop and r.time_scale_s)
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


class KeptWindow(NamedTuple):
    """A window that enters the evidence."""

    window: GivenWindow
    number: int  # in the history
    held: bool  # until the run was longer than an impact


def without_pauses(history: Sequence[GivenWindow]) -> list[KeptWindow]:
    """Return the windows of a history that are not idle and not of an impact in a pause.

    Lost windows next to those left out are kept.
    """
    kept: list[KeptWindow] = []
    run: list[KeptWindow] = []  # after idle windows, not longer than an impact
    ends: list[int] = []
    after_idle = False
    end = lost = 0
    for number, each in enumerate(history):
        end += (each.lost + each.hops) * HOP
        if each.lost or each.idle:
            lost += sum(held.window.lost for held in run)
            run, ends = [], []
        lost += each.lost
        if each.idle:
            after_idle = True
            continue
        run.append(KeptWindow(each._replace(lost=lost), number, held=after_idle))
        ends.append(end)
        lost = 0
        if not after_idle or end - ends[0] >= WINDOW + HOP:
            kept += [*run[:-1], run[-1]._replace(held=False)]
            run, ends, after_idle = [], [], False
    return kept


def evaluation(reading: Reading) -> tuple[object, ...]:
    """Return what a window has led to, without sample indices."""
    alarm = reading.alarm and (reading.alarm.number, reading.alarm.peak_score)
    return reading.alarm_score, reading.state, alarm


def alarm_changes(readings: Sequence[Reading]) -> list[str]:
    return [change for _, change in changes(readings, TransitionKind.ALARM)]


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
    readings, kept = play_history(history), without_pauses(history)
    uninterrupted = play_history([each.window for each in kept])
    assert [evaluation(readings[each.number]) for each in kept if not each.held] == [
        evaluation(reading)
        for reading, each in zip(uninterrupted, kept, strict=True)
        if not each.held
    ]
    assert alarm_changes(readings) == alarm_changes(uninterrupted)
    evaluated = {each.number for each in kept if not each.held}
    for number, reading in enumerate(readings):
        if number not in evaluated:
            assert (reading.alarm_score, reading.time_scale_s) == (0.0, None)
            assert alarm_changes([reading]) == []


@pytest.mark.parametrize("windows", [1, 4, 5])
def test_impacts_beside_an_idle_machine_raise_no_alarm(windows: int) -> None:
    """After minutes of idle, an impact every half minute lifts up to five windows out of idle."""
    subject = monitor_of(lambda end: 9.0, lambda end: (end - WINDOW) // HOP % 60 < 60 - windows)
    readings = play(subject, stream(sound(1800)))
    assert {reading.alarm_score for reading in readings} == {0.0}
    assert changes(readings, TransitionKind.ALARM) == []
    assert changes(readings, TransitionKind.STATE) == [(5.0, "normal→idle")]
    assert subject.block_means == []


def test_runs_of_two_seconds_are_evaluated() -> None:
    """They lift seven windows of two seconds out of idle, of which the first are held back."""
    subject = monitor_of(lambda end: 9.0, duty_cycle(7, 113))
    readings = play(subject, stream(sound(1800)))
    assert alarm_changes(readings) == ["normal→unacknowledged"]
    [raised] = [
        (reading.sample, change.sample)
        for reading in readings
        for change in reading.transitions
        if change.kind is TransitionKind.ALARM
    ]
    assert 0 <= raised[0] - raised[1] <= WINDOW + HOP
    assert len(subject.block_means) > 0


def test_an_impact_in_a_pause_does_not_extend_the_delays() -> None:
    """The off-delay counts the running time alone."""
    impacts = monitor_of(
        lambda end: 9.0 if end < 3000 else 0.5,
        lambda end: 3000 <= end < 60_000 and end // HOP % 60 not in range(20, 25),
        Alarm(1, AlarmCondition.ACKNOWLEDGED, 7.0),
    )
    silent = monitor_of(
        lambda end: 9.0 if end < 3000 else 0.5,
        lambda end: 3000 <= end < 60_000,
        Alarm(1, AlarmCondition.ACKNOWLEDGED, 7.0),
    )
    blocks = stream(sound(660))
    found, expected = play(impacts, blocks), play(silent, blocks)
    assert changes(found, TransitionKind.ALARM) == changes(expected, TransitionKind.ALARM)
    assert alarm_changes(found) == ["acknowledged→normal"]


def test_windows_on_both_sides_of_lost_ones_are_not_one_run() -> None:
    """Two impacts beside an idle machine, with a gap between them."""
    logic = AlarmLogic(RULE, RATE_HZ)
    ends = [*range(200, 1000, HOP), *range(3000, 3000 + 5 * HOP, HOP)]
    found = [logic.push(scored_window(end, 9.0, idle=end < 850)) for end in ends]
    assert {each.time_scale_s for each in found} == {None}
