"""Rotating parts: the shaft, tones at its orders, flow noise, periodic impacts, mains hum.

Tones are read from a wavetable of one revolution at the shaft's angle.  Any number of orders
costs one look-up, and their relative phases are kept while the speed drifts.
"""

from __future__ import annotations

import numpy as np

from asd_monitor.synthesis.filtering import (
    Signal,
    db_to_amplitude,
    spectral_envelope,
    zero_phase_filter,
)
from asd_monitor.synthesis.machine_spec import Flow, Hum, Impacts, Tones
from asd_monitor.synthesis.modal import excite_modes
from asd_monitor.synthesis.noise import fluctuation, gaussian_noise

_WAVETABLE_LENGTH = 8192


def shaft_angle(
    speed_hz: Signal, rate_hz: int, start: float, jitter: float, rng: np.random.Generator
) -> Signal:
    """Return the angle (n,), in revolutions, of a shaft that turns at `speed_hz` (n,).

    `jitter` is the standard deviation, in revolutions, of a torsional fluctuation at intervals
    of 50 ms.
    """
    angle = start + np.cumsum(speed_hz) / rate_hz
    return angle + jitter * fluctuation(len(angle), rate_hz, 0.05, rng)


def order_tones(
    angle: Signal, tones: Tones, rate_hz: int, top_speed_hz: float, rng: np.random.Generator
) -> Signal:
    """Return the tones (n,) at the shaft's `angle`, of RMS ``tones.level``.

    Phases, and deviations of each amplitude by 0.7 dB, are drawn from `rng`.  Orders above 0.46
    of the rate at `top_speed_hz` are left out.
    """
    spectrum = np.zeros(_WAVETABLE_LENGTH // 2 + 1, dtype=np.complex128)
    highest = 0.46 * rate_hz / (top_speed_hz * tones.ratio)
    for order, amplitude in zip(tones.orders, tones.amplitudes, strict=True):
        if 0 < order < min(highest, _WAVETABLE_LENGTH // 8):
            drawn = amplitude * db_to_amplitude(rng.normal(0.0, 0.7))
            spectrum[order] += drawn * np.exp(2j * np.pi * rng.uniform())
    rms = float(np.sqrt(2.0 * np.sum(np.abs(spectrum) ** 2)))
    if rms == 0.0:
        return np.zeros(len(angle))
    wavetable = np.fft.irfft(spectrum * (_WAVETABLE_LENGTH / rms), _WAVETABLE_LENGTH)
    gain = db_to_amplitude(tones.fluctuation_db * fluctuation(len(angle), rate_hz, 1.7, rng))
    return tones.level * _read_wavetable(wavetable, angle * tones.ratio) * gain


def _read_wavetable(wavetable: Signal, turns: Signal) -> Signal:
    """Return the values of one revolution at the angles `turns`, interpolated linearly."""
    position = turns * len(wavetable)
    whole = np.floor(position)
    position -= whole
    left = whole.astype(np.intp)
    left %= len(wavetable)
    position *= np.diff(wavetable, append=wavetable[0]).take(left)
    position += wavetable.take(left)
    return position


def flow_noise(
    angle: Signal, flow: Flow, blockage: Signal | float, rate_hz: int, rng: np.random.Generator
) -> Signal:
    """Return turbulence noise (n,) of RMS ``flow.level``, modulated at the blade-pass order.

    `blockage`, 0 … 1, a number or (n,), attenuates the frequencies above 900 Hz and raises
    those below 200 Hz, as a clogged filter does.
    """
    n = len(angle)
    gains = spectral_envelope(flow.tilt_db, flow.peaks, rate_hz)
    turbulence = gaussian_noise(n, gains, rng)
    if np.any(blockage):
        hz = np.linspace(0.0, rate_hz / 2.0, len(gains))
        muffled = zero_phase_filter(
            turbulence, (1.0 + 0.6 * np.exp(-hz / 200.0)) / (1.0 + (hz / 900.0) ** 2)
        )
        turbulence += np.asarray(blockage) * (muffled - turbulence)
    if flow.pass_order:
        turbulence *= 1.0 + flow.pass_depth * np.cos(2.0 * np.pi * flow.pass_order * angle)
    gain = db_to_amplitude(flow.fluctuation_db * fluctuation(n, rate_hz, 0.9, rng))
    return flow.level * turbulence * gain


def order_positions(angle: Signal, order: float, phase: float) -> Signal:
    """Return the sample positions of `order` events per revolution, the first at `phase` 0 … 1."""
    first = np.ceil(angle[0] * order - phase)
    turns = (np.arange(first, angle[-1] * order - phase) + phase) / order
    return np.interp(turns, angle, np.arange(len(angle), dtype=np.float64))


def periodic_impacts(
    angle: Signal, impacts: Impacts, rate_hz: int, rng: np.random.Generator
) -> Signal:
    """Return impacts (n,) at an order of the shaft, of RMS ``impacts.level``."""
    positions = order_positions(angle, impacts.order, float(rng.uniform()))
    if len(positions) == 0:
        return np.zeros(len(angle))
    interval = len(angle) / len(positions)
    positions = positions + impacts.jitter * interval * rng.standard_normal(len(positions))
    amplitude = impacts.level * np.sqrt(interval)
    amplitudes = amplitude * db_to_amplitude(
        impacts.spread_db * rng.standard_normal(len(positions))
    )
    return excite_modes(len(angle), rate_hz, positions, amplitudes, impacts.modes)


def mains_hum(n: int, hum: Hum, rate_hz: int, rng: np.random.Generator) -> Signal:
    """Return mains hum (n,) of RMS ``hum.level``; the line frequency deviates by some 0.02 Hz."""
    frequency_hz = np.full(n, hum.line_hz + rng.normal(0.0, 0.02))
    tones = Tones(tuple(range(1, len(hum.amplitudes) + 1)), hum.amplitudes, hum.level, 1.0, 0.3)
    angle = shaft_angle(frequency_hz, rate_hz, float(rng.uniform()), 0.0, rng)
    return order_tones(angle, tones, rate_hz, hum.line_hz, rng)
