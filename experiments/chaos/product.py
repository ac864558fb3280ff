"""The program under test, of this checkout or another one, with a trained model and recordings."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile

from asd_monitor.errors import OperationError
from benchmarks.measure import plain_environment

ROOT = Path(__file__).resolve().parents[2]
RATE_HZ = 16_000
MACHINES = ("fan01", "pump02")
CYCLE_S = 30.0
"""Period of `Product.cycle`: an alarm rises in each and, unless it is latched, clears."""
_FAULT_S = (6.0, 12.0)
_NO_FAULT_S = (0.0, 0.0)
_COMMAND_S = 120.0


@dataclass(frozen=True, slots=True)
class Product:
    """The checkout, and the folder with `models`, `calm.flac` and `cycle.flac`."""

    tree: Path
    folder: Path

    @property
    def models(self) -> Path:
        """The models of `MACHINES`."""
        return self.folder / "models"

    @property
    def calm(self) -> Path:
        """A minute of normal sound."""
        return self.folder / "calm.flac"

    @property
    def cycle(self) -> Path:
        """Normal sound with a fault from 6 s to 12 s; `CYCLE_S` long."""
        return self.folder / "cycle.flac"

    @property
    def environment(self) -> dict[str, str]:
        """The environment of its processes."""
        return {**plain_environment(), "PYTHONPATH": str(self.tree)}

    def command(self, *arguments: object) -> list[str]:
        """Return a command line of the program; -P leaves the current folder out."""
        return [sys.executable, "-P", "-m", "asd_monitor", *map(str, arguments)]

    def run(
        self, *arguments: object, environment: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        return subprocess.run(
            self.command(*arguments),
            env={**self.environment, **(environment or {})},
            capture_output=True,
            text=True,
            timeout=_COMMAND_S,
            check=False,
        )

    def run_child(self, script: Path, arguments: Sequence[object]) -> subprocess.Popen[str]:
        """Start a file of this package that imports `asd_monitor` of the checkout."""
        return subprocess.Popen(
            [sys.executable, "-P", str(script), *map(str, arguments)],
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )


def prepare(tree: Path, folder: Path) -> Product:
    """Train the machines in a folder; what an earlier run has trained is used.

    Raises:
        OperationError: A training fails.

    """
    product = Product(tree, folder)
    folder.mkdir(parents=True, exist_ok=True)
    normal = folder / "normal.flac"
    for path, seconds, seed, fault_s in (
        (product.calm, 60.0, 2, _NO_FAULT_S),
        (product.cycle, CYCLE_S, 3, _FAULT_S),
        (normal, 90.0, 1, _NO_FAULT_S),
    ):
        if not path.exists():
            soundfile.write(path, machine_sound(seconds, seed=seed, fault_s=fault_s), RATE_HZ)
    for machine in MACHINES:
        if (product.models / machine / "current").exists():
            continue
        done = product.run(
            *("train", "--machine", machine, "--normal", normal, "--models", product.models)
        )
        if done.returncode:
            raise OperationError(f"{tree}: train fails: {done.stderr.strip()[-500:]}")
    return product


def machine_sound(
    seconds: float, *, seed: int, fault_s: tuple[float, float] = _NO_FAULT_S
) -> npt.NDArray[np.float32]:
    """Return the hum of a machine in noise, with an intermittent tone between two times.

    Shape (samples,) at `RATE_HZ`, full scale ±1.
    """
    t = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    sound = 0.05 * np.sin(2 * np.pi * 120 * t)
    sound += 0.03 * np.sin(2 * np.pi * 240 * t) * (1 + 0.2 * np.sin(2 * np.pi * 1.3 * t))
    sound += 0.02 * np.random.default_rng(seed).standard_normal(len(t))
    tone = np.sin(2 * np.pi * 2700 * t) * (np.sin(2 * np.pi * 17 * t) > 0.5)
    sound += 0.15 * tone * ((t >= fault_s[0]) & (t < fault_s[1]))
    return sound.astype(np.float32)


def is_alive(pid: int) -> bool:
    """Return whether a process exists and is no zombie."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return text.rpartition(")")[2].split()[0] != "Z"


def processors() -> int:
    """Return the number of processors of this process."""
    return len(os.sched_getaffinity(0))
