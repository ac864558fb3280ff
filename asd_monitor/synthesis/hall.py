"""Factory halls: the background of a machine, mixed in at a given signal-to-noise ratio.

A hall is broadband noise, one to three other machines, steady or fluctuating, and occasional
impacts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from asd_monitor.records import Samples
from asd_monitor.synthesis.families import draw_machine
from asd_monitor.synthesis.filtering import Signal, db_to_amplitude, spectral_envelope
from asd_monitor.synthesis.machine_spec import MachineSpec, Mode, SpectralPeak
from asd_monitor.synthesis.modal import draw_modes, excite_modes
from asd_monitor.synthesis.noise import fluctuation, gaussian_noise
from asd_monitor.synthesis.rendering import render

_TYPICAL_RMS = 1.2  # of the sum, so that halls have about unit RMS


@dataclass(frozen=True, slots=True)
class BackgroundMachine:
    """Another machine in the hall."""

    spec: MachineSpec
    level: float  # RMS, relative to the broadband noise
    fluctuation_db: float


@dataclass(frozen=True, slots=True)
class Hall:
    """One factory hall."""

    tilt_db: float  # per decade
    peaks: tuple[SpectralPeak, ...]
    machines: tuple[BackgroundMachine, ...]
    impacts_per_minute: float
    impact_modes: tuple[Mode, ...]


def draw_hall(rng: np.random.Generator) -> Hall:
    """Draw a hall with one to three machines in the background."""
    machines = tuple(
        BackgroundMachine(
            draw_machine(str(rng.choice(["fan", "pump", "gearbox", "conveyor"])), rng),
            float(rng.uniform(0.2, 0.8)),
            float(rng.uniform(0.5, 4.0)),
        )
        for _ in range(int(rng.integers(1, 4)))
    )
    peaks = tuple(
        SpectralPeak(
            float(np.exp(rng.uniform(np.log(80.0), np.log(3000.0)))),
            0.5,
            float(rng.uniform(2, 8)),
        )
        for _ in range(3)
    )
    return Hall(
        tilt_db=float(rng.uniform(-14.0, -6.0)),
        peaks=peaks,
        machines=machines,
        impacts_per_minute=float(rng.uniform(0.5, 8.0)),
        impact_modes=draw_modes(250.0, 5000.0, 8, rng, (0.01, 0.08)),
    )


def render_hall(
    hall: Hall, seconds: float, rng: np.random.Generator, rate_hz: int = 16000
) -> Samples:
    """Return the hall's sound, float32 (round(seconds × rate_hz),), of about unit RMS."""
    n = round(seconds * rate_hz)
    broadband = gaussian_noise(n, spectral_envelope(hall.tilt_db, hall.peaks, rate_hz), rng)
    sound = broadband * db_to_amplitude(1.2 * fluctuation(n, rate_hz, 2.5, rng))
    for machine in hall.machines:
        rendered = render(machine.spec, seconds, rng, rate_hz).astype(np.float64)
        rendered *= machine.level / (float(np.sqrt(np.mean(rendered**2))) + 1e-9)
        sound += rendered * db_to_amplitude(
            machine.fluctuation_db * fluctuation(n, rate_hz, 4.0, rng)
        )
    positions = rng.uniform(0.0, n, rng.poisson(hall.impacts_per_minute * seconds / 60.0))
    amplitudes = np.sqrt(0.08 * rate_hz) * db_to_amplitude(rng.normal(2.0, 5.0, len(positions)))
    sound += excite_modes(n, rate_hz, positions, amplitudes, hall.impact_modes)
    return (sound / _TYPICAL_RMS).astype(np.float32)


def mix(machine: Samples, background: Samples, snr_db: float, machine_rms: float) -> Samples:
    """Add a background of unit RMS to a machine's sound; both float32 (n,).

    The background is `snr_db` below `machine_rms`, the machine's RMS without a fault, so that
    its level does not depend on the fault.  The sum is clipped to ±1.
    """
    gain = machine_rms * float(db_to_amplitude(-snr_db))
    mixed: Signal = machine.astype(np.float64) + gain * background
    return np.clip(mixed, -1.0, 1.0).astype(np.float32)
