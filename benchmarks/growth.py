"""Processor time as a function of the number of machines and of the duration of sound."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from benchmarks.measure import median_cpu_s, number
from benchmarks.simulated_fleet import (
    HOP_FRAMES,
    LIVE_BLOCK_S,
    SimulatedFleet,
    fitted_detectors,
)
from experiments.markdown import table

MACHINES = (1, 2, 4, 8, 16, 32, 64)
DURATIONS_S = (10, 30, 60, 120, 300, 600)
EACH_S = 4.0  # of every machine
BUDGET_S = 5.0


def run(*, training_s: float, short: bool) -> tuple[dict[str, Any], str]:
    """Return processor time over machines and over seconds of sound, and their table."""
    rounds = 3 if short else 5
    over_machines = [
        (machines, _cpu_s(machines, EACH_S, training_s, rounds)) for machines in MACHINES
    ]
    over_seconds = [
        (seconds, _cpu_s(1, seconds, training_s, rounds))
        for seconds in DURATIONS_S[: 4 if short else None]
    ]
    found = {
        "machines": {"points": over_machines, "slope": _exponent(over_machines)},
        "seconds": {"points": over_seconds, "slope": _exponent(over_seconds)},
    }
    rows = [[f"{n} machines, {EACH_S:g} s each", number(spent)] for n, spent in over_machines]
    rows.append(["slope over machines", f"{_exponent(over_machines):.3f}"])
    rows += [[f"1 machine, {n} s", number(spent)] for n, spent in over_seconds]
    rows.append(["slope over seconds", f"{_exponent(over_seconds):.3f}"])
    return found, table(["75 % overlap, blocks of 0.1 s", "CPU-s"], rows)


def _cpu_s(machines: int, seconds: float, training_s: float, rounds: int) -> float:
    fleet = SimulatedFleet(fitted_detectors(machines, HOP_FRAMES["75 %"], training_s))
    work = partial(fleet.score, seconds, LIVE_BLOCK_S)
    return median_cpu_s(work, rounds=rounds, budget_s=BUDGET_S)


def _exponent(points: list[tuple[int, float]]) -> float:
    """Return the exponent of the power law fitted to the points; 1 is proportional."""
    x, y = np.log([n for n, _ in points]), np.log([spent for _, spent in points])
    return float(np.polyfit(x, y, 1)[0])
