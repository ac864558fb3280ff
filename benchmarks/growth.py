"""How the cost grows: over machines, and over seconds of sound."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from benchmarks.detectors import HOP_FRAMES, LIVE_S, Machines, detectors
from benchmarks.measure import median_cpu_s, number, table

MACHINES = (1, 2, 4, 8, 16, 32, 64)
SECONDS = (10, 30, 60, 120, 300, 600)
EACH_S = 4.0  # of every machine


def run(*, reference_s: float, short: bool) -> tuple[dict[str, Any], str]:
    """Return processor seconds over machines and over seconds of sound, and their table."""
    hop = HOP_FRAMES["75 %"]
    rounds = 3 if short else 5
    over_machines, over_seconds = [], []
    for machines in MACHINES:
        heard = Machines(detectors(machines, hop, reference_s))
        spent_s = median_cpu_s(
            partial(heard.hear, EACH_S, LIVE_S),
            rounds=rounds,
            budget_s=5.0,
        )
        over_machines.append((machines, spent_s))
    for seconds in SECONDS[: 4 if short else None]:
        heard = Machines(detectors(1, hop, reference_s))
        spent_s = median_cpu_s(
            partial(heard.hear, seconds, LIVE_S),
            rounds=rounds,
            budget_s=5.0,
        )
        over_seconds.append((seconds, spent_s))
    found = {
        "machines": {"points": over_machines, "slope": _slope(over_machines)},
        "seconds": {"points": over_seconds, "slope": _slope(over_seconds)},
    }
    rows = [[f"{n} machines, {EACH_S:g} s each", number(spent)] for n, spent in over_machines]
    rows.append(["slope over machines", f"{_slope(over_machines):.3f}"])
    rows += [[f"1 machine, {n} s", number(spent)] for n, spent in over_seconds]
    rows.append(["slope over seconds", f"{_slope(over_seconds):.3f}"])
    return found, table(["75 % overlap, blocks of 0.1 s", "CPU-s"], rows)


def _slope(points: list[tuple[int, float]]) -> float:
    """Return the exponent: 1 where twice as much costs twice as much."""
    x, y = np.log([n for n, _ in points]), np.log([spent for _, spent in points])
    return float(np.polyfit(x, y, 1)[0])
