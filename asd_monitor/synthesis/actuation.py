"""Machines that move now and then: sliders, valves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from asd_monitor.synthesis.machine_spec import Actuation, Cycle
from asd_monitor.synthesis.noise import Signal, decibels, noise
from asd_monitor.synthesis.resonances import strike
from asd_monitor.synthesis.rotation import colour


@dataclass(frozen=True, slots=True, eq=False)
class Strokes:
    """When the machine moves: sample positions and lengths, and how fast it is (n,), 0 … 1."""

    starts: Signal
    lengths: Signal
    speed: Signal


def plan(
    n: int,
    actuation: Actuation,
    *,
    pace: float,
    sluggish: Signal | float,
    rate_hz: int,
    rng: np.random.Generator,
) -> Strokes:
    """Lay out the strokes of `n` samples.

    `pace` is relative to nominal; `sluggish` (0 … 1, a number or (n,)) makes strokes long
    and their moments irregular.
    """
    slow = np.broadcast_to(np.asarray(sluggish, dtype=np.float64), (n,))
    period = actuation.period_s / pace
    first = -float(rng.uniform()) * period
    starts, lengths = [], []
    cycles = int(np.ceil((n / rate_hz - first) / period)) + 1
    for cycle in range(cycles):
        for part in actuation.pattern:
            moment_s = float(first + (cycle + part) * period)
            bad = float(slow[min(max(int(moment_s * rate_hz), 0), n - 1)])
            moment_s += rng.normal(0.0, actuation.jitter_s)
            moment_s += bad * (0.06 * period + rng.normal(0.0, 0.08 * period))
            starts.append(moment_s * rate_hz)
            stroke_s = actuation.stroke_s / pace * rng.normal(1.0, 0.01)
            lengths.append(stroke_s * (1.0 + 0.9 * bad) * rate_hz)
    speed = np.zeros(n)
    for start, length in zip(starts, lengths, strict=True):
        low, high = max(int(start), 0), min(int(start + length), n)
        if high > low:
            done = (np.arange(low, high) - start) / length
            # up in a fifth of the stroke, steady, down in a fifth
            ramp = np.clip(np.minimum(done, 1.0 - done) * 5.0, 0.0, 1.0)
            steady = actuation.stroke_s / pace * rate_hz / length
            speed[low:high] = np.maximum(speed[low:high], ramp * steady)
    return Strokes(np.array(starts), np.array(lengths), speed)


def stroke_sounds(
    strokes: Strokes, actuation: Actuation, rate_hz: int, rng: np.random.Generator
) -> Signal:
    """Return the sound of the strokes: blows at both ends, sliding noise and whine between."""
    n = len(strokes.speed)
    busy = max(float(np.mean(strokes.speed**2)), 1e-6)
    rolling = noise(n, colour(-4.0, actuation.slide_resonances, rate_hz), rng)
    sound: Signal = rolling * strokes.speed * (actuation.slide_level / np.sqrt(busy))
    if actuation.whine_hz:
        angle = 2.0 * np.pi * np.cumsum(actuation.whine_hz * strokes.speed) / rate_hz
        whine = np.sin(angle) + 0.5 * np.sin(2.0 * angle + 1.0)
        sound += whine * strokes.speed * (actuation.whine_level / np.sqrt(busy))
    count = max(len(strokes.starts), 1)
    strength = actuation.blow_level * np.sqrt(n / (count * (1.0 + actuation.end_blow**2)))
    today = decibels(rng.normal(0.0, 0.8, (2, len(strokes.starts))))
    at = np.concatenate([strokes.starts, strokes.starts + strokes.lengths])
    weights = np.concatenate([strength * today[0], strength * actuation.end_blow * today[1]])
    return sound + strike(n, rate_hz, at, weights, actuation.modes)


def load_curve(n: int, cycle: Cycle, rate_hz: int, rng: np.random.Generator) -> Signal:
    """Return the gain (n,) of a machine that runs and rests by turns, with ramps of 0.3 s."""
    gain = np.empty(n)
    rest = float(decibels(cycle.rest_db))
    running = bool(rng.uniform() < cycle.run_s / (cycle.run_s + cycle.rest_s))
    at, left_s = 0, float(rng.uniform()) * (cycle.run_s if running else cycle.rest_s)
    while at < n:
        until = min(n, at + max(1, int(left_s * rate_hz)))
        gain[at:until] = 1.0 if running else rest
        running, at = not running, until
        left_s = (cycle.run_s if running else cycle.rest_s) * float(rng.uniform(0.8, 1.2))
    ramp = int(0.3 * rate_hz)
    sums = np.cumsum(np.concatenate([np.full(ramp, gain[0]), gain]))
    smooth: Signal = (sums[ramp:] - sums[:-ramp]) / ramp
    return smooth
