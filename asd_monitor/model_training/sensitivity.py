"""What a model would detect: faults of graded severity in the machine's own held-out sound.

The held-out sound, repeated where it is too short, is monitored with each fault by the detector
that was fitted without it, through the alarm rule with the effective budget.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from asd_monitor.alarm.state import AlarmRule, TransitionKind
from asd_monitor.batching import result_or_raise
from asd_monitor.detector.detector import Detector
from asd_monitor.dsp.signal_conditioning import SignalConditioner
from asd_monitor.model_training.held_out_trial import HeldOutTrial
from asd_monitor.model_training.recording_parts import RecordingPart
from asd_monitor.model_training.training_progress import Progress, no_progress
from asd_monitor.monitor import Monitor, Reading, push_batch
from asd_monitor.pipeline import Pipeline
from asd_monitor.records import Block, MachineState, Samples, Stream
from asd_monitor.synthesis.added_faults import SEVERITIES_DB, FaultKind, draw_fault
from asd_monitor.synthesis.filtering import db_to_amplitude

FAULT_S = 60.0
"""Length of a fault; one that is detected later counts as not detected."""
LEAD_IN_S = 20.0
"""Sound before the fault, longer than the history of the views and the span of the alarm score."""
MIN_SOUND_S = 10.0
DRAWS = 3
"""Faults of each kind: tones of other frequencies, impacts of other rates and resonances."""
SEED = 19

_BLOCK_S = 2.0
_CROSSFADE_S = 0.05


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


@dataclass(frozen=True, slots=True, eq=False)
class _AddedSound:
    kind: FaultKind
    severity_db: float
    sound: Samples  # (n,), of `FAULT_S`, at 0 dB


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
    sound = _repeated(normal, LEAD_IN_S + FAULT_S, detector.rate_hz)
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
        )
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


def _repeated(sound: Samples, seconds: float, rate_hz: int) -> Samples:
    """Return sound (n,) of this length: the sound repeated, with crossfades of equal power."""
    n, fade = round(seconds * rate_hz), round(_CROSSFADE_S * rate_hz)
    rising = np.sin(np.linspace(0.0, np.pi / 2, fade, dtype=np.float32))
    repeated = sound
    while len(repeated) < n:
        seam = repeated[-fade:] * rising[::-1] + sound[:fade] * rising
        repeated = np.concatenate([repeated[:-fade], seam, sound[fade:]])
    return repeated[:n]


def _draw_faults(normal: Samples, rate_hz: int) -> list[_AddedSound]:
    rms = float(np.sqrt(np.mean(np.square(normal, dtype=np.float64))))
    added = []
    for number, (kind, severities_db) in enumerate(SEVERITIES_DB.items()):
        for draw in range(DRAWS):
            rng = np.random.default_rng((SEED, number, draw))
            fault = draw_fault(kind, normal, rms, FAULT_S, rng, rate_hz=rate_hz)
            added += [_AddedSound(kind, each_db, fault.sound) for each_db in severities_db]
    return added


def _delays_s(
    detector: Detector,
    rule: AlarmRule,
    sound: Samples,
    added: Sequence[_AddedSound],
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
    rate_hz = detector.rate_hz
    stream = Stream(rate_hz)
    begin = round(LEAD_IN_S * rate_hz)
    rule = replace(rule, latch=False)
    monitors = {number: Monitor(Pipeline(detector), rule, rate_hz) for number in range(len(added))}
    delays_s = [math.inf] * len(added)
    size = round(_BLOCK_S * rate_hz)
    for start in range(0, len(sound), size):
        progress("adding faults to the held-out part", start / len(sound))
        normal = sound[start : start + size]
        blocks = [
            Block(stream, start, _with_fault(normal, added[number], start - begin))
            for number in monitors
        ]
        outcomes = push_batch(list(monitors.values()), blocks)
        for number, outcome in zip(list(monitors), outcomes, strict=True):
            raised = _alarm_sample(result_or_raise(outcome))
            if raised is not None:
                delays_s[number] = (raised - begin) / rate_hz
                del monitors[number]
    return delays_s


def _with_fault(normal: Samples, fault: _AddedSound, at: int) -> Samples:
    """Return the sound (n,), of which the first sample is sample ``at`` of the fault, with it."""
    mixed = normal.copy()
    first, past = max(0, at), min(len(fault.sound), at + len(normal))
    if past > first:
        gain = np.float32(db_to_amplitude(fault.severity_db))
        mixed[first - at : past - at] += gain * fault.sound[first:past]
    return np.clip(mixed, -1.0, 1.0)


def _alarm_sample(readings: Sequence[Reading]) -> int | None:
    """Return the sample index at which an alarm was raised; None: none was."""
    for reading in readings:
        for change in reading.transitions:
            if change.kind is TransitionKind.STATE and change.after == MachineState.ALARM:
                return change.sample
    return None
