"""Machines that move intermittently: sliders, valves; and loads that come and go."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from asd_monitor.synthesis.filtering import Signal, db_to_amplitude, spectral_envelope
from asd_monitor.synthesis.machine_spec import Actuation, LoadCycle
from asd_monitor.synthesis.modal import excite_modes
from asd_monitor.synthesis.noise import gaussian_noise

_LOAD_RAMP_S = 0.3


@dataclass(frozen=True, slots=True, eq=False)
class Strokes:
    """Strokes on the time axis of a recording of n samples.

    `starts` and `lengths` (strokes,) are in samples; `speed` (n,) is relative, 0 … 1.
    """

    starts: Signal
    lengths: Signal
    speed: Signal


def plan_strokes(
    n: int,
    actuation: Actuation,
    *,
    pace: float,
    sluggishness: Signal | float,
    rate_hz: int,
    rng: np.random.Generator,
) -> Strokes:
    """Return the strokes within `n` samples.

    `pace` is the speed relative to nominal.  `sluggishness`, 0 … 1, a number or (n,), makes
    strokes up to 90 % longer, later and irregular.
    """
    severity = np.broadcast_to(np.asarray(sluggishness, dtype=np.float64), (n,))
    period = actuation.period_s / pace
    first = -float(rng.uniform()) * period
    starts, lengths = [], []
    cycles = int(np.ceil((n / rate_hz - first) / period)) + 1
    for cycle in range(cycles):
        for part in actuation.pattern:
            start_s = float(first + (cycle + part) * period)
            delay = float(severity[min(max(int(start_s * rate_hz), 0), n - 1)])
            start_s += rng.normal(0.0, actuation.jitter_s)
            start_s += delay * (0.06 * period + rng.normal(0.0, 0.08 * period))
            starts.append(start_s * rate_hz)
            stroke_s = actuation.stroke_s / pace * rng.normal(1.0, 0.01)
            lengths.append(stroke_s * (1.0 + 0.9 * delay) * rate_hz)
    speed = np.zeros(n)
    for start, length in zip(starts, lengths, strict=True):
        low, high = max(int(start), 0), min(int(start + length), n)
        if high > low:
            done = (np.arange(low, high) - start) / length
            # trapezoidal profile: acceleration and braking take a fifth of the stroke each
            profile = np.clip(np.minimum(done, 1.0 - done) * 5.0, 0.0, 1.0)
            plateau = actuation.stroke_s / pace * rate_hz / length
            speed[low:high] = np.maximum(speed[low:high], profile * plateau)
    return Strokes(np.array(starts), np.array(lengths), speed)


def stroke_sound(
    strokes: Strokes, actuation: Actuation, rate_hz: int, rng: np.random.Generator
) -> Signal:
    """Return the sound (n,) of strokes: impacts at both ends, sliding noise and whine between."""
    n = len(strokes.speed)
    duty = max(float(np.mean(strokes.speed**2)), 1e-6)
    envelope = spectral_envelope(-4.0, actuation.slide_peaks, rate_hz)
    slide = gaussian_noise(n, envelope, rng)
    sound: Signal = slide * strokes.speed * (actuation.slide_level / np.sqrt(duty))
    if actuation.whine_hz:
        phase = 2.0 * np.pi * np.cumsum(actuation.whine_hz * strokes.speed) / rate_hz
        whine = np.sin(phase) + 0.5 * np.sin(2.0 * phase + 1.0)
        sound += whine * strokes.speed * (actuation.whine_level / np.sqrt(duty))
    count = max(len(strokes.starts), 1)
    ratio = actuation.end_impact_ratio
    amplitude = actuation.impact_level * np.sqrt(n / (count * (1.0 + ratio**2)))
    spread = db_to_amplitude(rng.normal(0.0, 0.8, (2, len(strokes.starts))))
    positions = np.concatenate([strokes.starts, strokes.starts + strokes.lengths])
    amplitudes = np.concatenate([amplitude * spread[0], amplitude * ratio * spread[1]])
    return sound + excite_modes(n, rate_hz, positions, amplitudes, actuation.modes)


def load_gain(n: int, cycle: LoadCycle, rate_hz: int, rng: np.random.Generator) -> Signal:
    """Return the gain (n,) of a machine that runs and rests alternately, with ramps of 0.3 s."""
    gain = np.empty(n)
    rest = float(db_to_amplitude(cycle.rest_db))
    running = bool(rng.uniform() < cycle.run_s / (cycle.run_s + cycle.rest_s))
    at, left_s = 0, float(rng.uniform()) * (cycle.run_s if running else cycle.rest_s)
    while at < n:
        until = min(n, at + max(1, int(left_s * rate_hz)))
        gain[at:until] = 1.0 if running else rest
        running, at = not running, until
        left_s = (cycle.run_s if running else cycle.rest_s) * float(rng.uniform(0.8, 1.2))
    ramp = int(_LOAD_RAMP_S * rate_hz)
    sums = np.cumsum(np.concatenate([np.full(ramp, gain[0]), gain]))
    smooth: Signal = (sums[ramp:] - sums[:-ramp]) / ramp
    return smooth
