"""The scores of an earlier version of the package, from a checkout of it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from asd_monitor.errors import OperationError
from experiments.alarms.alarm_counting import Mask, sustained_peaks
from experiments.alarms.machine_files import COMMISSIONING, LATER, TRAINING, MachineFiles
from experiments.alarms.segments import Floats
from experiments.alarms.simulated_months import PERIODS_S

_CHILD = Path(__file__).with_name("before_child.py")


@dataclass(frozen=True, slots=True, eq=False)
class VersionBefore:
    """Alarms of the version before, trained on ten minutes."""

    thresholds: Mapping[float, float]  # by the time between false alarms
    peaks: Mapping[str, Floats]
    """By the name of segments: the sustained alarm score of each, (n,)."""

    def alarms(self, name: str, period_s: float) -> Mask:
        """Return in which segments (n,) an alarm rises by one false alarm in this time."""
        return np.asarray(self.peaks[name] >= self.thresholds[period_s])


def score_before(checkout: Path, machine: MachineFiles) -> VersionBefore:
    """Return the scores of the version in a checkout; those of a run before are read.

    Raises:
        OperationError: its process fails.

    """
    path = machine.folder / "before.npz"
    if not path.exists():
        names = [TRAINING, COMMISSIONING, LATER, *machine.faults]
        periods = ",".join(f"{period_s:g}" for period_s in PERIODS_S.values())
        unfinished = path.with_name("before.part.npz")
        done = subprocess.run(
            [
                *(sys.executable, "-P", str(_CHILD), str(unfinished), periods),
                *(str(machine.folder / f"{name}.npz") for name in names),
            ],
            env=os.environ | {"PYTHONPATH": str(checkout)},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise OperationError(f"{checkout}: {done.stderr.strip().splitlines()[-1]}")
        unfinished.rename(path)
    with np.load(path) as arrays:
        names = [name for name in arrays.files if name not in ("periods_s", "thresholds")]
        return VersionBefore(
            dict(zip(arrays["periods_s"].tolist(), arrays["thresholds"].tolist(), strict=True)),
            {name: sustained_peaks(arrays[name].astype(np.float64)) for name in names},
        )
