"""The turning shaft and what sounds in step with it.

Everything periodic in a revolution lies in one table, read at the shaft's angle: a
stack of any number of lines costs one look-up, and keeps its phases as speed drifts.
"""

from __future__ import annotations

import numpy as np

from asd_monitor.synthesis.machine_spec import Flow, Hum, Impacts, Tones
from asd_monitor.synthesis.noise import Signal, decibels, noise, shape, wander
from asd_monitor.synthesis.resonances import strike

TABLE = 8192
OCTAVE = float(np.log(2.0))


def shaft_angle(
    speed_hz: Signal, rate_hz: int, start: float, jitter: float, rng: np.random.Generator
) -> Signal:
    """Return revolutions since the start (n,) of a shaft that turns at `speed_hz` (n,)."""
    angle = start + np.cumsum(speed_hz) / rate_hz
    # torque is not even: the shaft trembles a little within each turn
    return angle + jitter * wander(len(angle), rate_hz, 0.05, rng)


def stack(
    angle: Signal, tones: Tones, rate_hz: int, top_speed_hz: float, rng: np.random.Generator
) -> Signal:
    """Return the lines of `tones` at the shaft's `angle`, of RMS ``level``.

    Phases are drawn from `rng`.  Lines above 0.46 of the rate at `top_speed_hz` are left out.
    """
    spectrum = np.zeros(TABLE // 2 + 1, dtype=np.complex128)
    highest = 0.46 * rate_hz / (top_speed_hz * tones.ratio)
    for order, amplitude in zip(tones.orders, tones.amplitudes, strict=True):
        if 0 < order < min(highest, TABLE // 8):
            # each line a little different today
            today = amplitude * decibels(rng.normal(0.0, 0.7))
            spectrum[order] += today * np.exp(2j * np.pi * rng.uniform())
    energy = float(np.sqrt(2.0 * np.sum(np.abs(spectrum) ** 2)))
    if energy == 0.0:
        return np.zeros(len(angle))
    table = np.fft.irfft(spectrum * (TABLE / energy), TABLE)
    slow = decibels(tones.wander_db * wander(len(angle), rate_hz, 1.7, rng))
    return tones.level * look_up(table, angle * tones.ratio) * slow


def look_up(table: Signal, turns: Signal) -> Signal:
    """Read a table of one revolution at `turns`, with linear interpolation."""
    place = turns * len(table)
    whole = np.floor(place)
    place -= whole
    left = whole.astype(np.intp)
    left %= len(table)
    place *= np.diff(table, append=table[0]).take(left)
    place += table.take(left)
    return place


def colour(
    tilt_db: float, resonances: tuple[tuple[float, float, float], ...], rate_hz: int
) -> Signal:
    """Amplitude response (1025,) from 0 Hz to half the rate: a tilt a decade and some humps."""
    hz = np.maximum(np.linspace(0.0, rate_hz / 2.0, 1025), 20.0)
    gain_db = tilt_db * np.log10(hz / 1000.0)
    for centre, octaves, height in resonances:
        gain_db += height * np.exp(-0.5 * (np.log(hz / centre) / (octaves * OCTAVE)) ** 2)
    return decibels(gain_db) * np.minimum(1.0, (hz / 40.0) ** 2)


def flow_noise(
    angle: Signal, flow: Flow, blocked: Signal | float, rate_hz: int, rng: np.random.Generator
) -> Signal:
    """Turbulence of RMS ``level``, pulsing with the blades.

    `blocked` (0 … 1) takes the highs away and lets the lows grow: a clogged filter.
    """
    n = len(angle)
    gains = colour(flow.tilt_db, flow.resonances, rate_hz)
    air = noise(n, gains, rng)
    if np.any(blocked):
        hz = np.linspace(0.0, rate_hz / 2.0, len(gains))
        muffled = shape(air, (1.0 + 0.6 * np.exp(-hz / 200.0)) / (1.0 + (hz / 900.0) ** 2))
        air += np.asarray(blocked) * (muffled - air)
    if flow.pass_order:
        air *= 1.0 + flow.pass_depth * np.cos(2.0 * np.pi * flow.pass_order * angle)
    return flow.level * air * decibels(flow.wander_db * wander(n, rate_hz, 0.9, rng))


def crossings(angle: Signal, order: float, offset: float) -> Signal:
    """Return the sample positions where the shaft has turned another 1/`order`."""
    first = np.ceil(angle[0] * order - offset)
    turns = (np.arange(first, angle[-1] * order - offset) + offset) / order
    return np.interp(turns, angle, np.arange(len(angle), dtype=np.float64))


def blows(angle: Signal, impacts: Impacts, rate_hz: int, rng: np.random.Generator) -> Signal:
    """Blows in step with the shaft, of RMS ``level``."""
    at = crossings(angle, impacts.order, float(rng.uniform()))
    if len(at) == 0:
        return np.zeros(len(angle))
    interval = len(angle) / len(at)
    at = at + impacts.jitter * interval * rng.standard_normal(len(at))
    strength = impacts.level * np.sqrt(interval)
    weights = strength * decibels(impacts.spread_db * rng.standard_normal(len(at)))
    return strike(len(angle), rate_hz, at, weights, impacts.modes)


def hum_tone(n: int, hum: Hum, rate_hz: int, rng: np.random.Generator) -> Signal:
    """Mains hum of RMS ``level``; the line frequency strays by some hundredths of a hertz."""
    mains = np.full(n, hum.hz + rng.normal(0.0, 0.02))
    lines = Tones(tuple(range(1, len(hum.amplitudes) + 1)), hum.amplitudes, hum.level, 1.0, 0.3)
    angle = shaft_angle(mains, rate_hz, float(rng.uniform()), 0.0, rng)
    return stack(angle, lines, rate_hz, hum.hz, rng)
