"""What else is heard: a factory hall around the machine, mixed in at a stated SNR.

A hall is rumble and air that never stop, other machines that run steadily or come and
go, and now and then a clank.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from asd_monitor.records import Samples
from asd_monitor.synthesis.families import draw_machine
from asd_monitor.synthesis.machine_spec import MachineSpec, Mode
from asd_monitor.synthesis.noise import Signal, decibels, noise, wander
from asd_monitor.synthesis.rendering import render
from asd_monitor.synthesis.resonances import draw_modes, strike
from asd_monitor.synthesis.rotation import colour


@dataclass(frozen=True, slots=True)
class Hall:
    """One factory hall."""

    tilt_db: float  # a decade
    resonances: tuple[tuple[float, float, float], ...]
    neighbours: tuple[tuple[MachineSpec, float, float], ...]  # machine, level, how unsteady in dB
    clanks_a_minute: float
    clank_modes: tuple[Mode, ...]


def draw_hall(rng: np.random.Generator) -> Hall:
    """Draw a hall with one to three neighbouring machines."""
    neighbours = tuple(
        (
            draw_machine(str(rng.choice(["fan", "pump", "gearbox", "conveyor"])), rng),
            float(rng.uniform(0.2, 0.8)),
            float(rng.uniform(0.5, 4.0)),
        )
        for _ in range(int(rng.integers(1, 4)))
    )
    humps = tuple(
        (float(np.exp(rng.uniform(np.log(80.0), np.log(3000.0)))), 0.5, float(rng.uniform(2, 8)))
        for _ in range(3)
    )
    return Hall(
        tilt_db=float(rng.uniform(-14.0, -6.0)),
        resonances=humps,
        neighbours=neighbours,
        clanks_a_minute=float(rng.uniform(0.5, 8.0)),
        clank_modes=draw_modes(250.0, 5000.0, 8, rng, (0.01, 0.08)),
    )


def render_hall(
    hall: Hall, seconds: float, rng: np.random.Generator, rate_hz: int = 16000
) -> Samples:
    """Return the hall's sound, float32 (n,), of about unit RMS."""
    n = round(seconds * rate_hz)
    air = noise(n, colour(hall.tilt_db, hall.resonances, rate_hz), rng)
    sound = air * decibels(1.2 * wander(n, rate_hz, 2.5, rng))
    for machine, level, unsteady_db in hall.neighbours:
        heard = render(machine, seconds, rng, rate_hz).astype(np.float64)
        heard *= level / (float(np.sqrt(np.mean(heard**2))) + 1e-9)
        sound += heard * decibels(unsteady_db * wander(n, rate_hz, 4.0, rng))
    clanks = rng.uniform(0.0, n, rng.poisson(hall.clanks_a_minute * seconds / 60.0))
    strength = np.sqrt(0.08 * rate_hz) * decibels(rng.normal(2.0, 5.0, len(clanks)))
    sound += strike(n, rate_hz, clanks, strength, hall.clank_modes)
    return (sound / 1.2).astype(np.float32)


def mix(machine: Samples, background: Samples, snr_db: float, machine_rms: float) -> Samples:
    """Add a background of unit RMS `snr_db` below a machine whose usual RMS is `machine_rms`.

    The scale is the machine's usual one, not this clip's: a hall knows nothing of the
    machine's faults.  Where the sum would clip, it is limited to ±1.
    """
    gain = machine_rms * float(decibels(-snr_db))
    mixed: Signal = machine.astype(np.float64) + gain * background
    return np.clip(mixed, -1.0, 1.0).astype(np.float32)
