"""Render simulated machines in their halls, and extract the windows of their sound.

    python -m experiments.alarms.windows CACHE --noise FOLDER [--set choice|report]
        [--machines N] [--first NUMBER] [--seed N]

Writes a folder for each machine to CACHE: the windows of ten minutes of training sound, of a
segment of 20 s each hour of the days of commissioning, of a segment each hour of later days, and of
segments of later days with an added fault of each kind and severity.  FOLDER has recordings of
sound from outside; each set of halls uses every other one.  Machines whose folder is complete are
skipped.

Training, commissioning and later days are of different takes: no second of rendered sound, and no
second of a recording from outside, is in both commissioning and later days.  At most three hours of
distinct sound are rendered for a machine; the seconds are printed and noted.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path

import numpy as np

from asd_monitor.records import Samples
from asd_monitor.synthesis.added_faults import AddedFault, FaultKind, draw_fault
from asd_monitor.synthesis.filtering import db_to_amplitude
from experiments.alarms.fault_ladder import LADDER_DB, fault_name
from experiments.alarms.feature_extraction import windows_of
from experiments.alarms.hall_schedule import Epoch, HallDay, plan_days
from experiments.alarms.machine_files import (
    COMMISSIONING,
    LATER,
    TRAINING,
    MachineFiles,
    add_arguments,
    in_processes,
    machines_of,
)
from experiments.alarms.plant_sound import Plant, excerpt, make_plant, outside_recordings
from experiments.alarms.segments import Segments
from experiments.command_line import add_noise, errors_reported, parser_of

SEGMENT_S = 20.0
TRAINING_S = 600.0
COMMISSIONING_DAYS = range(9)
LATER_DAYS = (*range(9, 16), *range(21, 190, 11))
"""A week, and days of the half year after it on which each weekday occurs."""
FAULT_DAYS = (9, 12, 21, 54, 87, 120, 153, 186)
FAULT_HOURS = (1.0, 5.0, 9.0, 13.0, 17.0, 21.0)
MAX_DISTINCT_S = 3 * 3600.0
_TRAINING_EPOCHS = (14, 40)  # half hours of the first day in which training can begin
_FAULT_S = 60.0


def render_machine(noise: Sequence[Path], machine: MachineFiles) -> str:
    """Render a machine and write its windows; return a line about it."""
    if machine.facts_path.exists():
        return f"{machine.folder}: is complete"
    began_s = time.process_time()
    machine.folder.mkdir(parents=True, exist_ok=True)
    plant = _plant(machine, noise, take=0, seconds=TRAINING_S)
    hall, distinct_s = plant.hall, plant.distinct_s
    rng = np.random.default_rng((machine.seed, machine.hall_set, machine.number, 99))
    first_days = plan_days(hall, COMMISSIONING_DAYS, rng)
    later_days = plan_days(hall, LATER_DAYS, rng)
    trained = first_days[0].epochs[int(rng.integers(*_TRAINING_EPOCHS))]
    training = plant.sound(trained, TRAINING_S, rng)
    Segments.of([trained], [windows_of(training)]).save(machine.folder / f"{TRAINING}.npz")

    plant = _plant(machine, noise, take=1)
    distinct_s += plant.distinct_s
    mixed_s = TRAINING_S + _save(machine, COMMISSIONING, plant, hourly(first_days), rng)

    plant = _plant(machine, noise, take=2)
    distinct_s += plant.distinct_s
    mixed_s += _save(machine, LATER, plant, hourly(later_days), rng)
    if distinct_s > MAX_DISTINCT_S:
        raise AssertionError(f"{distinct_s:.0f} s of distinct sound")
    faults = [
        name for kind in FaultKind for name in _save_faults(machine, kind, plant, later_days, rng)
    ]
    facts = {
        "family": plant.spec.family,
        "hall": asdict(hall),
        "trained_h": 24 * trained.day + trained.hour,
        "distinct_s": round(distinct_s),
        "mixed_s": round(mixed_s),
        "faults": faults,
        "processor_s": round(time.process_time() - began_s),
    }
    machine.facts_path.write_text(json.dumps(facts, indent=1) + "\n")
    return (
        f"{machine.folder}: {facts['family']}, distinct sound {distinct_s / 3600:.1f} h, "
        f"mixed {mixed_s / 3600:.1f} h, {facts['processor_s']} s of processor time"
    )


def _plant(
    machine: MachineFiles, noise: Sequence[Path], take: int, seconds: float | None = None
) -> Plant:
    make = partial(
        make_plant, machine.hall_set, machine.number, noise, seed=machine.seed, take=take
    )
    return make() if seconds is None else make(seconds=seconds)


def hourly(days: Iterable[HallDay]) -> list[Epoch]:
    """Return the epochs that begin a full hour."""
    return [epoch for day in days for epoch in day.epochs if epoch.hour == int(epoch.hour)]


def fault_epochs(days: Iterable[HallDay]) -> list[Epoch]:
    """Return the epochs to which faults are added."""
    return [e for e in hourly(days) if e.day in FAULT_DAYS and e.hour in FAULT_HOURS]


def _save(
    machine: MachineFiles,
    name: str,
    plant: Plant,
    epochs: Sequence[Epoch],
    rng: np.random.Generator,
) -> float:
    """Write a segment of each epoch; return the seconds of sound."""
    windows = [windows_of(plant.sound(epoch, SEGMENT_S, rng)) for epoch in epochs]
    Segments.of(epochs, windows).save(machine.folder / f"{name}.npz")
    return SEGMENT_S * len(epochs)


def _save_faults(
    machine: MachineFiles,
    kind: FaultKind,
    plant: Plant,
    days: Sequence[HallDay],
    rng: np.random.Generator,
) -> list[str]:
    """Write segments with a fault of each severity, added to the same sound; return their names."""
    epochs = fault_epochs(days)
    normal = [plant.sound(epoch, SEGMENT_S, rng) for epoch in epochs]
    fault = draw_fault(kind, np.concatenate(normal), plant.machine_rms, _FAULT_S, rng)
    own = [excerpt(fault.sound, len(sound), rng) for sound in normal]
    names = []
    for severity_db in LADDER_DB[kind]:
        windows = [
            windows_of(_with_fault(sound, AddedFault(kind, added), severity_db, epoch))
            for sound, added, epoch in zip(normal, own, epochs, strict=True)
        ]
        names.append(fault_name(kind, severity_db))
        Segments.of(epochs, windows).save(machine.folder / f"{names[-1]}.npz")
    return names


def _with_fault(sound: Samples, fault: AddedFault, severity_db: float, epoch: Epoch) -> Samples:
    """Return the sound with the fault, whose level follows that of the machine."""
    added = fault.at(severity_db) * np.float32(db_to_amplitude(epoch.machine_db))
    return np.clip(sound + added, -1.0, 1.0).astype(np.float32)


def main() -> int:
    """Render the machines that the arguments name."""
    parser = parser_of("alarms.windows", __doc__)
    add_arguments(parser)
    add_noise(parser)
    options = parser.parse_args()
    machines = machines_of(options)
    with errors_reported("windows"):
        noise = outside_recordings(options.noise, machines[0].hall_set)
        for line in in_processes(partial(render_machine, noise), machines):
            sys.stdout.write(line + "\n")
            sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
