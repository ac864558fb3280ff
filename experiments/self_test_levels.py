"""The levels that the self-test detects in live sound, against a sweep by hand, and its cost.

    python -m experiments.self_test_levels --noise FOLDER --output FOLDER
        [--set choice|report] [--machines N] [--first NUMBER] [--seed N]

Each machine is trained on three minutes of one epoch, without the encoder.  The self-test has 25 s
of another take, as it takes them from a ring buffer; the sweep has 80 s of the same epoch, which
are not repeated, and raises the same fault by 1 dB at a time until every higher level raises an
alarm.  `processor time` is that of one self-test.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np

from asd_monitor.alarm.budget import alarm_rule
from asd_monitor.alarm.state import AlarmRule
from asd_monitor.config.machine_settings import AlarmSettings
from asd_monitor.detector.detector import Detector
from asd_monitor.monitor import Monitor
from asd_monitor.pipeline import Pipeline
from asd_monitor.records import Block, MachineState, Samples, Stream
from asd_monitor.self_test.added_sound import FAULT_S, LEAD_IN_S, rms
from asd_monitor.self_test.detected_levels import RANGE_DB, SEED
from asd_monitor.self_test.live_trial import SOUND_S, live_steps
from asd_monitor.self_test.stepping import outcome_of
from asd_monitor.synthesis.added_faults import AddedFault, FaultKind, draw_fault
from experiments.alarms.hall_schedule import plan_days
from experiments.alarms.machine_files import (
    MachineFiles,
    add_machine_arguments,
    in_processes,
    machines_of,
)
from experiments.alarms.plant_sound import RATE_HZ, make_plant, outside_recordings
from experiments.alarms.results import share_text, write_results
from experiments.command_line import add_noise, add_output, errors_reported, parser_of
from experiments.markdown import table
from experiments.microphone.trials import TRAINING_DAY, TRAINING_EPOCH, TRAINING_S, trained

TEST_DAY, TEST_EPOCHS = 1, (12, 20, 30, 40)
STEM_S = 180.0
AGREES_DB = 3.0
_SWEEP_STEP_DB = 1.0


@dataclass(frozen=True, slots=True)
class Comparison:
    """The level of one kind of fault in the sound of one machine; None: not at the highest."""

    machine: int
    kind: FaultKind
    self_test_db: float | None
    sweep_db: float | None
    not_measured: str | None  # why the self-test has no level
    not_swept: bool  # the sound of the sweep raises an alarm without a fault
    cpu_s: float  # of the self-test

    @property
    def difference_db(self) -> float | None:
        """Return by how much the level of the self-test is higher."""
        if self.self_test_db is None or self.sweep_db is None or self.not_swept:
            return None
        return self.self_test_db - self.sweep_db


def comparisons_of(noise: Sequence[Path], machine: MachineFiles) -> list[Comparison]:
    """Return the comparisons of one machine."""
    plants = [
        make_plant(
            machine.hall_set, machine.number, noise, seed=machine.seed, take=take, seconds=STEM_S
        )
        for take in (0, 1, 2)
    ]
    rng = np.random.default_rng((machine.seed, machine.hall_set, machine.number, 78))
    days = plan_days(plants[0].hall, (TRAINING_DAY, TEST_DAY), rng)
    detector = trained(plants[0].sound(days[0].epochs[TRAINING_EPOCH], TRAINING_S, rng))
    rule = alarm_rule(AlarmSettings().criteria, detector)
    epoch = days[1].epochs[TEST_EPOCHS[machine.number % len(TEST_EPOCHS)]]
    live = plants[1].sound(epoch, SOUND_S, rng)
    swept = plants[2].sound(epoch, LEAD_IN_S + FAULT_S, rng)
    begun_s = time.process_time()
    trial = outcome_of(live_steps(detector, rule, Block(Stream(RATE_HZ), 0, live), None))
    cpu_s = time.process_time() - begun_s
    not_swept = _raises_alarm(detector, rule, swept)
    return [
        Comparison(
            machine.number,
            kind,
            None if trial.levels is None else trial.levels.by_kind[kind],
            sweep_db(kind, detector, rule, swept),
            None if trial.not_measured is None else trial.not_measured.reason,
            not_swept,
            cpu_s,
        )
        for kind in RANGE_DB
    ]


def sweep_db(kind: FaultKind, detector: Detector, rule: AlarmRule, sound: Samples) -> float | None:
    """Return the level from which on every higher one raises an alarm; None: the highest does not.

    Args:
        kind: kind of the fault, which is that of the self-test.
        detector: the detector.
        rule: the alarm rule.
        sound: normal sound (n,) of `LEAD_IN_S` and `FAULT_S`.

    """
    rng = np.random.default_rng((SEED, list(RANGE_DB).index(kind)))
    fault = draw_fault(kind, sound, rms(sound), FAULT_S, rng, rate_hz=RATE_HZ)
    lowest_db, highest_db = RANGE_DB[kind]
    found: float | None = None
    for level_db in np.arange(highest_db, lowest_db - _SWEEP_STEP_DB, -_SWEEP_STEP_DB):
        if not _raises_alarm(detector, rule, _with(fault, float(level_db), sound)):
            break
        found = float(level_db)
    return found


def _with(fault: AddedFault, level_db: float, sound: Samples) -> Samples:
    mixed = sound.copy()
    mixed[round(LEAD_IN_S * RATE_HZ) :] += fault.at(level_db)
    return np.clip(mixed, -1.0, 1.0)


def _raises_alarm(detector: Detector, rule: AlarmRule, sound: Samples) -> bool:
    monitor = Monitor(Pipeline(detector), rule, RATE_HZ, baseline=detector.microphone)
    readings = monitor.push(Block(Stream(RATE_HZ), 0, sound))
    return any(reading.state is MachineState.ALARM for reading in readings)


def table_of(found: Sequence[Comparison]) -> str:
    """Return the table of the differences."""
    rows = []
    for kind in RANGE_DB:
        own = [each for each in found if each.kind is kind]
        differences = [each.difference_db for each in own if each.difference_db is not None]
        agreeing = [abs(each) <= AGREES_DB for each in differences]
        rows.append(
            [
                str(kind),
                str(len(own)),
                str(sum(each.not_measured is not None for each in own)),
                str(sum(each.not_swept for each in own)),
                str(sum(each.self_test_db is None and not each.not_measured for each in own)),
                str(sum(each.sweep_db is None for each in own)),
                f"{np.median(differences):+.1f} dB" if differences else "",
                f"{max(map(abs, differences)):.1f} dB" if differences else "",
                share_text(agreeing),
                f"{np.median([each.cpu_s for each in own]):.1f} s",
            ]
        )
    head = [
        "fault",
        "machines",
        "alarm without a fault: self-test",
        "sweep",
        "not detected: self-test",
        "sweep",
        "median difference",
        "largest",
        f"within {AGREES_DB:g} dB",
        "processor time",
    ]
    return table(head, rows)


def main() -> int:
    """Compare the machines that the arguments name."""
    parser = parser_of("self_test_levels", __doc__)
    add_machine_arguments(parser)
    add_noise(parser)
    add_output(parser)
    options = parser.parse_args()
    machines = machines_of(options)
    found: list[Comparison] = []
    with errors_reported("self_test_levels"):
        noise = outside_recordings(options.noise, machines[0].hall_set)
        for comparisons in in_processes(partial(comparisons_of, noise), machines):
            found += comparisons
            sys.stderr.write(f"machine {comparisons[0].machine}\n")
    figures = {"comparisons": [asdict(each) for each in found]}
    write_results(options.output, "self_test_levels", figures, table_of(found), {})
    return 0


if __name__ == "__main__":
    sys.exit(main())
