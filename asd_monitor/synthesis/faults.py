"""Graded faults: what goes wrong, and how it sounds.

A fault adds its own sound or bends that of the machine, by how severe it is: 0 is the
sound machine, up to about 0.2 nobody hears it, 1 is gross.  What a fault adds is drawn
from the machine's own seed, so that the same fault sounds the same in each recording.

    imbalance   the whole sound swells once a turn; lines at 1× and 2×
    bearing     blows at an order that is no whole number, swelling once a turn, ringing high
    gear_tooth  one blow a turn; the mesh stumbles there
    leak        a hiss in the high band
    loose       bursts of rattling blows
    squeal      a new, wavering tone, on and off with the belt's turn
    rub         noise where the shaft touches, once a turn
    blocked     flow without highs, labouring
    sluggish    strokes too long and at irregular moments
    speed       up to 12 % too slow
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from asd_monitor.synthesis.machine_spec import Fault, MachineSpec
from asd_monitor.synthesis.noise import Signal, decibels, noise, wander
from asd_monitor.synthesis.resonances import draw_modes, strike
from asd_monitor.synthesis.rotation import colour, crossings

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
ADDED_DB = {  # level at severity 0 and 1, relative to the machine's own
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

    Raises ValueError for a kind that the machine cannot have or a severity outside 0 … 1.
    """
    if kind not in kinds_for(spec):
        raise ValueError(f"a {spec.family} has no fault {kind!r}; has {', '.join(kinds_for(spec))}")
    if not 0.0 <= severity <= 1.0:
        raise ValueError(f"severity is from 0 to 1, not {severity}")
    return replace(spec, faults=(*spec.faults, Fault(kind, severity, variant)))


def amplitude(kind: str, severity: Signal) -> Signal:
    """Amplitude of what a fault adds, relative to the machine; nothing at 0."""
    silent, gross = ADDED_DB[kind]
    return decibels(silent + (gross - silent) * severity) * np.minimum(1.0, severity / 0.05)


def added_sound(
    spec: MachineSpec,
    fault: Fault,
    severity: Signal,
    *,
    angle: Signal,
    activity: Signal,
    rate_hz: int,
    rng: np.random.Generator,
) -> Signal:
    """Return what a fault adds to the machine, (n,); zeros for one that only bends it.

    `severity` and `activity` (how much the machine moves, 0 … 1) are (n,), `angle` is
    the shaft's, in turns.
    """
    n = len(angle)
    if fault.kind not in ADDED_DB and fault.kind != "imbalance":
        return np.zeros(n)
    place = np.random.default_rng((spec.seed, KINDS.index(fault.kind), fault.variant))
    if fault.kind == "imbalance":
        turning = np.cos(2.0 * np.pi * angle) + 0.4 * np.cos(4.0 * np.pi * angle + 0.7)
        return 0.9 * spec.loudness * severity**1.5 * turning
    loud = amplitude(fault.kind, severity) * spec.loudness
    sounds = {
        "bearing": _bearing,
        "gear_tooth": _gear_tooth,
        "leak": _leak,
        "loose": _loose,
        "squeal": _squeal,
        "rub": _rub,
    }
    moving = 1.0 if fault.kind == "leak" else activity
    return sounds[fault.kind](angle, loud * moving, place, rate_hz, rng)


def _bearing(
    angle: Signal, loud: Signal, place: np.random.Generator, rate_hz: int, rng: np.random.Generator
) -> Signal:
    order = float(place.uniform(2.6, 7.4))
    modes = draw_modes(1500.0, 6500.0, 4, place, (0.001, 0.006))
    at = crossings(angle, order, float(rng.uniform()))
    if len(at) == 0:
        return np.zeros(len(angle))
    slip = 0.012 * len(angle) / len(at) * rng.standard_normal(len(at))  # rollers skid a little
    turn = np.interp(at, np.arange(len(angle)), angle)
    loaded = 1.0 + 0.6 * np.cos(2.0 * np.pi * turn)  # the load zone, once a turn
    weights = _at(loud, at) * loaded * np.sqrt(len(angle) / len(at))
    return strike(len(angle), rate_hz, at + slip, weights, modes)


