"""Changes of a recording's samples whose truth is known: for simulated machines and real sound.

Levels are relative to the sound itself: tones to the third-octave band around them, other sound to
the whole.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from asd_monitor.explanation.findings import FindingKind as Kind
from asd_monitor.explanation.sound_analysis import analyse
from asd_monitor.records import Samples
from asd_monitor.synthesis.added_faults import band_rms
from asd_monitor.synthesis.filtering import (
    Signal,
    db_to_amplitude,
    spectral_envelope,
    zero_phase_filter,
)
from asd_monitor.synthesis.machine_spec import SpectralPeak
from asd_monitor.synthesis.modal import draw_modes, excite_modes
from asd_monitor.synthesis.noise import fluctuation, gaussian_noise
from experiments.reasons.truth import Truth

TONE_DB, IMPACTS_DB, HISS_DB, RATTLE_DB = 12.0, -5.0, -4.0, -3.0
RATE_HZ = 16_000
_GAIN_POINTS = 2049


@dataclass(frozen=True, slots=True, eq=False)
class Changed:
    """A sound with a change, and what the change is."""

    sound: Samples
    truth: Truth


Change = Callable[[Samples, np.random.Generator], Changed]


def _changed(sound: Signal, truth: Truth) -> Changed:
    return Changed(np.clip(sound, -1.0, 1.0).astype(np.float32), truth)


def _time(sound: Samples) -> Signal:
    return np.arange(len(sound)) / RATE_HZ


def _log_uniform(low: float, high: float, rng: np.random.Generator) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def _rms(sound: Samples) -> float:
    return float(np.sqrt(np.mean(np.square(sound, dtype=np.float64)))) + 1e-9


def new_tone(sound: Samples, rng: np.random.Generator) -> Changed:
    """Add a tone."""
    hz = _log_uniform(250.0, 5000.0, rng)
    tone = np.sqrt(2.0) * np.sin(2 * np.pi * hz * _time(sound))
    level = band_rms(sound, hz, RATE_HZ) * db_to_amplitude(TONE_DB)
    truth = Truth(f"tone at {hz:.0f} Hz", frozenset({Kind.TONE}), (hz,))
    return _changed(sound + level * tone, truth)


def tone_with_sidebands(sound: Samples, rng: np.random.Generator) -> Changed:
    """Add a tone whose amplitude is modulated."""
    hz, side_hz = _log_uniform(500.0, 4000.0, rng), _log_uniform(9.0, 60.0, rng)
    time = _time(sound)
    tone = np.sqrt(2.0) * np.sin(2 * np.pi * hz * time)
    level = band_rms(sound, hz, RATE_HZ) * db_to_amplitude(TONE_DB)
    gain = 1.0 + 0.8 * np.cos(2 * np.pi * side_hz * time)
    truth = Truth(
        f"tone at {hz:.0f} Hz, sidebands at {side_hz:.1f} Hz",
        frozenset({Kind.TONE}),
        (side_hz,),
        hz,
    )
    return _changed(sound + level * tone * gain, truth)


def hum(sound: Samples, rng: np.random.Generator) -> Changed:
    """Add a hum: a fundamental from 90 to 130 Hz with its harmonics."""
    hz = float(rng.uniform(90.0, 130.0))
    time = _time(sound)
    total = np.zeros(len(sound))
    for order in range(1, 6):
        level = band_rms(sound, order * hz, RATE_HZ) * db_to_amplitude(TONE_DB - order)
        total += level * np.sqrt(2.0) * np.sin(2 * np.pi * order * hz * time + order)
    multiples = tuple(order * hz for order in range(1, 6))
    return _changed(sound + total, Truth(f"hum at {hz:.0f} Hz", frozenset({Kind.TONE}), multiples))


def squeal(sound: Samples, rng: np.random.Generator) -> Changed:
    """Add a tone of unsteady frequency that comes and goes."""
    hz, rate = _log_uniform(700.0, 3200.0, rng), float(rng.uniform(3.0, 12.0))
    time, n = _time(sound), len(sound)
    detuning = 1.0 + 0.006 * fluctuation(n, RATE_HZ, 0.08, rng)
    phase = 2 * np.pi * np.cumsum(hz * detuning) / RATE_HZ
    gain = np.clip(0.55 + 0.75 * np.cos(2 * np.pi * rate * time), 0.0, 1.0)
    tone = np.sin(phase) + 0.35 * np.sin(2 * phase)
    level = band_rms(sound, hz, RATE_HZ) * db_to_amplitude(TONE_DB + 3.0)
    truth = Truth(f"squeal at {hz:.0f} Hz", frozenset({Kind.TONE}), (hz,))
    return _changed(sound + 1.4 * level * tone * gain, truth)


def _impact_train(
    sound: Samples, hz: float, level_db: float, slip: float, rng: np.random.Generator
) -> Signal:
    n, interval = len(sound), RATE_HZ / hz
    positions = np.arange(float(rng.uniform()) * interval, n, interval)
    positions = positions + slip * interval * rng.standard_normal(len(positions))
    amplitudes = db_to_amplitude(rng.normal(0.0, 1.5, len(positions)))
    modes = draw_modes(1200.0, 6000.0, 4, rng, (0.001, 0.008))
    impacts = excite_modes(n, RATE_HZ, positions, amplitudes, modes)
    return sound + _rms(sound) * db_to_amplitude(level_db) * impacts / (_rms_of(impacts))


def _rms_of(signal: Signal) -> float:
    return float(np.sqrt(np.mean(signal**2))) + 1e-12


def knocking(sound: Samples, rng: np.random.Generator) -> Changed:
    """Add impacts at 1 to 8 per second."""
    hz = _log_uniform(1.0, 8.0, rng)
    changed = _impact_train(sound, hz, IMPACTS_DB, 0.005, rng)
    truth = Truth(f"knocking, {hz:.2f} per second", frozenset({Kind.IMPACTS}), (hz,))
    return _changed(changed, truth)


def bearing_impacts(sound: Samples, rng: np.random.Generator) -> Changed:
    """Add impacts at 20 to 120 per second."""
    hz = _log_uniform(20.0, 120.0, rng)
    changed = _impact_train(sound, hz, IMPACTS_DB, 0.01, rng)
    truth = Truth(f"impacts, {hz:.1f} per second", frozenset({Kind.IMPACTS}), (hz,))
    return _changed(changed, truth)


def rattle(sound: Samples, rng: np.random.Generator) -> Changed:
    """Add impacts at random times."""
    n, hz = len(sound), _log_uniform(2.0, 8.0, rng)
    positions = np.sort(rng.uniform(0, n, max(4, int(rng.poisson(hz * n / RATE_HZ)))))
    amplitudes = db_to_amplitude(rng.normal(0.0, 2.0, len(positions)))
    modes = draw_modes(1200.0, 6000.0, 4, rng, (0.001, 0.008))
    impacts = excite_modes(n, RATE_HZ, positions, amplitudes, modes)
    changed = sound + _rms(sound) * db_to_amplitude(RATTLE_DB) * impacts / _rms_of(impacts)
    truth = Truth(f"irregular impacts, {hz:.1f} per second", frozenset({Kind.IRREGULAR_IMPACTS}))
    return _changed(changed, truth)


def _hiss(sound: Samples, centre_hz: float, rng: np.random.Generator) -> Signal:
    peak = SpectralPeak(centre_hz, 0.35, 30.0)
    noise = gaussian_noise(len(sound), spectral_envelope(3.0, (peak,), RATE_HZ), rng)
    return np.asarray(_rms(sound) * db_to_amplitude(HISS_DB) * noise)


def hiss(sound: Samples, rng: np.random.Generator) -> Changed:
    """Add noise of a high band."""
    hz = float(rng.uniform(2500.0, 6000.0))
    truth = Truth(f"hiss around {hz:.0f} Hz", frozenset({Kind.LOUD_BAND}), (), hz)
    return _changed(sound + _hiss(sound, hz, rng), truth)


def modulated_hiss(sound: Samples, rng: np.random.Generator) -> Changed:
    """Add noise of a high band that rises and falls."""
    hz, rate = float(rng.uniform(2500.0, 6000.0)), _log_uniform(2.5, 25.0, rng)
    gain = 1.0 + 0.9 * np.cos(2 * np.pi * rate * _time(sound))
    truth = Truth(
        f"hiss around {hz:.0f} Hz, {rate:.1f} per second",
        frozenset({Kind.MODULATION, Kind.IMPACTS}),
        (rate,),
    )
    return _changed(sound + gain * _hiss(sound, hz, rng), truth)


def modulation(sound: Samples, rng: np.random.Generator) -> Changed:
    """Let the level of all sound rise and fall."""
    rate = _log_uniform(2.0, 25.0, rng)
    gain = 1.0 + 0.6 * np.cos(2 * np.pi * rate * _time(sound))
    kinds = frozenset({Kind.MODULATION, Kind.IMPACTS})
    return _changed(sound * gain, Truth(f"modulation, {rate:.1f} per second", kinds, (rate,)))


def silent_band(sound: Samples, rng: np.random.Generator) -> Changed:
    """Attenuate an octave by 20 dB."""
    hz = _log_uniform(400.0, 4000.0, rng)
    grid = np.maximum(np.linspace(0.0, RATE_HZ / 2, _GAIN_POINTS), 1.0)
    gains = np.where(np.abs(np.log2(grid / hz)) <= 0.5, 0.1, 1.0)
    truth = Truth(f"silent around {hz:.0f} Hz", frozenset({Kind.QUIET_BAND}), (), hz)
    return _changed(zero_phase_filter(sound.astype(np.float64), gains), truth)


def louder(sound: Samples, _rng: np.random.Generator) -> Changed:
    """Raise the level by 8 dB."""
    truth = Truth("8 dB louder", frozenset({Kind.LEVEL}))
    return _changed(sound * db_to_amplitude(8.0), truth)


def shifted_speed(sound: Samples, rng: np.random.Generator) -> Changed:
    """Play the sound 3 to 8 % slower or faster."""
    percent = float(rng.choice([-1.0, 1.0]) * rng.uniform(3.0, 8.0))
    n = len(sound)
    at = np.arange(n) * (1.0 + percent / 100.0) % (n - 1)
    moved = np.interp(at, np.arange(n), sound)
    truth = Truth(f"speed {percent:+.1f} %", frozenset({Kind.SPEED}), percents=(percent,))
    return _changed(moved, truth)


def missing_tone(sound: Samples, _rng: np.random.Generator) -> Changed:
    """Attenuate the most prominent tone above 150 Hz by 40 dB."""
    found = analyse(sound, RATE_HZ)
    lines_hz = found.layout.lines_hz
    inside = (lines_hz >= 150.0) & (lines_hz <= 5000.0)
    hz = float(lines_hz[np.where(inside, found.prominence, -np.inf).argmax()])
    grid = np.linspace(0.0, RATE_HZ / 2, 16 * _GAIN_POINTS)
    gains = np.where(np.abs(grid - hz) <= 12.0 + 0.01 * hz, 0.01, 1.0)
    truth = Truth(f"no tone at {hz:.0f} Hz", frozenset({Kind.MISSING_TONE}), (hz,))
    return _changed(zero_phase_filter(sound.astype(np.float64), gains), truth)


def has_tone(sound: Samples) -> bool:
    """Return whether a sound has a prominent tone above 150 Hz."""
    found = analyse(sound, RATE_HZ)
    return bool(found.prominence[found.layout.lines_hz >= 150.0].max() >= 15.0)


def dropouts(sound: Samples, rng: np.random.Generator) -> Changed:
    """Let the level drop by 30 dB for a tenth of a second, several times."""
    gain = np.ones(len(sound))
    for start in rng.uniform(0, len(sound), 8):
        gain[int(start) : int(start + 0.1 * RATE_HZ)] = db_to_amplitude(-30.0)
    return _changed(sound * gain, Truth("short silence", frozenset({Kind.GAPS})))


CHANGES: dict[str, Change] = {
    "tone": new_tone,
    "tone with sidebands": tone_with_sidebands,
    "hum": hum,
    "squeal": squeal,
    "knocking": knocking,
    "bearing impacts": bearing_impacts,
    "rattle": rattle,
    "hiss": hiss,
    "modulated hiss": modulated_hiss,
    "modulation": modulation,
    "silent band": silent_band,
    "level": louder,
    "speed": shifted_speed,
    "missing tone": missing_tone,
    "dropouts": dropouts,
}
