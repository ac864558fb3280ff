"""Simulated faults of graded severity.

A fault adds a sound of its own or changes that of the machine, by its severity: at 0 the
recording is that of the healthy machine, sample by sample; up to about 0.2 the fault is
inaudible; 1 is gross.  The constants of a fault are drawn from the machine's seed, so that it
sounds the same in each recording.

    imbalance   amplitude modulation at 1×, tones at 1× and 2×
    bearing     impacts at a fractional order, modulated by the load zone, high modes
    gear_tooth  one impact per revolution, the mesh is modulated there
    leak        hiss in the high band
    loose       bursts of impacts of a rattling part
    squeal      a tone of unsteady frequency, modulated at the belt's speed
    rub         noise while the shaft touches, once per revolution
    blocked     flow noise without high frequencies
    sluggish    strokes too long and at irregular times
    speed       up to 12 % too slow

Sources: R. B. Randall, Vibration-based Condition Monitoring, Wiley, 2011 (imbalance, gears,
looseness); P. D. McFadden and J. D. Smith, "Model for the vibration produced by a single point
defect in a rolling element bearing", J. Sound Vib. 96(1), 1984 (impacts, load zone); J. Antoni
and R. B. Randall, "A stochastic model for simulation and diagnostics of rolling element
bearings with localized faults", J. Vib. Acoust. 125(3), 2003 (random slip).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from asd_monitor.synthesis.filtering import Signal, db_to_amplitude, spectral_envelope
from asd_monitor.synthesis.machine_spec import Fault, MachineSpec, SpectralPeak
from asd_monitor.synthesis.modal import draw_modes, excite_modes
from asd_monitor.synthesis.noise import fluctuation, gaussian_noise
from asd_monitor.synthesis.rotation import order_positions

KINDS = (
    "imbalance",
    "bearing",
    "gear_tooth",
    "leak",
    "loose",
    "squeal",
    "rub",
    "blocked",
    "sluggish",
    "speed",
)
_ADDED_DB = {  # level at severity 0 and 1, relative to the machine
    "bearing": (-36.0, 2.0),
    "gear_tooth": (-34.0, 2.0),
    "leak": (-34.0, 2.0),
    "loose": (-34.0, 2.0),
    "squeal": (-42.0, -2.0),
    "rub": (-32.0, 3.0),
}


def kinds_for(spec: MachineSpec) -> tuple[str, ...]:
    """Return the kinds of fault that this machine can have."""
    kinds = ["bearing", "leak", "loose", "squeal", "rub"]
    if spec.actuation is None:
        kinds += ["imbalance", "speed"]
        if any(tones.mesh for tones in spec.tones):
            kinds.append("gear_tooth")
        if spec.flow is not None:
            kinds.append("blocked")
    else:
        kinds.append("sluggish")
    return tuple(kind for kind in KINDS if kind in kinds)


def with_fault(spec: MachineSpec, kind: str, severity: float, variant: int = 0) -> MachineSpec:
    """Return the machine with one more fault.

    Raises:
        ValueError: the machine cannot have this kind, or the severity is outside 0 … 1.

    """
    if kind not in kinds_for(spec):
        raise ValueError(f"a {spec.family} has no fault {kind!r}; has {', '.join(kinds_for(spec))}")
    if not 0.0 <= severity <= 1.0:
        raise ValueError(f"severity is from 0 to 1, not {severity}")
    return replace(spec, faults=(*spec.faults, Fault(kind, severity, variant)))


def fault_sound(
    spec: MachineSpec,
    fault: Fault,
    severity: Signal,
    *,
    angle: Signal,
    motion: Signal,
    rate_hz: int,
    rng: np.random.Generator,
) -> Signal:
    """Return the sound (n,) that a fault adds; zeros for one that only changes the machine's.

    `severity` and `motion` (the relative speed of strokes, 0 … 1) are (n,); `angle` (n,) is the
    shaft's, in revolutions.
    """
    n = len(angle)
    if fault.kind not in _ADDED_DB and fault.kind != "imbalance":
        return np.zeros(n)
    constants = np.random.default_rng((spec.seed, KINDS.index(fault.kind), fault.variant))
    if fault.kind == "imbalance":
        tones = np.cos(2.0 * np.pi * angle) + 0.4 * np.cos(4.0 * np.pi * angle + 0.7)
        return 0.9 * spec.nominal_rms * severity**1.5 * tones
    level = _amplitude(fault.kind, severity) * spec.nominal_rms
    sounds = {
        "bearing": _bearing,
        "gear_tooth": _gear_tooth,
        "leak": _leak,
        "loose": _loose,
        "squeal": _squeal,
        "rub": _rub,
    }
    moving = 1.0 if fault.kind == "leak" else motion
    return sounds[fault.kind](angle, level * moving, constants, rate_hz, rng)


def _amplitude(kind: str, severity: Signal) -> Signal:
    """Return the amplitude (n,) relative to the machine: linear in dB above severity 0.05."""
    low_db, high_db = _ADDED_DB[kind]
    return db_to_amplitude(low_db + (high_db - low_db) * severity) * np.minimum(
        1.0, severity / 0.05
    )


def _bearing(
    angle: Signal,
    level: Signal,
    constants: np.random.Generator,
    rate_hz: int,
    rng: np.random.Generator,
) -> Signal:
    order = float(constants.uniform(2.6, 7.4))
    modes = draw_modes(1500.0, 6500.0, 4, constants, (0.001, 0.006))
    positions = order_positions(angle, order, float(rng.uniform()))
    if len(positions) == 0:
        return np.zeros(len(angle))
    slip = 0.012 * len(angle) / len(positions) * rng.standard_normal(len(positions))
    turn = np.interp(positions, np.arange(len(angle)), angle)
    load_zone = 1.0 + 0.6 * np.cos(2.0 * np.pi * turn)
    amplitudes = _at(level, positions) * load_zone * np.sqrt(len(angle) / len(positions))
    return excite_modes(len(angle), rate_hz, positions + slip, amplitudes, modes)


def _gear_tooth(
    angle: Signal,
    level: Signal,
    constants: np.random.Generator,
    rate_hz: int,
    rng: np.random.Generator,
) -> Signal:
    modes = draw_modes(400.0, 4000.0, 5, constants, (0.002, 0.02))
    positions = order_positions(angle, 1.0, float(rng.uniform()))
    if len(positions) == 0:
        return np.zeros(len(angle))
    spread = db_to_amplitude(rng.normal(0.0, 1.0, len(positions)))
    amplitudes = _at(level, positions) * spread * np.sqrt(len(angle) / len(positions))
    return excite_modes(len(angle), rate_hz, positions, amplitudes, modes)


def _leak(
    angle: Signal,
    level: Signal,
    constants: np.random.Generator,
    rate_hz: int,
    rng: np.random.Generator,
) -> Signal:
    centre_hz = float(constants.uniform(3000.0, 6500.0))
    peak = SpectralPeak(centre_hz, float(constants.uniform(0.25, 0.5)), 30.0)
    hiss = gaussian_noise(len(angle), spectral_envelope(6.0, (peak,), rate_hz), rng)
    return level * hiss * db_to_amplitude(fluctuation(len(angle), rate_hz, 0.3, rng))


def _loose(
    angle: Signal,
    level: Signal,
    constants: np.random.Generator,
    rate_hz: int,
    rng: np.random.Generator,
) -> Signal:
    modes = draw_modes(700.0, 5000.0, 6, constants, (0.002, 0.012))
    bursts_per_s = float(constants.uniform(0.8, 2.5))
    moving = np.flatnonzero(level)  # a part at rest does not rattle
    if len(moving) == 0:
        return np.zeros(len(angle))
    bursts = rng.choice(moving, 1 + rng.poisson(bursts_per_s * len(moving) / rate_hz)) / rate_hz
    positions, amplitudes = [np.empty(0)], [np.empty(0)]
    for start in bursts:
        count = int(rng.integers(4, 18))
        # a bouncing part: intervals and amplitudes fall geometrically
        intervals = 0.035 * 0.88 ** np.arange(count) * rng.uniform(0.7, 1.3, count)
        positions.append((start + np.cumsum(intervals)) * rate_hz)
        amplitudes.append(0.9 ** np.arange(count) * rng.uniform(0.6, 1.4, count))
    at, weights = np.concatenate(positions), np.concatenate(amplitudes)
    weights = weights * _at(level, at) * np.sqrt(rate_hz / (bursts_per_s * 6.0))
    return excite_modes(len(angle), rate_hz, at, weights, modes)


def _squeal(
    angle: Signal,
    level: Signal,
    constants: np.random.Generator,
    rate_hz: int,
    rng: np.random.Generator,
) -> Signal:
    hz = float(np.exp(constants.uniform(np.log(700.0), np.log(3200.0))))
    belt = float(constants.uniform(0.13, 0.37))  # revolutions of the belt per shaft revolution
    n = len(angle)
    detuning = 1.0 + 0.006 * fluctuation(n, rate_hz, 0.08, rng)
    detuning = detuning + 0.01 * np.sin(2 * np.pi * belt * angle)
    phase = 2.0 * np.pi * np.cumsum(hz * detuning) / rate_hz
    tone = np.sin(phase) + 0.35 * np.sin(2.0 * phase) + 0.12 * np.sin(3.0 * phase)
    slipping = np.clip(0.55 + 0.75 * np.cos(2.0 * np.pi * belt * angle + 1.0), 0.0, 1.0)
    sound: Signal = level * 1.4 * tone * slipping
    return sound


def _rub(
    angle: Signal,
    level: Signal,
    constants: np.random.Generator,
    rate_hz: int,
    rng: np.random.Generator,
) -> Signal:
    peak = SpectralPeak(float(constants.uniform(1200.0, 4000.0)), 0.6, 18.0)
    scrape = gaussian_noise(len(angle), spectral_envelope(0.0, (peak,), rate_hz), rng)
    contact = np.maximum(0.0, np.cos(2.0 * np.pi * angle + rng.uniform(0.0, 6.28))) ** 4
    sound: Signal = level * 1.9 * scrape * contact
    return sound


def _at(curve: Signal, positions: Signal) -> Signal:
    """Read a curve (n,) at sample positions; those outside it get its first or last value."""
    read: Signal = curve[np.clip(positions.astype(np.intp), 0, len(curve) - 1)]
    return read
