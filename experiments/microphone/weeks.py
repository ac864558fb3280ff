"""What the recognition of the microphone's faults reports of healthy halls over simulated weeks.

    python -m experiments.microphone.weeks --noise FOLDER --output FOLDER
        [--set choice|report] [--machines N] [--first NUMBER] [--seed N] [--days N]

Each machine is trained on three minutes of one hour.  Of each hour of the days that follow, 20 s
are captured by the same microphone: a healthy machine in a hall that changes.  The baseline is that
of the training, or that extended by the hours of the first day, as commissioning extends it.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np

from asd_monitor.features.windows import Window
from asd_monitor.microphone.baseline import MicrophoneBaseline
from asd_monitor.microphone.recognition import MicrophoneRecognition
from asd_monitor.model_training.microphone_baseline import piece_of
from asd_monitor.records import MicrophoneState
from experiments.alarms.command_line import add_noise, add_output, errors_reported
from experiments.alarms.hall_schedule import plan_days
from experiments.alarms.machine_files import (
    MachineFiles,
    add_machine_arguments,
    in_processes,
    machines_of,
)
from experiments.alarms.plant_sound import RATE_HZ, make_plant, outside_recordings
from experiments.alarms.results import write_results
from experiments.alarms.windows import hourly
from experiments.markdown import table
from experiments.microphone.simulated_changes import ChangedPlant
from experiments.microphone.trials import (
    STEM_S,
    TRAINING_EPOCH,
    TRAINING_S,
    trained,
    windows_of,
)

SEGMENT_S = 20.0


@dataclass(frozen=True, slots=True)
class Week:
    """The hours of one machine."""

    machine: int
    family: str
    extended: bool  # whether the baseline is extended by the first day
    hours: int
    suspected: int
    degraded: int
    fault: int
    reasons: dict[str, int]  # the hours by the beginning of the reason


def weeks_of(noise: Sequence[Path], days: int, machine: MachineFiles) -> list[Week]:
    """Return the hours of one machine, with both baselines."""
    plants = [
        make_plant(
            machine.hall_set, machine.number, noise, seed=machine.seed, take=take, seconds=STEM_S
        )
        for take in (0, 1)
    ]
    rng = np.random.default_rng((machine.seed, machine.hall_set, machine.number, 78))
    plan = plan_days(plants[0].hall, range(days + 1), rng)
    seed = int(rng.integers(2**32))
    of_training, of_later = (
        ChangedPlant(plant, plan[0].epochs[0], np.random.default_rng(seed)) for plant in plants
    )
    detector = trained(of_training.training(plan[0].epochs[TRAINING_EPOCH], TRAINING_S))
    first, *later = (
        [windows_of(of_later.training(epoch, SEGMENT_S)) for epoch in hourly([day])] for day in plan
    )
    segments = [segment for day in later for segment in day]
    baseline = detector.microphone
    if baseline is None:
        raise ValueError("the training sound is too short")
    extended = baseline.extended([piece_of(detector, segment) for segment in first])
    return [
        _week(machine.number, plants[0].spec.family, used, segments, is_extended=known)
        for known, used in ((False, baseline), (True, extended))
    ]


def _week(
    number: int,
    family: str,
    baseline: MicrophoneBaseline,
    segments: Sequence[Sequence[Window]],
    *,
    is_extended: bool,
) -> Week:
    suspected = 0
    states: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    for segment in segments:
        subject = MicrophoneRecognition(baseline, RATE_HZ)
        found = False
        for window in segment:
            lines = window.features["tone"][: baseline.lines.shape[1]]
            subject.push_window(window.features["spectrum"], lines, window.end)
            found = found or subject.suspected_since is not None
        suspected += found
        condition = subject.condition
        states[condition.state] += 1
        if condition.reason is not None:
            reasons[condition.reason.split(" ")[0]] += 1
    return Week(
        number,
        family,
        is_extended,
        len(segments),
        suspected,
        states[MicrophoneState.DEGRADED],
        states[MicrophoneState.FAULT],
        dict(reasons),
    )


def table_of(weeks: Sequence[Week]) -> str:
    """Return the table of the machines, and of all."""
    rows = []
    for is_extended in (False, True):
        own = [week for week in weeks if week.extended is is_extended]
        name = "training and a day" if is_extended else "training"
        hours = sum(week.hours for week in own)
        rows.append(
            [
                name,
                str(len(own)),
                str(hours),
                *(
                    f"{sum(getattr(week, key) for week in own)} "
                    f"({sum(getattr(week, key) > 0 for week in own)})"
                    for key in ("suspected", "degraded", "fault")
                ),
            ]
        )
    head = ["baseline", "machines", "hours", "suspected (machines)", "degraded", "fault"]
    return table(head, rows)


def main() -> int:
    """Simulate the machines that the arguments name."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.microphone.weeks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_machine_arguments(parser)
    parser.add_argument("--days", type=int, default=7, metavar="N")
    add_noise(parser)
    add_output(parser)
    options = parser.parse_args()
    machines = machines_of(options)
    weeks: list[Week] = []
    with errors_reported("weeks"):
        noise = outside_recordings(options.noise, machines[0].hall_set)
        for found in in_processes(partial(weeks_of, noise, options.days), machines):
            weeks += found
            sys.stderr.write(f"machine {found[0].machine}\n")
    figures = {"weeks": [asdict(each) for each in weeks]}
    write_results(options.output, "weeks", figures, table_of(weeks), {})
    return 0


if __name__ == "__main__":
    sys.exit(main())
