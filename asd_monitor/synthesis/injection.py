"""Graded faults injected into any recording by signal processing.

Unlike `faults`, which bends a machine's physics, this knows only the samples: it serves
to measure a detector on real sound of which no faulty version exists.

    tone        a wavering line          impacts     a train of ringing blows
    modulation  level swings             band        an octave louder or softer
    hiss        high-band noise          resonance   energy moved to a place nearby
    speed       1 to 5 % off             dropout     short losses of level
"""

from __future__ import annotations

import numpy as np

from asd_monitor.records import Samples
from asd_monitor.synthesis.noise import Signal, decibels, noise, shape, wander
from asd_monitor.synthesis.resonances import draw_modes, strike
from asd_monitor.synthesis.rotation import OCTAVE, colour

INJECTED = ("tone", "impacts", "modulation", "band", "hiss", "resonance", "speed", "dropout")


def inject(
    clip: Samples, kind: str, severity: float, rng: np.random.Generator, rate_hz: int = 16000
) -> Samples:
    """Return `clip` (n,) with a fault of `severity` 0 … 1; raises ValueError for an unknown kind.

    What is added is relative to the clip's RMS.  A fault of kind ``speed`` takes its missing
    end from the clip's start, so that the length stays.
    """
    sound = clip.astype(np.float64)
    rms = float(np.sqrt(np.mean(sound**2))) + 1e-9
    if kind == "tone":
        sound += rms * decibels(-42.0 + 34.0 * severity) * _tone(len(sound), rate_hz, rng)
    elif kind == "impacts":
        sound += rms * decibels(-30.0 + 28.0 * severity) * _impacts(len(sound), rate_hz, rng)
    elif kind == "modulation":
        sound *= _swing(len(sound), 0.05 + 0.75 * severity, rate_hz, rng)
    elif kind == "band":
        change_db = float(rng.choice([-1.0, 1.0])) * (1.5 + 12.0 * severity)
        sound = shape(sound, _hump(_pick_hz(rng), 0.45, change_db, rate_hz))
    elif kind == "hiss":
        hump = ((float(rng.uniform(2500.0, 6000.0)), 0.35, 30.0),)
        hiss = noise(len(sound), colour(3.0, hump, rate_hz), rng)
        sound += rms * decibels(-34.0 + 32.0 * severity) * hiss
    elif kind == "resonance":
        place, change_db = _pick_hz(rng), 2.0 + 14.0 * severity
        moved = _hump(place, 0.1, -change_db, rate_hz)
        sound = shape(sound, moved * _hump(place * 1.17, 0.1, change_db, rate_hz))
    elif kind == "speed":
        factor = 1.0 + float(rng.choice([-1.0, 1.0])) * (0.01 + 0.04 * severity)
        at = np.arange(len(sound)) * factor % len(sound)
        sound = np.interp(at, np.arange(len(sound)), sound, period=len(sound))
    elif kind == "dropout":
        sound *= _dropouts(len(sound), severity, rate_hz, rng)
    else:
        raise ValueError(f"no injected fault {kind!r}; there are {', '.join(INJECTED)}")
    return np.clip(sound, -1.0, 1.0).astype(np.float32)


def _pick_hz(rng: np.random.Generator) -> float:
    return float(np.exp(rng.uniform(np.log(250.0), np.log(5000.0))))


def _tone(n: int, rate_hz: int, rng: np.random.Generator) -> Signal:
    hz = _pick_hz(rng) * (1.0 + 0.004 * wander(n, rate_hz, 0.2, rng))
    phase = 2.0 * np.pi * np.cumsum(hz) / rate_hz
    line: Signal = 1.3 * (np.sin(phase) + 0.3 * np.sin(2.0 * phase))
    return line


def _impacts(n: int, rate_hz: int, rng: np.random.Generator) -> Signal:
    interval = float(np.exp(rng.uniform(np.log(0.05), np.log(0.6)))) * rate_hz
    at = np.arange(float(rng.uniform()) * interval, n, interval)
    at = at + 0.01 * interval * rng.standard_normal(len(at))
    weights = np.sqrt(interval) * decibels(rng.normal(0.0, 1.5, len(at)))
    return strike(n, rate_hz, at, weights, draw_modes(500.0, 6000.0, 4, rng, (0.001, 0.01)))


def _swing(n: int, depth: float, rate_hz: int, rng: np.random.Generator) -> Signal:
    hz = float(np.exp(rng.uniform(np.log(1.5), np.log(25.0))))
    phase = 2.0 * np.pi * (hz * np.arange(n) / rate_hz + rng.uniform())
    return 1.0 + depth * np.cos(phase)


def _hump(hz: float, octaves: float, change_db: float, rate_hz: int) -> Signal:
    grid = np.maximum(np.linspace(0.0, rate_hz / 2.0, 2049), 1.0)
    return decibels(change_db * np.exp(-0.5 * (np.log(grid / hz) / (octaves * OCTAVE)) ** 2))


def _dropouts(n: int, severity: float, rate_hz: int, rng: np.random.Generator) -> Signal:
    gain = np.zeros(n)
    for start in rng.uniform(0.0, n, 1 + rng.poisson(8.0 * severity * n / rate_hz / 10.0)):
        length = rng.uniform(0.03, 0.25) * rate_hz
        low, high = int(start), min(n, int(start + length))
        done = (np.arange(low, high) - start) / length
        gain[low:high] = -(4.0 + 30.0 * severity) * np.clip(8.0 * np.minimum(done, 1 - done), 0, 1)
    return decibels(gain)
