"""A model on sound of the past: alarms that would rise, false alarms in blocks; pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from asd_monitor.alarm.alarm_score import AlarmScore
from asd_monitor.alarm.state import AlarmRule, TransitionKind
from asd_monitor.detector.detector import Detector
from asd_monitor.features.windows import Window
from asd_monitor.monitor import Monitor
from asd_monitor.pipeline import Pipeline
from asd_monitor.records import Block, MachineState, Samples, Stream

BLOCK_S = 2.0
"""Sound that is scored at once."""


@dataclass(frozen=True, slots=True)
class ReplayedAlarm:
    """What a model makes of the sound of an alarm."""

    highest: float  # alarm score
    rises: bool
    readings: int  # windows that were scored; 0: the sound is too short


def replay_alarm(
    detector: Detector,
    rule: AlarmRule,
    sound: Samples,
    rate_hz: int,
    gaps: Sequence[tuple[int, int]] = (),
) -> ReplayedAlarm:
    """Monitor the sound of an alarm (n,) from its begin; an alarm that begins before is not known.

    Args:
        detector: the model.
        rule: its alarm rule.
        sound: the sound, at the capture rate.
        rate_hz: its sampling rate.
        gaps: parts without sound, which are lost samples of the stream: index of the first sample
            and of one past the last, in order.

    """
    monitor = Monitor(Pipeline(detector), replace(rule, latch=False), rate_hz)
    stream, length = Stream(rate_hz), round(BLOCK_S * rate_hz)
    highest, rises, readings = 0.0, False, 0
    for first, past in _parts(len(sound), gaps):
        for begin in range(first, past, length):
            block = Block(stream, begin, sound[begin : min(begin + length, past)])
            for reading in monitor.push(block):
                readings += 1
                highest = max(highest, reading.alarm_score)
                rises = rises or any(
                    change.kind is TransitionKind.STATE and change.after == MachineState.ALARM
                    for change in reading.transitions
                )
    return ReplayedAlarm(highest, rises, readings)


def _parts(samples: int, gaps: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Yield the parts of a sound between its gaps."""
    first = 0
    for begin, past in gaps:
        if first < min(begin, samples):
            yield first, min(begin, samples)
        first = max(first, past)
    if first < samples:
        yield first, samples


def alarms_in_blocks(
    detector: Detector, rule: AlarmRule, pieces: Sequence[Sequence[Window]]
) -> int:
    """Return how many pieces of ten seconds reach the threshold of the alarm.

    Args:
        detector: the model.
        rule: its alarm rule.
        pieces: the windows of each piece, without overlap: each stands for the hops of its length.

    """
    hops = max(1, round(detector.window_s / detector.hop_s))
    found = 0
    for piece in pieces:
        score = AlarmScore(rule, detector.rate_hz)
        highest = 0.0
        for window, scored in zip(piece, detector.score(piece), strict=True):
            newest = score.push(scored.evidence, window.end, hops)
            highest = max(highest, newest.score)
        found += highest >= rule.thresholds.alarm
    return found
