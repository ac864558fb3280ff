"""A detector on normals that it has never heard, through the alarm rule of the daemon.

The last part of the recordings is held out: what a machine sounds like later is what the
detector will meet.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from asd_monitor.alarm.state import AlarmRule, TransitionKind
from asd_monitor.audio.files.recordings import RecordingReader
from asd_monitor.detector.detector import Detector
from asd_monitor.model_training.reference import (
    Progress,
    Reference,
    Segment,
    SoundFile,
    no_progress,
)
from asd_monitor.monitor import Monitor
from asd_monitor.pipeline import Pipeline
from asd_monitor.records import Block, MachineState, WindowScore

HELD_OUT_SHARE = 0.2
HELD_OUT_LEAST_S = 10.0


@dataclass(frozen=True, slots=True, eq=False)
class RecordingPart:
    """A piece of a recording, from its first second here to its last."""

    file: SoundFile
    from_s: float
    to_s: float


@dataclass(frozen=True, slots=True, eq=False)
class HeldOutSplit:
    """Normals to fit to, and the parts held out."""

    kept: tuple[Segment, ...]
    parts: tuple[RecordingPart, ...]

    @property
    def held_out_s(self) -> float:
        """Seconds held out."""
        return sum(part.to_s - part.from_s for part in self.parts)


@dataclass(frozen=True, slots=True, eq=False)
class HeldOutTrial:
    """What a detector said of normals that it had not heard."""

    parts: tuple[RecordingPart, ...]
    windows: tuple[tuple[WindowScore, ...], ...]  # of each part
    alarm_scores: tuple[tuple[float, ...], ...]  # of each part, one a window
    alarms: int
    warnings: int

    @property
    def seconds(self) -> float:
        """Seconds of sound."""
        return sum(part.to_s - part.from_s for part in self.parts)

    @property
    def running(self) -> list[WindowScore]:
        """The windows in which the machine was not off."""
        return [window for part in self.windows for window in part if not window.idle]

    def share_above(self, score: float) -> float:
        """Return the share of the running windows that score at least this."""
        scores = [window.score for window in self.running]
        return float(np.mean(np.asarray(scores) >= score)) if scores else 0.0

    def view_quantiles(self, shares: Sequence[float]) -> Mapping[str, list[float]]:
        """Return these quantiles of each view's scores."""
        running = self.running
        if not running:
            return {}
        return {
            name: np.quantile([window.views[name] for window in running], shares).tolist()
            for name in running[0].views
        }


def hold_out(reference: Reference) -> HeldOutSplit:
    """Take the last part away: a fifth of the sound, at least ten seconds."""
    rate_hz = reference.front_end.rate_hz
    wanted = round(max(HELD_OUT_LEAST_S, HELD_OUT_SHARE * reference.usable_s) * rate_hz)
    kept = list(reference.segments)
    parts: list[RecordingPart] = []
    while wanted > 0 and kept:
        segment = kept.pop()
        begin = segment.windows[0].start
        end = begin + round(segment.seconds * rate_hz)
        cut = max(begin, end - wanted)
        before = tuple(w for w in segment.windows if w.end <= cut)
        if before:
            kept.append(Segment(segment.file, before, (cut - begin) / rate_hz))
        else:
            cut = begin
        wanted -= end - cut
        end_s = end / rate_hz
        if parts and parts[-1].file is segment.file:  # what was left out between is tried too
            end_s = parts.pop().to_s
        parts.append(RecordingPart(segment.file, cut / rate_hz, end_s))
    return HeldOutSplit(tuple(kept), tuple(reversed(parts)))


def run_trial(
    detector: Detector,
    rule: AlarmRule,
    parts: Sequence[RecordingPart],
    channel: int | None = None,
    progress: Progress = no_progress,
) -> HeldOutTrial:
    """Send the parts through the pipeline and the alarm rule, each as a stream of its own.

    The latch is off, since nobody acknowledges here: every alarm counts.
    """
    rule = replace(rule, latch=False)
    windows, alarm_scores, alarms, warnings = [], [], 0, 0
    for number, part in enumerate(parts):
        progress("listening to what was held out", number / len(parts))
        rate_hz = part.file.rate_hz
        monitor = Monitor(Pipeline(detector, rate_hz), rule, rate_hz)
        readings = [
            reading for block in _sound_of(part, channel) for reading in monitor.push(block)
        ]
        scored = [reading for reading in readings if reading.window is not None]
        windows.append(tuple(r.window for r in scored if r.window is not None))
        alarm_scores.append(tuple(reading.alarm_score for reading in scored))
        for reading in readings:
            for change in reading.transitions:
                if change.kind is TransitionKind.STATE:
                    alarms += change.after == MachineState.ALARM
                    warnings += (
                        change.after == MachineState.WARNING and change.before != MachineState.ALARM
                    )
    return HeldOutTrial(tuple(parts), tuple(windows), tuple(alarm_scores), alarms, warnings)


def _sound_of(part: RecordingPart, channel: int | None) -> Iterator[Block]:
    rate_hz = part.file.rate_hz
    first, past = round(part.from_s * rate_hz), round(part.to_s * rate_hz)
    with RecordingReader(part.file.path, channel) as reader:
        for block in reader.blocks():
            if block.start >= past:
                break
            if block.end > first:
                low, high = max(first, block.start), min(past, block.end)
                yield Block(low, block.samples[low - block.start : high - block.start])
