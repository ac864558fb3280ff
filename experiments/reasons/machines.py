"""Synthetic machines with the simulated faults of the product, and the truth of each."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from asd_monitor.explanation.findings import FindingKind as Kind
from asd_monitor.records import Samples
from asd_monitor.synthesis.faults import KINDS, kinds_for, with_fault
from asd_monitor.synthesis.machine_spec import MachineSpec, OperatingCondition
from asd_monitor.synthesis.rendering import render
from experiments.reasons.changes import Changed
from experiments.reasons.truth import Truth

SEVERITY = 0.65
RECORDINGS, RECORDING_S = 4, 30.0
TEST_S = 10.0


def training_sound(spec: MachineSpec, seed: int) -> list[Samples]:
    """Return recordings of a machine in its operating conditions."""
    rng = np.random.default_rng((seed, 1))
    conditions = [spec.conditions[k % len(spec.conditions)] for k in range(RECORDINGS)]
    return [render(replace(spec, conditions=(each,)), RECORDING_S, rng) for each in conditions]


def normal_sound(spec: MachineSpec, seed: int) -> Samples:
    """Return another recording of the machine."""
    return render(spec, TEST_S, np.random.default_rng((seed, 2)))


def faulty_sounds(spec: MachineSpec, seed: int) -> dict[str, Changed]:
    """Return recordings with each fault that the machine can have."""
    found = {}
    for number, kind in enumerate(kinds_for(spec)):
        rng = np.random.default_rng((seed, 3, number))
        condition = spec.conditions[int(rng.integers(len(spec.conditions)))]
        one = with_fault(replace(spec, conditions=(condition,)), kind, SEVERITY)
        speed_hz = spec.speed_hz * condition.speed
        found[kind] = Changed(render(one, TEST_S, rng), _truth(spec, condition, kind))
    return found


def _truth(spec: MachineSpec, condition: OperatingCondition, kind: str) -> Truth:
    speed_hz = spec.speed_hz * condition.speed
    constants = np.random.default_rng((spec.seed, KINDS.index(kind), 0))
    periodic = frozenset({Kind.IMPACTS, Kind.MODULATION})
    match kind:
        case "imbalance":
            rates = (speed_hz, 2 * speed_hz)
            kinds = frozenset({Kind.TONE, Kind.MODULATION})
            return Truth(f"imbalance at {speed_hz:.1f} Hz", kinds, rates)
        case "bearing":
            rate = float(constants.uniform(2.6, 7.4)) * speed_hz
            # modulated at the shaft's speed by the load zone
            text = f"impacts, {rate:.1f} per second, load zone {speed_hz:.1f}"
            return Truth(text, periodic, (rate, speed_hz))
        case "gear_tooth":
            kinds = periodic | {Kind.TONE}  # as the distance of sidebands
            return Truth(f"impacts, {speed_hz:.1f} per second", kinds, (speed_hz,))
        case "rub":
            return Truth(f"rubbing, {speed_hz:.1f} per second", periodic, (speed_hz,))
        case "leak":
            hz = float(constants.uniform(3000.0, 6500.0))
            return Truth(f"hiss around {hz:.0f} Hz", frozenset({Kind.LOUD_BAND}), (), hz)
        case "loose":
            return Truth("irregular impacts", frozenset({Kind.IRREGULAR_IMPACTS}))
        case "squeal":
            hz = float(np.exp(constants.uniform(np.log(700.0), np.log(3200.0))))
            return Truth(f"squeal at {hz:.0f} Hz", frozenset({Kind.TONE}), (hz, 2 * hz))
        case "blocked":
            return Truth("less above 900 Hz", frozenset({Kind.QUIET_BAND}), (), 2000.0)
        case "sluggish":
            return Truth("slower, irregular strokes", frozenset({Kind.RHYTHM}))
        case "speed":
            factor = condition.speed * (1.0 - 0.12 * SEVERITY)
            percents = tuple(100.0 * (factor / each.speed - 1.0) for each in spec.conditions)
            return Truth(
                f"speed {100 * (factor / condition.speed - 1):.1f} %",
                frozenset({Kind.SPEED}),
                percents=percents,
            )
    raise ValueError(kind)
