"""What the demonstration listens to: a made machine in a made hall, and a fault that grows."""

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
NORMAL_FILES = 6
NORMAL_FILE_S = 30.0
SOUND_S = 180.0  # what is monitored
GROWS_FROM_S = 50.0
GROWS_TO_S = 150.0
SNR_DB = 9.0


@dataclass(frozen=True, slots=True)
class Scenario:
    """A machine, the hall it stands in, and what goes wrong with it."""

    machine: MachineSpec
    hall: Hall
    fault: str
    seed: int

    def normal(self, number: int) -> Samples:
        """Return the normal recording of this number, 0 … `NORMAL_FILES` − 1."""
        return self._heard(self.machine, NORMAL_FILE_S, np.random.default_rng((self.seed, number)))

    def growing_fault(self) -> Samples:
        """Return what is monitored: normal sound in which the fault grows until it is gross."""
        rng = np.random.default_rng((self.seed, NORMAL_FILES))
        return self._heard(with_fault(self.machine, self.fault, 1.0), SOUND_S, rng)

    def _heard(self, machine: MachineSpec, seconds: float, rng: np.random.Generator) -> Samples:
        background = render_hall(self.hall, seconds, rng, RATE_HZ)
        sound = render(machine, seconds, rng, RATE_HZ, growth=severity_curve)
        usual_rms = float(db_to_amplitude(self.machine.level_dbfs))
        return mix(sound, background, SNR_DB, usual_rms)


def draw_scenario(family: str, fault: str, seed: int) -> Scenario:
    """Draw the scene; raises UsageError for what does not exist or cannot be."""
    if family not in FAMILIES:
        raise UsageError(f"no made machine {family!r}: choose one of {', '.join(FAMILIES)}")
    rng = np.random.default_rng((seed, FAMILIES.index(family)))
    machine, hall = draw_machine(family, rng), draw_hall(rng)
    if fault not in kinds_for(machine):
        raise UsageError(
            f"a {family} has no fault {fault!r}: choose one of {', '.join(kinds_for(machine))}"
        )
    return Scenario(machine, hall, fault, seed)


def severity_curve(at_s: Signal) -> Signal:
    """Severity (n,), 0 … 1, at seconds since the monitored recording's start."""
    return np.clip((at_s - GROWS_FROM_S) / (GROWS_TO_S - GROWS_FROM_S), 0.0, 1.0)


def severity_at(at_s: float) -> float:
    """Severity, 0 … 1, at one moment of the monitored recording."""
    return float(severity_curve(np.array([at_s]))[0])
