"""A detector on held-out normal sound, through the alarm rule of the daemon."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from asd_monitor.alarm.state import AlarmRule, Transition, TransitionKind
from asd_monitor.detector.fit import FittedDetector
from asd_monitor.model_training.recording_parts import RecordingPart
from asd_monitor.model_training.training_progress import Progress, no_progress
from asd_monitor.monitor import Monitor, Reading
from asd_monitor.pipeline import Pipeline
from asd_monitor.records import MachineState, WindowScore

USUAL_SHARE = 0.99
"""Share of the training windows whose out-of-fold evidence is usual; that of the rest is higher."""


@dataclass(frozen=True, slots=True, eq=False)
class HeldOutTrial:
    """Scores and alarms of a detector on the parts held out of its fit."""

    parts: tuple[RecordingPart, ...]
    windows: tuple[tuple[WindowScore, ...], ...]  # of each part
    alarm_scores: tuple[tuple[float, ...], ...]  # of each part, one for each window
    alarms: int
    warnings: int
    usual_evidence: float  # that `USUAL_SHARE` of the windows of the fit do not exceed

    @property
    def seconds(self) -> float:
        """Seconds of sound."""
        return sum(part.seconds for part in self.parts)

    @property
    def running(self) -> list[WindowScore]:
        """The windows in which the machine runs."""
        return [window for part in self.windows for window in part if not window.idle]

    @property
    def share_above_usual(self) -> float:
        """The share of the running windows whose evidence is higher than usual."""
        evidence = [window.evidence for window in self.running]
        return float(np.mean(np.asarray(evidence) > self.usual_evidence)) if evidence else 0.0

    def view_quantiles(self, shares: Sequence[float]) -> Mapping[str, list[float]]:
        """Return these quantiles of each view's deviations, by view."""
        running = self.running
        if not running:
            return {}
        return {
            name: np.quantile([window.views[name] for window in running], shares).tolist()
            for name in running[0].views
        }


def run_trial(
    fitted: FittedDetector,
    rule: AlarmRule,
    parts: Sequence[RecordingPart],
    channel: int | None = None,
    progress: Progress = no_progress,
) -> HeldOutTrial:
    """Run the parts through the pipeline and the alarm rule, each as a stream of its own.

    Alarms are not latched, so that each is counted.

    Raises UsageError and OperationError, as `RecordingReader`.
    """
    rule = replace(rule, latch=False)
    windows, alarm_scores = [], []
    transitions: list[Transition] = []
    total_s, begin_s = sum(part.seconds for part in parts), 0.0
    for part in parts:
        monitor = Monitor(Pipeline(fitted.detector), rule, part.file.rate_hz)
        readings: list[Reading] = []
        for block in part.blocks(channel):
            done_s = begin_s + block.start / block.rate_hz - part.from_s
            progress("scoring the held-out part", max(0.0, min(1.0, done_s / total_s)))
            readings += monitor.push(block)
        begin_s += part.seconds
        scored = [(r.window, r.alarm_score) for r in readings if r.window is not None]
        windows.append(tuple(window for window, _ in scored))
        alarm_scores.append(tuple(score for _, score in scored))
        transitions += [change for reading in readings for change in reading.transitions]
    changes = [c for c in transitions if c.kind is TransitionKind.STATE]
    alarms = sum(c.after == MachineState.ALARM for c in changes)
    warnings = sum(
        c.after == MachineState.WARNING and c.before != MachineState.ALARM for c in changes
    )
    return HeldOutTrial(
        tuple(parts),
        tuple(windows),
        tuple(alarm_scores),
        alarms,
        warnings,
        usual_evidence=float(np.quantile(fitted.evidence, USUAL_SHARE)),
    )
