"""One machine's stream through the monitor, with a scorer that plays a script."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asd_monitor.alarm.machine import Alarm, AlarmRule, Condition, TransitionKind
from asd_monitor.alarm.score import SPAN_S
from asd_monitor.monitor import Monitor, Reading
from asd_monitor.records import Block, MachineState, Samples, Thresholds, WindowScore

RATE_HZ = 100
RULE = AlarmRule(Thresholds(warning=4.0, alarm=6.0), hop_s=0.5, on_delay_s=3.0, off_delay_s=10.0)
WINDOW, HOP = 200, 50
SPAN = round(SPAN_S / RULE.hop_s)  # windows that the alarm score spans
RISING_S = SPAN // 2 * RULE.hop_s + RULE.on_delay_s  # after the first window that is wrong


class ScriptedScorer:
    """A window every half second, scored by when it ends; like the pipeline it ends at gaps."""

    def __init__(self, score: Callable[[int], float], idle: Callable[[int], bool]) -> None:
        self._score, self._idle = score, idle
        self._begin = self._end = 0
        self._next = WINDOW
        self.heard: list[int] = []

    def push(self, block: Block) -> list[WindowScore]:
        if block.start != self._end:
            self._begin, self._next = block.start, block.start + WINDOW
        self._end = block.end
        self.heard += range(block.start, block.end)
        windows = []
        while self._next <= self._end:
            end, self._next = self._next, self._next + HOP
            windows.append(
                WindowScore(
                    end - WINDOW, end, 0.0, 0.0, self._score(end), {}, -30.0, idle=self._idle(end)
                )
            )
        return windows


def never(end: int) -> bool:
    return False


def monitor(
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
    """Blocks of sound; a number is a gap of so many seconds."""
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
    subject = monitor(lambda end: 8.0 if end > 3000 else 0.5)
    readings = play(subject, stream(sound(120)))
    # more than half of the alarm score's span, then the on-delay
    assert changes(readings, TransitionKind.ALARM) == [(30.5 + RISING_S, "normal→unacknowledged")]
    assert readings[-1].state is MachineState.ALARM
    assert readings[-1].alarm is not None
    assert readings[-1].alarm.peak_score == 8.0


def test_every_window_is_told_once_with_its_scores() -> None:
    readings = play(monitor(lambda end: 0.5), stream(sound(30)))
    assert [r.sample for r in readings] == list(range(WINDOW, 3001, HOP))
    assert all(r.window is not None and r.window.end == r.sample for r in readings)
    assert readings[-1].alarm_score == 0.5


def test_gaps_start_the_delays_again() -> None:
    parts: list[Samples | float] = [sound(2.0 + RULE.on_delay_s - 0.5), 1.0] * 20
    readings = play(monitor(lambda end: 9.0), stream(*parts))
    assert changes(readings, TransitionKind.ALARM) == []


def test_a_microphone_that_drops_out_now_and_then_is_not_deaf() -> None:
    parts: list[Samples | float] = [sound(8), 0.1] * 4
    readings = play(monitor(lambda end: 9.0), stream(*parts))
    risen = changes(readings, TransitionKind.ALARM)
    assert [change for _, change in risen] == ["normal→unacknowledged"]
    assert risen[0][0] < 18


def test_scores_from_before_a_long_gap_do_not_count() -> None:
    parts: list[Samples | float] = [sound(20), float(SPAN), sound(4)]
    readings = play(monitor(lambda end: 9.0 if end < 1500 else 0.5), stream(*parts))
    assert readings[-1].alarm_score == 0.0


def test_a_standing_alarm_does_not_clear_over_a_gap() -> None:
    subject = monitor(lambda end: 0.5, standing=Alarm(1, Condition.ACKNOWLEDGED, 7.0))
    readings = play(subject, stream(sound(12), 3600.0, sound(12), 3600.0, sound(40)))
    cleared = changes(readings, TransitionKind.ALARM)
    assert cleared == [(7224.0 + 2 + (SPAN - 1) * 0.5 + 10, "acknowledged→normal")]


def test_an_outage_keeps_an_acknowledged_alarm_standing() -> None:
    subject = monitor(lambda end: 8.0 if end < 1500 else 0.5)
    play(subject, stream(sound(60)))
    subject.outage()
    assert [t.after for t in subject.acknowledge(1, "ann", "seen")] == ["acknowledged"]
    assert subject.state is MachineState.ALARM


def test_an_acknowledgement_clears_a_latched_alarm() -> None:
    subject = monitor(lambda end: 8.0 if end < 1500 else 0.5)
    play(subject, stream(sound(60)))
    assert subject.alarm is not None
    assert subject.alarm.latched
    told = subject.acknowledge(1, "ann", "bearing greased")
    assert [t.after for t in told] == ["acknowledged", "normal", "normal"]
    assert {t.sample for t in told} == {6000}
    assert subject.state is MachineState.NORMAL
    assert subject.acknowledge(1, "ann", "again") == ()


def test_a_machine_that_is_off_is_idle_and_raises_nothing() -> None:
    subject = monitor(lambda end: 9.0, idle=lambda end: end <= 6000)
    readings = play(subject, stream(sound(90)))
    assert changes(readings, TransitionKind.STATE)[:2] == [
        (5.0, "normal→idle"),
        (60.5, "idle→normal"),
    ]
    assert changes(readings, TransitionKind.ALARM) == [(60.5 + RISING_S, "normal→unacknowledged")]
    assert all(r.alarm_score == 0.0 for r in readings if r.window and r.window.idle)


def test_what_was_heard_before_a_rest_does_not_count_after_it() -> None:
    def score(end: int) -> float:
        return 9.0 if end <= 1400 or end > 2000 else 0.5

    subject = monitor(score, idle=lambda end: 1400 < end <= 2000)
    readings = play(subject, stream(sound(40)))
    first = next(r for r in readings if r.sample > 2000)
    assert first.alarm_score == 0.0


def test_a_dead_channel_is_told_and_not_scored() -> None:
    subject = monitor(lambda end: 0.5)
    readings = play(subject, stream(sound(10), dead(60), sound(10, seed=1)))
    told = changes(readings, TransitionKind.MICROPHONE)
    assert told == [(12.0, "ok→fault"), (70.0, "fault→ok")]
    assert [r.sample for r in readings if 1200 < r.sample < 7200] == [7000]
    assert [r.microphone_fault for r in readings if r.window is None] == [True, False]
    assert not subject.microphone_fault


def test_a_channel_may_die_and_return_within_one_block() -> None:
    whole = np.concatenate([sound(10), dead(60), sound(10, seed=1), dead(5), sound(10, seed=2)])
    readings = play(monitor(lambda end: 0.5), stream(whole))
    assert changes(readings, TransitionKind.MICROPHONE) == [
        (12.0, "ok→fault"),
        (70.0, "fault→ok"),
        (82.0, "ok→fault"),
        (85.0, "fault→ok"),
    ]


def test_a_dead_channel_neither_clears_nor_raises() -> None:
    subject = monitor(lambda end: 0.5, standing=Alarm(1, Condition.ACKNOWLEDGED, 7.0))
    readings = play(subject, stream(sound(8), dead(600)))
    assert changes(readings, TransitionKind.ALARM) == []
    assert subject.microphone_fault
    assert subject.state is MachineState.ALARM


def test_a_channel_is_dead_at_any_level() -> None:
    readings = play(monitor(lambda end: 0.5), stream(sound(3), dead(3, value=-1.0)))
    assert changes(readings, TransitionKind.MICROPHONE) == [(5.0, "ok→fault")]


def test_silence_shorter_than_two_seconds_is_sound() -> None:
    parts = [sound(3), dead(1.99)] * 10
    readings = play(monitor(lambda end: 0.5), stream(*parts))
    assert changes(readings, TransitionKind.MICROPHONE) == []
    assert len(readings) == len(range(WINDOW, sum(map(len, parts)) + 1, HOP))


def test_a_dead_channel_stays_dead_over_a_gap() -> None:
    readings = play(monitor(lambda end: 0.5), stream(dead(3), 5.0, dead(1), sound(3)))
    told = changes(readings, TransitionKind.MICROPHONE)
    assert told == [(2.0, "ok→fault"), (9.0, "fault→ok")]


def test_a_gap_breaks_a_silence_that_is_not_dead_yet() -> None:
    readings = play(monitor(lambda end: 0.5), stream(dead(1.5), 5.0, dead(1.5), sound(3)))
    assert changes(readings, TransitionKind.MICROPHONE) == []


def test_time_does_not_run_backwards() -> None:
    subject = monitor(lambda end: 0.5)
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
@given(PARTS, st.integers(0, 2**32), st.lists(st.integers(1, 900), min_size=1, max_size=30))
def test_how_the_stream_is_cut_changes_nothing(
    parts: list[tuple[str, float]], seed: int, cuts: list[int]
) -> None:
    random = np.random.default_rng(seed)
    scores = random.choice([0.5, 5.0, 8.0], size=200, p=[0.3, 0.1, 0.6]).repeat(12)
    off = (random.random(200) < 0.1).repeat(12)

    def fresh() -> tuple[Monitor, ScriptedScorer]:
        scorer = ScriptedScorer(
            lambda end: float(scores[end // HOP % len(scores)]),
            lambda end: bool(off[end // HOP % len(off)]),
        )
        return Monitor(scorer, RULE, RATE_HZ), scorer

    made = {"sound": lambda s: sound(s, seed % 1000), "dead": dead, "gap": float}
    whole: list[Block] = []
    for block in stream(*(made[kind](seconds) for kind, seconds in parts)):
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

    subject, scorer = fresh()
    cut_subject, cut_scorer = fresh()
    assert play(cut_subject, pieces) == play(subject, whole)
    assert cut_scorer.heard == scorer.heard
    assert cut_subject.microphone_fault == subject.microphone_fault
