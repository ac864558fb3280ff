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
from experiments.reasons.models import TEST_S
from experiments.reasons.truth import Truth

SEVERITY = 0.65
RECORDINGS, RECORDING_S = 4, 30.0
_PERIODIC = frozenset({Kind.IMPACTS, Kind.MODULATION})


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
        found[kind] = Changed(render(one, TEST_S, rng), _truth(spec, condition, kind))
    return found


def _truth(spec: MachineSpec, condition: OperatingCondition, kind: str) -> Truth:
    speed_hz = spec.speed_hz * condition.speed
    constants = np.random.default_rng((spec.seed, KINDS.index(kind), 0))
    if kind == "bearing":  # modulated at the shaft's speed by the load zone
        rate = float(constants.uniform(2.6, 7.4)) * speed_hz
        text = f"impacts, {rate:.1f} per second, load zone {speed_hz:.1f}"
        return Truth(text, _PERIODIC, (rate, speed_hz))
    if kind == "leak":
        hz = float(constants.uniform(3000.0, 6500.0))
        return Truth(f"hiss around {hz:.0f} Hz", frozenset({Kind.LOUD_BAND}), (), hz)
    if kind == "squeal":
        hz = float(np.exp(constants.uniform(np.log(700.0), np.log(3200.0))))
        return Truth(f"squeal at {hz:.0f} Hz", frozenset({Kind.TONE}), (hz, 2 * hz))
    if kind == "speed":
        factor = condition.speed * (1.0 - 0.12 * SEVERITY)
        percents = tuple(100.0 * (factor / each.speed - 1.0) for each in spec.conditions)
        text = f"speed {-12.0 * SEVERITY:.1f} %"
        return Truth(text, frozenset({Kind.SPEED}), percents=percents)
    at_shaft = f"{speed_hz:.1f} per second"
    return {
        "imbalance": Truth(
            f"imbalance, {at_shaft}", frozenset({Kind.TONE, *_PERIODIC}), (speed_hz, 2 * speed_hz)
        ),
        # as the distance of sidebands, too
        "gear_tooth": Truth(
            f"impacts, {at_shaft}", frozenset({Kind.TONE, *_PERIODIC}), (speed_hz,)
        ),
        "rub": Truth(f"rubbing, {at_shaft}", _PERIODIC, (speed_hz,)),
        "loose": Truth("irregular impacts", frozenset({Kind.IRREGULAR_IMPACTS})),
        "blocked": Truth("less above 900 Hz", frozenset({Kind.QUIET_BAND}), (), 2500.0),
        "sluggish": Truth("slower, irregular strokes", frozenset({Kind.RHYTHM})),
    }[kind]
