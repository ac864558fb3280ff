"""Sound of a machine with an added fault, scored by a monitor of its own: detected or not.

The sound is repeated where it is shorter than `LEAD_IN_S` and `FAULT_S`.  Held-out sound at a
training and live sound at a self-test are treated in the same way, so that their results compare.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from asd_monitor.alarm.state import AlarmRule, TransitionKind
from asd_monitor.batching import result_or_raise
from asd_monitor.detector.detector import Detector
from asd_monitor.monitor import Monitor, Reading, push_batch
from asd_monitor.pipeline import Pipeline
from asd_monitor.records import Block, MachineState, Samples, Stream
from asd_monitor.synthesis.added_faults import FaultKind
from asd_monitor.synthesis.filtering import db_to_amplitude

FAULT_S = 60.0
"""Length of a fault; one that is detected later counts as not detected."""
LEAD_IN_S = 20.0
"""Sound before the fault, longer than the history of the views and the span of the alarm score."""
MIN_SOUND_S = 10.0
"""Sound of a machine that is too short to be repeated."""
BLOCK_S = 2.0
"""Sound that is scored at once."""

_CROSSFADE_S = 0.05


@dataclass(frozen=True, slots=True, eq=False)
class AddedSound:
    """A fault at one severity."""

    kind: FaultKind
    severity_db: float  # −inf: no fault
    sound: Samples  # (n,), of `FAULT_S`, at 0 dB


def repeated(sound: Samples, seconds: float, rate_hz: int) -> Samples:
    """Return sound (n,) of this length: the sound repeated, with crossfades of equal power."""
    n, fade = round(seconds * rate_hz), round(_CROSSFADE_S * rate_hz)
    rising = np.sin(np.linspace(0.0, np.pi / 2, fade, dtype=np.float32))
    whole = sound
    while len(whole) < n:
        seam = whole[-fade:] * rising[::-1] + sound[:fade] * rising
        whole = np.concatenate([whole[:-fade], seam, sound[fade:]])
    return whole[:n]


def rms(sound: Samples) -> float:
    """Return the root mean square of sound (n,)."""
    return float(np.sqrt(np.mean(np.square(sound, dtype=np.float64))))


def trial_steps(
    pipelines: Sequence[Pipeline], rule: AlarmRule, sound: Samples, added: Sequence[AddedSound]
) -> Generator[float, None, list[float]]:
    """Score the sound with each fault, block by block, and return the delays in s.

    A delay is the time from the begin of a fault to the alarm: negative before it, inf where there
    is none.  Between two blocks the share that is done is yielded.

    Args:
        pipelines: one for each fault.
        rule: the alarm rule; whether it latches has no effect.
        sound: of `LEAD_IN_S` and `FAULT_S` (`repeated`), at the rate of the detectors.
        added: the faults, each added after the lead-in.

    """
    rate_hz = pipelines[0].detector.rate_hz
    stream = Stream(rate_hz)
    begin, size = round(LEAD_IN_S * rate_hz), round(BLOCK_S * rate_hz)
    rule = replace(rule, latch=False)
    monitors = {n: Monitor(each, rule, rate_hz) for n, each in enumerate(pipelines)}
    delays_s = [math.inf] * len(added)
    for start in range(0, len(sound), size):
        if not monitors:
            break
        yield start / len(sound)
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


def pipelines_of(detector: Detector, count: int) -> list[Pipeline]:
    """Return new pipelines of one detector."""
    return [Pipeline(detector) for _ in range(count)]


def _with_fault(normal: Samples, fault: AddedSound, at: int) -> Samples:
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