def _gear_tooth(
    angle: Signal, loud: Signal, place: np.random.Generator, rate_hz: int, rng: np.random.Generator
) -> Signal:
    modes = draw_modes(400.0, 4000.0, 5, place, (0.002, 0.02))
    at = crossings(angle, 1.0, float(rng.uniform()))
    if len(at) == 0:
        return np.zeros(len(angle))
    weights = _at(loud, at) * decibels(rng.normal(0.0, 1.0, len(at)))
    return strike(len(angle), rate_hz, at, weights * np.sqrt(len(angle) / len(at)), modes)


def _leak(
    angle: Signal, loud: Signal, place: np.random.Generator, rate_hz: int, rng: np.random.Generator
) -> Signal:
    centre = float(place.uniform(3000.0, 6500.0))
    hump = ((centre, float(place.uniform(0.25, 0.5)), 30.0),)
    hiss = noise(len(angle), colour(6.0, hump, rate_hz), rng)
    return loud * hiss * decibels(wander(len(angle), rate_hz, 0.3, rng))


def _loose(
    angle: Signal, loud: Signal, place: np.random.Generator, rate_hz: int, rng: np.random.Generator
) -> Signal:
    modes = draw_modes(700.0, 5000.0, 6, place, (0.002, 0.012))
    a_second = float(place.uniform(0.8, 2.5))
    moving = np.flatnonzero(loud)  # what stands still does not rattle
    if len(moving) == 0:
        return np.zeros(len(angle))
    bursts = rng.choice(moving, 1 + rng.poisson(a_second * len(moving) / rate_hz)) / rate_hz
    at, weights = [np.empty(0)], [np.empty(0)]
    for start in bursts:
        count = int(rng.integers(4, 18))
        # a bouncing part: each interval shorter than the last, each blow weaker
        gaps = 0.035 * 0.88 ** np.arange(count) * rng.uniform(0.7, 1.3, count)
        at.append((start + np.cumsum(gaps)) * rate_hz)
        weights.append(0.9 ** np.arange(count) * rng.uniform(0.6, 1.4, count))
    places, strengths = np.concatenate(at), np.concatenate(weights)
    strengths = strengths * _at(loud, places) * np.sqrt(rate_hz / (a_second * 6.0))
    return strike(len(angle), rate_hz, places, strengths, modes)


def _squeal(
    angle: Signal, loud: Signal, place: np.random.Generator, rate_hz: int, rng: np.random.Generator
) -> Signal:
    hz = float(np.exp(place.uniform(np.log(700.0), np.log(3200.0))))
    belt = float(place.uniform(0.13, 0.37))  # turns of the belt a turn of the shaft
    n = len(angle)
    bend = 1.0 + 0.006 * wander(n, rate_hz, 0.08, rng) + 0.01 * np.sin(2 * np.pi * belt * angle)
    phase = 2.0 * np.pi * np.cumsum(hz * bend) / rate_hz
    tone = np.sin(phase) + 0.35 * np.sin(2.0 * phase) + 0.12 * np.sin(3.0 * phase)
    slips = np.clip(0.55 + 0.75 * np.cos(2.0 * np.pi * belt * angle + 1.0), 0.0, 1.0)
    sound: Signal = loud * 1.4 * tone * slips
    return sound


def _rub(
    angle: Signal, loud: Signal, place: np.random.Generator, rate_hz: int, rng: np.random.Generator
) -> Signal:
    hump = ((float(place.uniform(1200.0, 4000.0)), 0.6, 18.0),)
    scrape = noise(len(angle), colour(0.0, hump, rate_hz), rng)
    touch = np.maximum(0.0, np.cos(2.0 * np.pi * angle + rng.uniform(0.0, 6.28))) ** 4
    sound: Signal = loud * 1.9 * scrape * touch
    return sound


def _at(curve: Signal, places: Signal) -> Signal:
    """Read a curve (n,) at sample positions, which may lie outside it."""
    read: Signal = curve[np.clip(places.astype(np.intp), 0, len(curve) - 1)]
    return read
