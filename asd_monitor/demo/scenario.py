"""What the demonstration monitors: a synthetic machine in a hall, and a fault that grows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from asd_monitor.errors import UsageError
from asd_monitor.records import Samples
from asd_monitor.synthesis.families import FAMILIES, draw_machine
from asd_monitor.synthesis.faults import kinds_for, with_fault
from asd_monitor.synthesis.filtering import Signal, db_to_amplitude
from asd_monitor.synthesis.hall import Hall, draw_hall, mix, render_hall
from asd_monitor.synthesis.machine_spec import MachineSpec
from asd_monitor.synthesis.rendering import render

RATE_HZ = 16000
TRAINING_RECORDINGS = 6
TRAINING_RECORDING_S = 30.0
MONITORED_S = 180.0
FAULT_START_S = 50.0
FAULT_FULL_S = 150.0  # severity 1 from then on
SNR_DB = 9.0


@dataclass(frozen=True, slots=True)
class Scenario:
    """A machine, the hall around it, and the kind of its fault."""

    machine: MachineSpec
    hall: Hall
    fault: str
    seed: int

    def training_recording(self, number: int) -> Samples:
        """Return the training recording of this number, 0 … `TRAINING_RECORDINGS` − 1."""
        rng = np.random.default_rng((self.seed, number))
        return self._render(self.machine, TRAINING_RECORDING_S, rng)

    def monitored_recording(self) -> Samples:
        """Return the recording in which the fault grows, see `severity_curve`."""
        rng = np.random.default_rng((self.seed, TRAINING_RECORDINGS))
        return self._render(with_fault(self.machine, self.fault, 1.0), MONITORED_S, rng)

    def _render(self, machine: MachineSpec, seconds: float, rng: np.random.Generator) -> Samples:
        background = render_hall(self.hall, seconds, rng, RATE_HZ)
        sound = render(machine, seconds, rng, RATE_HZ, growth=severity_curve)
        return mix(sound, background, SNR_DB, float(db_to_amplitude(machine.level_dbfs)))


def draw_scenario(family: str, fault: str, seed: int) -> Scenario:
    """Draw a machine and a hall.

    Raises:
        UsageError: there is no such family, or its machines cannot have this fault.

    """
    if family not in FAMILIES:
        raise UsageError(f"--family {family}: unknown machine: choose one of {', '.join(FAMILIES)}")
    rng = np.random.default_rng((seed, FAMILIES.index(family)))
    machine, hall = draw_machine(family, rng), draw_hall(rng)
    if fault not in kinds_for(machine):
        raise UsageError(
            f"--fault {fault}: no fault of a {family}: choose one of "
            f"{', '.join(kinds_for(machine))}"
        )
    return Scenario(machine, hall, fault, seed)


def severity_curve(at_s: Signal) -> Signal:
    """Return the severity (n,), 0 … 1, at times (n,) in seconds since the recording's start."""
    return np.clip((at_s - FAULT_START_S) / (FAULT_FULL_S - FAULT_START_S), 0.0, 1.0)


def severity_at(at_s: float) -> float:
    """Return the severity, 0 … 1, at one time in seconds since the recording's start."""
    return float(severity_curve(np.array([at_s]))[0])
