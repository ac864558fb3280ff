"""What training reports of unusual training sound, and what its model detects.

    python -m experiments.alarms.training_sound --output FOLDER --noise FOLDER [--set choice|report]
        [--machines N] [--first NUMBER] [--seed N]

The training sound of simulated machines in their halls: ten minutes as it is; with a level that
falls by 5 dB; with a knock; with a fault in 70 % of the time; with two operating modes, full speed
and three quarters of it, by turns of a minute; and one minute alone.  Each model then hears, with
the budget `1 per month`, three minutes of normal sound, of an added tone and of bearing impacts.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from asd_monitor.errors import OperationError
from asd_monitor.records import Samples
from asd_monitor.synthesis.added_faults import FaultKind, draw_fault
from asd_monitor.synthesis.filtering import Signal, db_to_amplitude
from asd_monitor.synthesis.machine_spec import OperatingCondition
from asd_monitor.synthesis.rendering import render
from experiments.alarms.fault_ladder import fault_name
from experiments.alarms.hall_schedule import Epoch, plan_days
from experiments.alarms.machine_files import (
    MachineFiles,
    add_machine_arguments,
    in_processes,
    machines_of,
)
from experiments.alarms.plant_sound import RATE_HZ, Plant, make_plant, outside_recordings
from experiments.alarms.product_commands import TrainedMachine, backtest, train
from experiments.alarms.results import write_results
from experiments.command_line import add_noise, add_output, errors_reported, parser_of
from experiments.markdown import table

TRAINING_S = 600.0
TEST_S = 180.0
TURN_S = 60.0
SHORT_S = 60.0
DRIFT_DB = 5.0
FAULTY_SHARE = 0.7
KNOCK_DB = 20.0  # of its begin, above the level of the machine
_KNOCK_AT, _KNOCK_S = 0.4, 0.05
TESTED = {FaultKind.TONE: 10.0, FaultKind.IMPACTS: -9.0}
SLOW = OperatingCondition(0.75, 0.5)
_EPOCH = 20  # 10:00 on Monday


@dataclass(frozen=True, slots=True)
class Trained:
    """What came of one training."""

    machine: int
    case: str
    reported: list[str]  # lines of the command
    highest: dict[str, float]  # alarm score in each test
    found_after_s: dict[str, float | None]  # first alarm in each test


def cases(normal: Samples, slow: Samples, fault: Samples, machine_rms: float) -> dict[str, Samples]:
    """Return the training sounds by name, from ten minutes (n,) of each."""
    n = len(normal)
    drift = db_to_amplitude(DRIFT_DB * np.linspace(0.5, -0.5, n))
    at, length = round(_KNOCK_AT * n), round(_KNOCK_S * RATE_HZ)
    knock = normal.copy()
    decay = np.exp(-np.arange(8 * length) / length)
    noise = np.random.default_rng(0).standard_normal(8 * length)
    knock[at : at + len(decay)] += machine_rms * db_to_amplitude(KNOCK_DB) * decay * noise
    turns = (np.arange(n) // round(TURN_S * RATE_HZ)) % 2 == 0
    faulty = np.arange(n) >= round((1.0 - FAULTY_SHARE) * n)
    found: dict[str, Signal | Samples] = {
        "as it is": normal,
        f"level falls by {DRIFT_DB:g} dB": normal * drift,
        "a knock": knock,
        f"a fault in {FAULTY_SHARE:.0%}": normal + faulty * fault,
        "two operating modes": np.where(turns, normal, slow),
        f"{SHORT_S:g} s": normal[: round(SHORT_S * RATE_HZ)],
    }
    return {name: _clipped(sound) for name, sound in found.items()}


def _clipped(sound: Signal | Samples) -> Samples:
    return np.asarray(np.clip(sound, -1.0, 1.0), np.float32)


def measure(noise: list[Path], machine: MachineFiles) -> list[Trained]:
    """Train and test a machine in each case."""
    make = partial(
        make_plant, machine.hall_set, machine.number, noise, seed=machine.seed, seconds=TRAINING_S
    )
    plant = make(take=0)
    rng = np.random.default_rng((machine.seed, machine.hall_set, machine.number, 11))
    [day] = plan_days(plant.hall, [0], rng)
    epoch = day.epochs[_EPOCH]
    normal = plant.sound(epoch, TRAINING_S, rng)
    slow = _slow(plant, epoch, TRAINING_S, rng)
    faults = {
        fault_name(kind, severity): draw_fault(kind, normal, plant.machine_rms, TRAINING_S, rng).at(
            severity
        )
        for kind, severity in TESTED.items()
    }
    trainings = cases(normal, slow, faults[fault_name(FaultKind.TONE, 10.0)], plant.machine_rms)
    other = make(take=2)
    test = other.sound(epoch, TEST_S, rng)
    slow_test = _slow(other, epoch, TEST_S, rng)
    found = []
    for case, sound in trainings.items():
        tested = {"normal": test}
        if "modes" in case:
            tested |= {"normal, other mode": slow_test}
        tested |= {name: _clipped(test + each[: len(test)]) for name, each in faults.items()}
        found.append(_trained(machine.number, case, sound, tested))
    return found


def _slow(plant: Plant, epoch: Epoch, seconds: float, rng: np.random.Generator) -> Samples:
    """Return the sound of the machine in its other operating mode."""
    sound = render(replace(plant.spec, conditions=(SLOW,)), TRAINING_S, rng, RATE_HZ)
    return replace(plant, machine=dict.fromkeys((False, True), sound)).sound(epoch, seconds, rng)


def _trained(number: int, case: str, sound: Samples, tested: Mapping[str, Samples]) -> Trained:
    with tempfile.TemporaryDirectory() as folder:
        try:
            machine: TrainedMachine = train(Path(folder), "machine", sound, RATE_HZ)
        except OperationError as error:
            return Trained(number, case, str(error).splitlines(), {}, {})
        results = {name: backtest(machine, each, RATE_HZ) for name, each in tested.items()}
    return Trained(
        number,
        case,
        [line.strip() for line in machine.said.splitlines() if line.strip()],
        {name: result["highest_alarm_score"] for name, result in results.items()},
        {name: result["time_to_alarm_s"] for name, result in results.items()},
    )


def tables_of(found: list[Trained]) -> str:
    """Return a table of what is detected, and what was reported of each case."""
    tests = list(dict.fromkeys(name for each in found for name in each.highest))
    rows = [
        [f"{each.machine}, {each.case}", *(_tested(each, name) for name in tests)] for each in found
    ]
    text = "First alarm after, and highest alarm score:\n\n"
    text += table(["machine, training sound", *tests], rows) + "\nReported by `train`:\n\n"
    for each in found:
        lines = "\n".join(f"    {line}" for line in each.reported)
        text += f"- {each.machine}, {each.case}\n\n{lines}\n\n"
    return text


def _tested(trained: Trained, name: str) -> str:
    if name not in trained.highest:
        return ""
    after_s = trained.found_after_s[name]
    first = "none" if after_s is None else f"{after_s:.0f} s"
    return f"{first} ({trained.highest[name]:.1f})"


def main() -> int:
    """Train and test the machines that the arguments name."""
    parser = parser_of("alarms.training_sound", __doc__)
    add_machine_arguments(parser)
    add_output(parser)
    add_noise(parser)
    options = parser.parse_args()
    machines = machines_of(options)
    with errors_reported("training_sound"):
        noise = list(outside_recordings(options.noise, machines[0].hall_set))
        work = partial(measure, noise)
        found = [each for own in in_processes(work, machines) for each in own]
    figures = {
        "set": options.hall_set,
        "seed": options.seed,
        "trainings": [asdict(each) for each in found],
    }
    write_results(options.output, "training_sound", figures, tables_of(found), {})
    return 0


if __name__ == "__main__":
    sys.exit(main())
