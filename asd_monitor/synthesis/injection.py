"""Faults of graded severity injected into any recording by signal processing.

Unlike `faults`, which changes the model of a machine, this works on samples alone.  It serves
to measure a detector on real recordings of which no faulty version exists.

    tone        a tone of unsteady frequency     impacts     a periodic train of impacts
    modulation  amplitude modulation             band        ±1.5 to 13.5 dB in an octave
    hiss        noise in the high band           resonance   energy moved up by 17 % in frequency
    speed       ±1 to 5 %                        dropout     short losses of level
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from asd_monitor.records import Samples
from asd_monitor.synthesis.filtering import (
    Signal,
    db_to_amplitude,
    octave_peak_db,
    spectral_envelope,
    zero_phase_filter,
)
from asd_monitor.synthesis.machine_spec import SpectralPeak
from asd_monitor.synthesis.modal import draw_modes, excite_modes
from asd_monitor.synthesis.noise import fluctuation, gaussian_noise

_GAIN_POINTS = 2049


def inject(
    clip: Samples, kind: str, severity: float, rng: np.random.Generator, rate_hz: int = 16000
) -> Samples:
    """Return `clip` (n,) with a fault of `severity` 0 … 1, clipped to ±1.

    Levels are relative to the clip's RMS.  A fault of kind ``speed`` takes its missing end from
    the clip's start, so that the length stays.

    Raises:
        ValueError: the kind is not one of `INJECTED`.

    """
    if kind not in _INJECT:
        raise ValueError(f"no injected fault {kind!r}; there are {', '.join(INJECTED)}")
    sound = _INJECT[kind](clip.astype(np.float64), severity, rate_hz, rng)
    return np.clip(sound, -1.0, 1.0).astype(np.float32)


def _tone(sound: Signal, severity: float, rate_hz: int, rng: np.random.Generator) -> Signal:
    hz = _draw_hz(rng) * (1.0 + 0.004 * fluctuation(len(sound), rate_hz, 0.2, rng))
    phase = 2.0 * np.pi * np.cumsum(hz) / rate_hz
    tone = 1.3 * (np.sin(phase) + 0.3 * np.sin(2.0 * phase))
    return sound + _rms(sound) * db_to_amplitude(-42.0 + 34.0 * severity) * tone


def _impacts(sound: Signal, severity: float, rate_hz: int, rng: np.random.Generator) -> Signal:
    n = len(sound)
    interval = float(np.exp(rng.uniform(np.log(0.05), np.log(0.6)))) * rate_hz
    positions = np.arange(float(rng.uniform()) * interval, n, interval)
    positions = positions + 0.01 * interval * rng.standard_normal(len(positions))
    amplitudes = np.sqrt(interval) * db_to_amplitude(rng.normal(0.0, 1.5, len(positions)))
    modes = draw_modes(500.0, 6000.0, 4, rng, (0.001, 0.01))
    impacts = excite_modes(n, rate_hz, positions, amplitudes, modes)
    return sound + _rms(sound) * db_to_amplitude(-30.0 + 28.0 * severity) * impacts


def _modulation(sound: Signal, severity: float, rate_hz: int, rng: np.random.Generator) -> Signal:
    hz = float(np.exp(rng.uniform(np.log(1.5), np.log(25.0))))
    phase = 2.0 * np.pi * (hz * np.arange(len(sound)) / rate_hz + rng.uniform())
    return sound * (1.0 + (0.05 + 0.75 * severity) * np.cos(phase))


def _band(sound: Signal, severity: float, rate_hz: int, rng: np.random.Generator) -> Signal:
    change_db = float(rng.choice([-1.0, 1.0])) * (1.5 + 12.0 * severity)
    return zero_phase_filter(sound, _peak_gains(_draw_hz(rng), 0.45, change_db, rate_hz))


def _hiss(sound: Signal, severity: float, rate_hz: int, rng: np.random.Generator) -> Signal:
    peak = SpectralPeak(float(rng.uniform(2500.0, 6000.0)), 0.35, 30.0)
    hiss = gaussian_noise(len(sound), spectral_envelope(3.0, (peak,), rate_hz), rng)
    return sound + _rms(sound) * db_to_amplitude(-34.0 + 32.0 * severity) * hiss


def _resonance(sound: Signal, severity: float, rate_hz: int, rng: np.random.Generator) -> Signal:
    hz, change_db = _draw_hz(rng), 2.0 + 14.0 * severity
    old = _peak_gains(hz, 0.1, -change_db, rate_hz)
    return zero_phase_filter(sound, old * _peak_gains(hz * 1.17, 0.1, change_db, rate_hz))


def _speed(sound: Signal, severity: float, _rate_hz: int, rng: np.random.Generator) -> Signal:
    factor = 1.0 + float(rng.choice([-1.0, 1.0])) * (0.01 + 0.04 * severity)
    at = np.arange(len(sound)) * factor % len(sound)
    resampled: Signal = np.interp(at, np.arange(len(sound)), sound, period=len(sound))
    return resampled


def _dropout(sound: Signal, severity: float, rate_hz: int, rng: np.random.Generator) -> Signal:
    n = len(sound)
    gain_db = np.zeros(n)
    for start in rng.uniform(0.0, n, 1 + rng.poisson(8.0 * severity * n / rate_hz / 10.0)):
        length = rng.uniform(0.03, 0.25) * rate_hz
        low, high = int(start), min(n, int(start + length))
        done = (np.arange(low, high) - start) / length
        depth_db = 4.0 + 30.0 * severity
        gain_db[low:high] = -depth_db * np.clip(8.0 * np.minimum(done, 1 - done), 0, 1)
    return sound * db_to_amplitude(gain_db)


_INJECT: dict[str, Callable[[Signal, float, int, np.random.Generator], Signal]] = {
    "tone": _tone,
    "impacts": _impacts,
    "modulation": _modulation,
    "band": _band,
    "hiss": _hiss,
    "resonance": _resonance,
    "speed": _speed,
    "dropout": _dropout,
}
INJECTED = tuple(_INJECT)


def _rms(sound: Signal) -> float:
    return float(np.sqrt(np.mean(sound**2))) + 1e-9


def _draw_hz(rng: np.random.Generator) -> float:
    return float(np.exp(rng.uniform(np.log(250.0), np.log(5000.0))))


def _peak_gains(hz: float, octaves: float, change_db: float, rate_hz: int) -> Signal:
    """Return the amplitude response (2049,) of one peak, from 0 Hz to half the rate."""
    grid = np.maximum(np.linspace(0.0, rate_hz / 2.0, _GAIN_POINTS), 1.0)
    return db_to_amplitude(octave_peak_db(grid, hz, octaves, change_db))
