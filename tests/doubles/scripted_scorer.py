"""A monitor with given window scores, streams for it, and its transitions."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from asd_monitor.alarm.span_median import ALARM_SPAN_S
from asd_monitor.alarm.state import Alarm, AlarmRule, TransitionKind
from asd_monitor.monitor import Monitor, Reading
from asd_monitor.records import Block, Samples, Thresholds, WindowScore, WindowSpectra
from tests.doubles.blocks import block_at
from tests.doubles.direct_tail import DirectTail
from tests.doubles.single_scorer import SingleScorer

RATE_HZ = 100
RULE = AlarmRule(
    Thresholds(warning=4.0, alarm=6.0),
    hop_s=0.5,
    window_s=2.0,
    tails=(DirectTail(),),
    on_delay_s=3.0,
    off_delay_s=10.0,
)
WINDOW, HOP = 200, 50
SPAN = round(ALARM_SPAN_S / RULE.hop_s)  # windows that the alarm score spans
RAISED_S = SPAN // 2 * RULE.hop_s + RULE.on_delay_s  # from the first window of a fault


class ScriptedScorer(SingleScorer):
    """A window every half second, scored by the sample index of its end; none spans a gap.

    With ``stride`` n every n-th window of a gapless segment is scored.
    """

    def __init__(
        self,
        score: Callable[[int], float],
        idle: Callable[[int], bool],
        stride: int = 1,
        spectra: Callable[[int], WindowSpectra] | None = None,
    ) -> None:
        super().__init__()
        self._score, self._idle, self._stride = score, idle, stride
        self._spectra = spectra
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
            window = scored_window(end, self._score(end), idle=self._idle(end), hops=hops)
            spectra = None if self._spectra is None else self._spectra(end)
            windows.append(replace(window, spectra=spectra))
        return windows


class ListedScorer(SingleScorer):
    """Returns each of the given windows when the stream has reached its end."""

    def __init__(self, windows: Sequence[WindowScore]) -> None:
        super().__init__()
        self._windows = deque(windows)

    def push(self, block: Block) -> list[WindowScore]:
        windows = []
        while self._windows and self._windows[0].end <= block.end:
            windows.append(self._windows.popleft())
        return windows


def scored_window(end: int, score: float, *, idle: bool = False, hops: int = 1) -> WindowScore:
    """Return a window that ends at this sample index and has this evidence."""
    return WindowScore(end - WINDOW, end, 0.0, 0.0, score, {}, -30.0, idle=idle, hops=hops)


def never(end: int) -> bool:
    """Return false: no window is idle."""
    return False


def monitor_of(
    score: Callable[[int], float],
    idle: Callable[[int], bool] = never,
    standing: Alarm | None = None,
) -> Monitor:
    """Return a monitor whose window scores are functions of the sample index of the end."""
    return Monitor(ScriptedScorer(score, idle), RULE, RATE_HZ, standing)


def sound(seconds: float, seed: int = 0) -> Samples:
    """Return noise."""
    noise = np.random.default_rng(seed).uniform(-0.1, 0.1, round(seconds * RATE_HZ))
    return noise.astype(np.float32)


def dead(seconds: float, value: float = 0.0) -> Samples:
    """Return constant samples, as of a dead channel."""
    return np.full(round(seconds * RATE_HZ), value, np.float32)


def stream(*parts: Samples | float, start: int = 0) -> list[Block]:
    """Return blocks of sound; a number is a gap in seconds."""
    blocks = []
    for part in parts:
        if isinstance(part, float):
            start += round(part * RATE_HZ)
        else:
            blocks.append(block_at(start, part, RATE_HZ))
            start += len(part)
    return blocks


def play(subject: Monitor, blocks: Sequence[Block]) -> list[Reading]:
    """Push blocks into a monitor and return its readings."""
    return [reading for block in blocks for reading in subject.push(block)]


def changes(readings: Sequence[Reading], kind: TransitionKind) -> list[tuple[float, str]]:
    """Return the transitions of a kind as (seconds, "before→after")."""
    return [
        (t.sample / RATE_HZ, f"{t.before}→{t.after}")
        for reading in readings
        for t in reading.transitions
        if t.kind is kind
    ]
