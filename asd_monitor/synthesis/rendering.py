"""Renders made machines: a spec in, sound out.

    draw_machine(family, rng)            a machine (families.py)
    with_fault(spec, kind, severity)     the same machine with something wrong (faults.py)
    render(spec, seconds, rng)           one recording of it

Two recordings of one machine differ as real ones do: running condition, phases, slow
drift of speed and of each part, gain within 1 dB, and noise; what belongs to the
machine (orders, resonances, room) stays.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from asd_monitor.records import Samples
from asd_monitor.synthesis.actuation import load_curve, plan, stroke_sounds
from asd_monitor.synthesis.faults import added_sound
from asd_monitor.synthesis.machine_spec import MachineSpec
from asd_monitor.synthesis.noise import Signal, decibels, noise, wander
from asd_monitor.synthesis.resonances import in_room
from asd_monitor.synthesis.rotation import blows, flow_noise, hum_tone, shaft_angle, stack

Growth = Callable[[Signal], Signal]
"""From seconds since the recording's start (n,) to the part (0 … 1) of each fault's severity."""


def render(
    spec: MachineSpec,
    seconds: float,
    rng: np.random.Generator,
    rate_hz: int = 16000,
    growth: Growth | None = None,
) -> Samples:
    """Return one recording, float32 of shape (round(seconds × rate_hz),), clipped to ±1.

    `growth` lets the faults grow or vanish while it lasts; without it they are there
    throughout.
    """
    n = round(seconds * rate_hz)
    share = np.ones(n) if growth is None else np.clip(growth(np.arange(n) / rate_hz), 0.0, 1.0)
    severity = {fault.kind: fault.severity * share for fault in spec.faults if fault.severity > 0.0}
    fault_rng = rng.spawn(1)[0]  # so that the machine itself sounds the same with and without
    condition = spec.conditions[int(rng.integers(len(spec.conditions)))]

    speed = spec.speed_hz * condition.speed * rng.normal(1.0, 0.004) * np.ones(n)
    speed *= 1.0 + spec.speed_wander * wander(n, rate_hz, 1.3, rng)
    speed *= 1.0 - 0.12 * severity.get("speed", 0.0)
    angle = shaft_angle(speed, rate_hz, float(rng.uniform()), 0.002, rng)

    sound = np.zeros(n)
    activity = np.ones(n)
    for tones in spec.tones:
        lines = stack(angle, tones, rate_hz, spec.speed_hz * 1.1, rng)
        if tones.mesh and "gear_tooth" in severity:
            lines *= 1.0 + 3.0 * severity["gear_tooth"] * _once_a_turn(angle)
        sound += lines
    if spec.flow is not None:
        sound += flow_noise(angle, spec.flow, severity.get("blocked", 0.0), rate_hz, rng)
    for impacts in spec.impacts:
        sound += blows(angle, impacts, rate_hz, rng)
    if spec.actuation is not None:
        slow = severity.get("sluggish", 0.0)
        strokes = plan(
            n, spec.actuation, pace=condition.speed, sluggish=slow, rate_hz=rate_hz, rng=rng
        )
        sound += stroke_sounds(strokes, spec.actuation, rate_hz, rng)
        activity = strokes.speed
    for fault in spec.faults:
        if fault.kind in severity:
            sound += added_sound(
                spec,
                fault,
                fault.severity * share,
                angle=angle,
                activity=activity,
                rate_hz=rate_hz,
                rng=fault_rng,
            )
    if "imbalance" in severity:
        sound *= 1.0 + 0.8 * severity["imbalance"] * np.cos(2.0 * np.pi * angle)
    sound *= decibels(20.0 * np.log10(condition.load) * 0.5)
    if spec.cycle is not None:
        sound *= load_curve(n, spec.cycle, rate_hz, rng)
    if spec.hum is not None:
        sound += hum_tone(n, spec.hum, rate_hz, rng)

    heard = in_room(sound / spec.loudness, spec.room, rate_hz, spec.seed)
    heard *= decibels(spec.level_dbfs + rng.uniform(-1.0, 1.0))
    heard += decibels(spec.microphone_noise_dbfs) * noise(n, (1.0, 1.0), rng)
    return np.clip(heard, -1.0, 1.0).astype(np.float32)


def _once_a_turn(angle: Signal) -> Signal:
    """Return a bump (n,) of height 1 over a tenth of each turn."""
    return np.exp(-0.5 * (((angle % 1.0) - 0.5) / 0.03) ** 2)
