"""What a model would detect: faults of graded severity in the machine's own held-out sound.

The held-out sound, repeated where it is too short, is monitored with each fault by the detector
that was fitted without it, through the alarm rule with the effective budget.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from asd_monitor.alarm.state import AlarmRule
from asd_monitor.detector.detector import Detector
from asd_monitor.dsp.signal_conditioning import SignalConditioner
from asd_monitor.model_training.held_out_trial import HeldOutTrial
from asd_monitor.model_training.recording_parts import RecordingPart
from asd_monitor.model_training.training_progress import Progress, no_progress
from asd_monitor.records import Samples
from asd_monitor.self_test.added_sound import (
    FAULT_S,
    LEAD_IN_S,
    MIN_SOUND_S,
    AddedSound,
    pipelines_of,
    repeated,
    rms,
    trial_steps,
)
from asd_monitor.self_test.detected_levels import DetectedLevels, level_steps
from asd_monitor.self_test.stepping import outcome_of
from asd_monitor.synthesis.added_faults import SEVERITIES_DB, FaultKind, draw_fault

DRAWS = 3
"""Faults of each kind: tones of other frequencies, impacts of other rates and resonances."""
SEED = 19


@dataclass(frozen=True, slots=True)
class FaultDetection:
    """Whether faults of one kind and severity are detected."""

    kind: FaultKind
    severity_db: float  # above the tone's third-octave band; impacts: relative to the machine
    detected_after_s: float | None  # median of `DRAWS` faults; None: not within `FAULT_S`


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """The faults that a model would detect, by kind and severity."""

    detections: tuple[FaultDetection, ...] = ()
    not_measured: str | None = None  # why there are none
    levels: DetectedLevels | None = None  # of the faults of a self-test


def measure_sensitivity(
    detector: Detector,
    rule: AlarmRule,
    trial: HeldOutTrial,
    channel: int | None = None,
    progress: Progress = no_progress,
) -> Sensitivity:
    """Monitor held-out sound with added faults; the same sound gives the same result.

    Args:
        detector: fitted without the held-out sound.
        rule: the alarm rule.
        trial: the trial of the detector on the held-out sound.
        channel: of the recordings.
        progress: called with the share that is done.

    Raises:
        UsageError, OperationError: as `RecordingReader`.

    """
    stretch = _longest_running(trial)
    if stretch is None or stretch.seconds < MIN_SOUND_S:
        return Sensitivity(not_measured=f"less than {MIN_SOUND_S:g} s of running sound held out")
    normal = _read(stretch, channel, detector.rate_hz)
    added = _draw_faults(normal, detector.rate_hz)
    sound = repeated(normal, LEAD_IN_S + FAULT_S, detector.rate_hz)
    inaudible = replace(added[0], severity_db=-math.inf)
    without_fault, *delays_s = _delays_s(detector, rule, sound, [inaudible, *added], progress)
    if math.isfinite(without_fault):
        return Sensitivity(not_measured="the held-out sound raises an alarm without a fault")
    by_fault: dict[tuple[FaultKind, float], list[float]] = {}
    for each, delay_s in zip(added, delays_s, strict=True):
        by_fault.setdefault((each.kind, each.severity_db), []).append(delay_s)
    return Sensitivity(
        tuple(
            FaultDetection(kind, severity_db, median if math.isfinite(median) else None)
            for kind, severities_db in SEVERITIES_DB.items()
            for severity_db in severities_db
            for median in [sorted(by_fault[kind, severity_db])[DRAWS // 2]]
        ),
        levels=outcome_of(
            level_steps(detector, rule, normal),
            lambda share: progress("measuring the lowest levels", share),
        ),
    )


def _longest_running(trial: HeldOutTrial) -> RecordingPart | None:
    """Return the longest gapless stretch of the held-out parts in which the machine runs."""
    longest = None
    for part, windows in zip(trial.parts, trial.windows, strict=True):
        begin = end = None
        for window in windows:
            if window.idle:
                begin = None
                continue
            if begin is None or end is None or window.start >= end:
                begin = window.start
            end = window.end
            rate_hz = part.file.rate_hz
            stretch = RecordingPart(part.file, begin / rate_hz, end / rate_hz)
            if longest is None or stretch.seconds > longest.seconds:
                longest = stretch
    return longest


def _read(part: RecordingPart, channel: int | None, rate_hz: int) -> Samples:
    """Return the beginning of the sound of a part at this rate, as long as it is needed."""
    conditioner = SignalConditioner(part.file.rate_hz, rate_hz)
    past_s = min(part.to_s, part.from_s + LEAD_IN_S + FAULT_S)
    read = RecordingPart(part.file, part.from_s, past_s)
    pieces = [conditioner.push(block.samples) for block in read.blocks(channel)]
    return np.concatenate([*pieces, conditioner.flush()])


def _draw_faults(normal: Samples, rate_hz: int) -> list[AddedSound]:
    machine_rms = rms(normal)
    added = []
    for number, (kind, severities_db) in enumerate(SEVERITIES_DB.items()):
        for draw in range(DRAWS):
            rng = np.random.default_rng((SEED, number, draw))
            fault = draw_fault(kind, normal, machine_rms, FAULT_S, rng, rate_hz=rate_hz)
            added += [AddedSound(kind, each_db, fault.sound) for each_db in severities_db]
    return added


def _delays_s(
    detector: Detector,
    rule: AlarmRule,
    sound: Samples,
    added: Sequence[AddedSound],
    progress: Progress,
) -> list[float]:
    """Return the time from the begin of each fault to the alarm, negative before it; inf: none.

    Args:
        detector: the detector.
        rule: the alarm rule.
        sound: of `LEAD_IN_S` and `FAULT_S`, at the detector's rate.
        added: the faults, each added after the lead-in.
        progress: called with the share that is done.

    """
    steps = trial_steps(pipelines_of(detector, len(added)), rule, sound, added)
    return outcome_of(steps, lambda share: progress("adding faults to the held-out part", share))
