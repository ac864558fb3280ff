"""Renders synthetic machines: a specification in, a recording out.

    draw_machine(family, rng)            a machine (families.py)
    with_fault(spec, kind, severity)     the same machine with a fault (faults.py)
    render(spec, seconds, rng)           one recording of it

Recordings of one machine differ in the operating condition, in phases, in slow fluctuations of
the speed and of each part, in the gain, by 1 dB, and in noise.  Orders, modes and the room
belong to the machine and are the same in each.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from asd_monitor.records import Samples
from asd_monitor.synthesis.actuation import load_gain, plan_strokes, stroke_sound
from asd_monitor.synthesis.faults import fault_sound
from asd_monitor.synthesis.filtering import Signal, db_to_amplitude
from asd_monitor.synthesis.machine_spec import MachineSpec
from asd_monitor.synthesis.noise import fluctuation, gaussian_noise
from asd_monitor.synthesis.room import apply_room
from asd_monitor.synthesis.rotation import (
    flow_noise,
    mains_hum,
    order_tones,
    periodic_impacts,
    shaft_angle,
)

Growth = Callable[[Signal], Signal]
"""Time (n,) in seconds since the start → factor (n,), 0 … 1, of each fault's severity."""


def render(
    spec: MachineSpec,
    seconds: float,
    rng: np.random.Generator,
    rate_hz: int = 16000,
    growth: Growth | None = None,
) -> Samples:
    """Return one recording, float32 (round(seconds × rate_hz),), clipped to ±1.

    `growth` scales the severity of the faults over time; without it they are present
    throughout at the severity of the specification.
    """
    n = round(seconds * rate_hz)
    scale = np.ones(n) if growth is None else np.clip(growth(np.arange(n) / rate_hz), 0.0, 1.0)
    severity = {fault.kind: fault.severity * scale for fault in spec.faults if fault.severity > 0.0}
    fault_rng = rng.spawn(1)[0]  # the machine's own sound does not depend on its faults
    condition = spec.conditions[int(rng.integers(len(spec.conditions)))]

    speed = spec.speed_hz * condition.speed * rng.normal(1.0, 0.004) * np.ones(n)
    speed *= 1.0 + spec.speed_fluctuation * fluctuation(n, rate_hz, 1.3, rng)
    speed *= 1.0 - 0.12 * severity.get("speed", 0.0)
    angle = shaft_angle(speed, rate_hz, float(rng.uniform()), 0.002, rng)

    sound = np.zeros(n)
    motion = np.ones(n)
    for tones in spec.tones:
        component = order_tones(angle, tones, rate_hz, spec.speed_hz * 1.1, rng)
        if tones.mesh and "gear_tooth" in severity:
            component *= 1.0 + 3.0 * severity["gear_tooth"] * _pulse_per_turn(angle)
        sound += component
    if spec.flow is not None:
        sound += flow_noise(angle, spec.flow, severity.get("blocked", 0.0), rate_hz, rng)
    for impacts in spec.impacts:
        sound += periodic_impacts(angle, impacts, rate_hz, rng)
    if spec.actuation is not None:
        strokes = plan_strokes(
            n,
            spec.actuation,
            pace=condition.speed,
            sluggishness=severity.get("sluggish", 0.0),
            rate_hz=rate_hz,
            rng=rng,
        )
        sound += stroke_sound(strokes, spec.actuation, rate_hz, rng)
        motion = strokes.speed
    for fault in spec.faults:
        if fault.kind in severity:
            sound += fault_sound(
                spec,
                fault,
                fault.severity * scale,
                angle=angle,
                motion=motion,
                rate_hz=rate_hz,
                rng=fault_rng,
            )
    if "imbalance" in severity:
        sound *= 1.0 + 0.8 * severity["imbalance"] * np.cos(2.0 * np.pi * angle)
    sound *= db_to_amplitude(20.0 * np.log10(condition.load) * 0.5)
    if spec.load_cycle is not None:
        sound *= load_gain(n, spec.load_cycle, rate_hz, rng)
    if spec.hum is not None:
        sound += mains_hum(n, spec.hum, rate_hz, rng)

    captured = apply_room(sound / spec.nominal_rms, spec.room, rate_hz, spec.seed)
    captured *= db_to_amplitude(spec.level_dbfs + rng.uniform(-1.0, 1.0))
    captured += db_to_amplitude(spec.microphone_noise_dbfs) * gaussian_noise(n, (1.0, 1.0), rng)
    return np.clip(captured, -1.0, 1.0).astype(np.float32)


def _pulse_per_turn(angle: Signal) -> Signal:
    """Return a Gaussian pulse (n,) of height 1 that takes about a tenth of each revolution."""
    return np.exp(-0.5 * (((angle % 1.0) - 0.5) / 0.03) ** 2)
