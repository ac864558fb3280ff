"""The monitor of one machine, with a scorer whose scores are given."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asd_monitor.alarm.score import ALARM_SPAN_S
from asd_monitor.alarm.state import Alarm, AlarmCondition, AlarmRule, TransitionKind
from asd_monitor.monitor import Monitor, Reading
from asd_monitor.records import Block, MachineState, Samples, Thresholds, WindowScore

RATE_HZ = 100
RULE = AlarmRule(Thresholds(warning=4.0, alarm=6.0), hop_s=0.5, on_delay_s=3.0, off_delay_s=10.0)
WINDOW, HOP = 200, 50
SPAN = round(ALARM_SPAN_S / RULE.hop_s)  # windows that the alarm score spans
RAISED_S = SPAN // 2 * RULE.hop_s + RULE.on_delay_s  # from the first window of a fault


class ScriptedScorer:
    """A window every half second, scored by the sample index of its end; none spans a gap.

    With ``stride`` n every n-th window of a gapless segment is scored.
    """

    def __init__(
        self, score: Callable[[int], float], idle: Callable[[int], bool], stride: int = 1
    ) -> None:
        self._score, self._idle, self._stride = score, idle, stride
        self._begin = self._end = 0
        self._next = WINDOW
        self.samples: list[int] = []

    def push(self, block: Block) -> list[WindowScore]:
        if block.start != self._end:
            self._begin, self._next = block.start, block.start + WINDOW
        self._end = block.end
        self.samples += range(block.start, block.end)
        windows = []
        while self._next <= self._end:
            end, self._next = self._next, self._next + HOP * self._stride
            hops = self._stride if end > self._begin + WINDOW else 1
            windows.append(scored_window(end, self._score(end), idle=self._idle(end), hops=hops))
        return windows


class ListedScorer:
    """Returns each of the given windows when the stream has reached its end."""

    def __init__(self, windows: Sequence[WindowScore]) -> None:
        self._windows = deque(windows)

    def push(self, block: Block) -> list[WindowScore]:
        windows = []
        while self._windows and self._windows[0].end <= block.end:
            windows.append(self._windows.popleft())
        return windows


def scored_window(end: int, score: float, *, idle: bool = False, hops: int = 1) -> WindowScore:
    return WindowScore(end - WINDOW, end, 0.0, 0.0, score, {}, -30.0, idle=idle, hops=hops)


def never(end: int) -> bool:
    return False


def monitor_of(
    score: Callable[[int], float],
    idle: Callable[[int], bool] = never,
    standing: Alarm | None = None,
) -> Monitor:
    return Monitor(ScriptedScorer(score, idle), RULE, RATE_HZ, standing)


def sound(seconds: float, seed: int = 0) -> Samples:
    noise = np.random.default_rng(seed).uniform(-0.1, 0.1, round(seconds * RATE_HZ))
    return noise.astype(np.float32)


def dead(seconds: float, value: float = 0.0) -> Samples:
    return np.full(round(seconds * RATE_HZ), value, np.float32)


def stream(*parts: Samples | float, start: int = 0) -> list[Block]:
    """Return blocks of sound; a number is a gap in seconds."""
    blocks = []
    for part in parts:
        if isinstance(part, float):
            start += round(part * RATE_HZ)
        else:
            blocks.append(Block(start, part))
            start += len(part)
    return blocks


def play(subject: Monitor, blocks: Sequence[Block]) -> list[Reading]:
    return [reading for block in blocks for reading in subject.push(block)]


def changes(readings: Sequence[Reading], kind: TransitionKind) -> list[tuple[float, str]]:
    return [
        (t.sample / RATE_HZ, f"{t.before}→{t.after}")
        for reading in readings
        for t in reading.transitions
        if t.kind is kind
    ]


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
    assert readings[-1].alarm_score == 0.5


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
    assert [t.after for t in subject.acknowledge(1, "ann", "seen")] == ["acknowledged"]
    assert subject.state is MachineState.ALARM


def test_an_interrupted_capture_empties_the_span_of_the_alarm_score() -> None:
    """Also where the sample index continues without a gap."""
    subject = monitor_of(lambda end: 9.0)
    before, after = sound(20), sound(8)
    assert subject.push(Block(0, before))[-1].alarm_score == 9.0
    subject.interrupt()
    readings = subject.push(Block(len(before), after))
    assert [reading.alarm_score for reading in readings[: SPAN // 2]] == [0.0] * (SPAN // 2)
    assert readings[SPAN // 2].alarm_score == 9.0


def test_an_acknowledgement_clears_a_latched_alarm() -> None:
    subject = monitor_of(lambda end: 8.0 if end < 1500 else 0.5)
    play(subject, stream(sound(60)))
    assert subject.alarm is not None
    assert subject.alarm.latched
    transitions = subject.acknowledge(1, "ann", "bearing greased")
    assert [t.after for t in transitions] == ["acknowledged", "normal", "normal"]
    assert {t.sample for t in transitions} == {6000}
    assert subject.state is MachineState.NORMAL
    assert subject.acknowledge(1, "ann", "again") == ()


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
        blocks.append(Block(begin, sound((end - begin) / RATE_HZ)))
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


def test_a_dead_channel_is_a_microphone_fault_and_not_scored() -> None:
    subject = monitor_of(lambda end: 0.5)
    readings = play(subject, stream(sound(10), dead(60), sound(10, seed=1)))
    assert changes(readings, TransitionKind.MICROPHONE) == [(12.0, "ok→fault"), (70.0, "fault→ok")]
    assert [r.sample for r in readings if 1200 < r.sample < 7200] == [7000]
    assert [r.microphone_fault for r in readings if r.window is None] == [True, False]
    assert not subject.microphone_fault


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
    assert subject.microphone_fault
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


def test_overlapping_blocks_are_refused() -> None:
    subject = monitor_of(lambda end: 0.5)
    subject.push(Block(100, sound(1)))
    with pytest.raises(ValueError, match="overlaps"):
        subject.push(Block(150, sound(1)))


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
            whole.append(Block(before.start, joined))
        else:
            whole.append(block)
    pieces, turn = [], 0
    for block in whole:
        at = 0
        while at < len(block.samples):
            size = cuts[turn % len(cuts)]
            pieces.append(Block(block.start + at, block.samples[at : at + size]))
            at, turn = at + size, turn + 1

    subject, scorer = new()
    cut_subject, cut_scorer = new()
    assert play(cut_subject, pieces) == play(subject, whole)
    assert cut_scorer.samples == scorer.samples
    assert cut_subject.microphone_fault == subject.microphone_fault
