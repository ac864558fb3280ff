"""The files of one simulated machine, and the arguments that name them."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeVar

from experiments.alarms.hall_parameters import HallSet
from experiments.alarms.segments import Segments

TRAINING, COMMISSIONING, LATER = "training", "commissioning", "later"
PROCESSES = 2

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class MachineFiles:
    """The folder of one machine."""

    folder: Path
    hall_set: HallSet
    number: int
    seed: int

    def segments(self, name: str) -> Segments:
        """Return the segments with this name: training, commissioning, later or a fault."""
        return Segments.load(self.folder / f"{name}.npz")

    @property
    def facts(self) -> dict[str, Any]:
        """What `experiments.alarms.windows` noted of the plant."""
        found: dict[str, Any] = json.loads(self.facts_path.read_text())
        return found

    @property
    def facts_path(self) -> Path:
        """It is written last: without it the folder is not complete."""
        return self.folder / "plant.json"

    @property
    def faults(self) -> tuple[str, ...]:
        """Names of the segments with a fault."""
        return tuple(self.facts["faults"])


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the folder of windows, and the arguments that name machines."""
    parser.add_argument("cache", type=Path, help="folder of windows and life histories")
    add_machine_arguments(parser)


def add_machine_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that name machines."""
    parser.add_argument(
        "--set", choices=[each.name.lower() for each in HallSet], default="choice", dest="hall_set"
    )
    parser.add_argument("--machines", type=int, default=4, metavar="N")
    parser.add_argument("--first", type=int, default=0, metavar="NUMBER")
    parser.add_argument("--seed", type=int, default=1)


def machines_of(options: argparse.Namespace) -> list[MachineFiles]:
    """Return the machines that the arguments name."""
    hall_set = HallSet[options.hall_set.upper()]
    cache: Path = getattr(options, "cache", Path())
    folder = cache / f"{options.hall_set}-{options.seed}"
    return [
        MachineFiles(folder / f"{number:02d}", hall_set, number, options.seed)
        for number in range(options.first, options.first + options.machines)
    ]


def in_processes(
    work: Callable[[MachineFiles], T], machines: Sequence[MachineFiles]
) -> Iterator[T]:
    """Return the result of the work for each machine, computed in `PROCESSES` processes."""
    with ProcessPoolExecutor(PROCESSES, get_context("spawn")) as pool:
        yield from pool.map(work, machines)
