"""Which growing faults of simulated machines are found, and how fast.

    python -m experiments.alarms.sensitivity CACHE --output FOLDER [--before CHECKOUT] [--set …]
        [--machines N] [--first NUMBER] [--seed N] [--runs N]

`experiments.alarms.windows` and `experiments.alarms.life` wrote CACHE.  Faults of each kind,
severity and growth begin at random hours of random days of the half year after the commissioning;
each is observed until two weeks after it has grown.  The budget is `1 per month`.

The rows ``none`` are the same times without a fault: what is found there are false alarms.  Each
time scale alone has its share of the budget.  A fixed limit of the RMS, and one of the fused score
at its mean and k standard deviations in training, are set so that the healthy machines have the
same total of false alarms in half a year as with our alarm rule; both use the spans of ten seconds
and the on-delay, and the fused score is that of the commissioned model.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from asd_monitor.synthesis.added_faults import FaultKind
from experiments.alarms.chart import Axis, Line, line_chart
from experiments.alarms.detection_methods import (
    ALONE,
    BEFORE,
    COMMISSIONED,
    MEAN_AND_DEVIATIONS,
    PROVISIONAL,
    RMS_LIMIT,
    ModelMethod,
    alarming,
    delay_h,
    deviation_peaks,
    level_peaks,
    limit_for,
)
from experiments.alarms.growing_faults import (
    GROWTHS_H,
    LEAD_IN_DAYS,
    GrowingFault,
    all_faults,
    course_of,
)
from experiments.alarms.life import life_of
from experiments.alarms.machine_files import (
    LATER,
    TRAINING,
    MachineFiles,
    add_arguments,
    in_processes,
    machines_of,
)
from experiments.alarms.results import write_results
from experiments.alarms.segments import Floats, Integers
from experiments.alarms.simulated_months import (
    DAYS,
    FIRST_DAY,
    MONTH_S,
    count_of_segments,
    half_year,
    model_limits,
    planned,
)
from experiments.alarms.version_before import score_before
from experiments.command_line import add_output, errors_reported, parser_of
from experiments.markdown import table

STRONGEST = 2  # severities of each kind that are to be found
STRONGEST_TARGET = 0.95


@dataclass(frozen=True, slots=True, eq=False)
class Healthy:
    """The half year of a machine without a fault."""

    alarms: int
    hours: Integers
    level: Floats  # sustained by each normal segment
    deviation: Floats


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of the methods that ours is compared with."""

    level_db: float
    deviations: float


@dataclass(frozen=True, slots=True)
class Run:
    """One fault, or none, and after how many hours each method found it."""

    fault: str  # "none" without one
    growth_h: float
    delay_h: dict[str, float | None]  # by method


def healthy(machine: MachineFiles) -> Healthy:
    """Return the half year of a machine."""
    later, model = machine.segments(LATER), life_of(machine).commissioned
    rng = partial(np.random.default_rng, (machine.seed, machine.hall_set, machine.number, 7))
    return Healthy(
        half_year(model, later, MONTH_S, rng(), 1).total,
        planned(later, rng(), 1),
        level_peaks({LATER: later}, machine.segments(TRAINING))[LATER],
        deviation_peaks(model)[LATER],
    )


def limits_for(machines: Sequence[Healthy]) -> Limits:
    """Return the limits with the same total of false alarms as ours."""
    total = sum(machine.alarms for machine in machines)
    hours = [machine.hours for machine in machines]
    return Limits(
        limit_for(total, [machine.level for machine in machines], hours, count_of_segments),
        limit_for(total, [machine.deviation for machine in machines], hours, count_of_segments),
    )


def runs_of(limits: Limits, before: Path | None, runs: int, machine: MachineFiles) -> list[Run]:
    """Return so many runs of each fault, and of none, of a machine."""
    life = life_of(machine)
    segments = {name: machine.segments(name) for name in (LATER, *machine.faults)}
    models = {
        name: ModelMethod.of(model, model_limits(model, MONTH_S))
        for name, model in ((COMMISSIONED, life.commissioned), (PROVISIONAL, life.provisional))
    }
    levels = level_peaks(segments, machine.segments(TRAINING))
    deviations = deviation_peaks(life.commissioned)
    earlier = None if before is None else score_before(before, machine)
    rng = np.random.default_rng((machine.seed, machine.hall_set, machine.number, 8))
    found = []
    for fault, growth_h, observed_h in _experiments(runs):
        day = int(rng.integers(FIRST_DAY, FIRST_DAY + DAYS - LEAD_IN_DAYS))
        course = course_of(fault, observed_h, segments, day, rng)
        delays = {}
        for name, method in models.items():
            exceeding = method.exceeding(course, rng)
            delays[name] = delay_h(np.asarray(exceeding.any(1)), course.onset)
            if name == COMMISSIONED:
                for alone, scale in ALONE.items():
                    delays[alone] = delay_h(exceeding[:, scale], course.onset)
        delays[RMS_LIMIT] = delay_h(alarming(levels, limits.level_db, course), course.onset)
        delays[MEAN_AND_DEVIATIONS] = delay_h(
            alarming(deviations, limits.deviations, course), course.onset
        )
        if earlier is not None:
            threshold = earlier.thresholds[MONTH_S]
            delays[BEFORE] = delay_h(alarming(earlier.peaks, threshold, course), course.onset)
        found.append(Run("none" if fault is None else fault.name, growth_h, delays))
    return found


def _experiments(runs: int) -> Iterable[tuple[GrowingFault | None, float, int]]:
    """Return each fault, its growth and how long it is observed; None: no fault."""
    for _ in range(runs):
        for fault in all_faults():
            yield fault, fault.growth_h, fault.observed_h
        for growth_h in GROWTHS_H:
            yield None, growth_h, GrowingFault(FaultKind.TONE, 3.0, growth_h).observed_h


def fault_names() -> list[str]:
    """Return the names of the faults in ascending order of severity, and ``none``."""
    return [*dict.fromkeys(fault.name for fault in all_faults()), "none"]


def tables_of(runs: Sequence[Run], limits: Limits) -> str:
    """Return the tables of all runs."""
    methods = list(runs[0].delay_h)
    text = "Share found, all growths:\n\n"
    text += table(
        ["fault", *methods],
        [
            [name, *(_share(_of(runs, name), method) for method in methods)]
            for name in fault_names()
        ],
    )
    brief = [method for method in methods if method not in ALONE]
    text += "\nShare found and median delay in hours of those found, by growth:\n\n"
    rows = [
        [
            f"{name}, {growth_h:g} h",
            *(_share_and_delay(_of(runs, name, growth_h), method) for method in brief),
        ]
        for name in fault_names()
        for growth_h in GROWTHS_H
    ]
    text += table(["fault, growth", *brief], rows)
    return text + (
        f"\nFixed RMS limit: {limits.level_db:.1f} dB above the training level; "
        f"k = {limits.deviations:.1f}.\n"
    )


def _of(runs: Sequence[Run], fault: str, growth_h: float | None = None) -> list[Run]:
    return [run for run in runs if run.fault == fault and growth_h in (None, run.growth_h)]


def found_share(runs: Sequence[Run], method: str) -> float:
    """Return the share of runs in which a method found the fault."""
    return float(np.mean([run.delay_h[method] is not None for run in runs]))


def _share(runs: Sequence[Run], method: str) -> str:
    return f"{found_share(runs, method):.0%}"


def _share_and_delay(runs: Sequence[Run], method: str) -> str:
    delays = [run.delay_h[method] for run in runs]
    found = [delay for delay in delays if delay is not None]
    return _share(runs, method) + (f", {np.median(found):.1f} h" if found else "")


def charts_of(runs: Sequence[Run]) -> dict[str, str]:
    """Return a chart for each kind of fault: share found by severity."""
    methods = [method for method in runs[0].delay_h if method not in ALONE]
    charts = {}
    for kind in FaultKind:
        own = [fault for fault in all_faults() if fault.kind is kind]
        severities = sorted({fault.severity_db for fault in own})
        lines = [
            Line(
                method,
                [
                    (severity, found_share(_of(runs, f"{kind}{severity:g}"), method))
                    for severity in severities
                ],
            )
            for method in methods
        ]
        charts[f"alarms-sensitivity-{kind}"] = line_chart(
            f"Share of faults found: {kind}",
            Axis(severities[0], severities[-1], severities, "severity, dB"),
            Axis(0.0, 1.0, (0, 0.25, 0.5, 0.75, 1), "share found"),
            lines,
            STRONGEST_TARGET,
        )
    return charts


def main() -> int:
    """Simulate the faults of the machines that the arguments name."""
    parser = parser_of("alarms.sensitivity", __doc__)
    add_arguments(parser)
    add_output(parser)
    parser.add_argument("--before", type=Path, metavar="CHECKOUT")
    parser.add_argument("--runs", type=int, default=2, metavar="N")
    options = parser.parse_args()
    machines = machines_of(options)
    with errors_reported("sensitivity"):
        limits = limits_for(list(in_processes(healthy, machines)))
        work = partial(runs_of, limits, options.before, options.runs)
        runs = [run for own in in_processes(work, machines) for run in own]
    figures = {
        "set": options.hall_set,
        "seed": options.seed,
        "machines": len(machines),
        "level_limit_db": limits.level_db,
        "deviations": limits.deviations,
        "runs": [
            {"fault": run.fault, "growth_h": run.growth_h, "delay_h": run.delay_h} for run in runs
        ],
    }
    write_results(options.output, "sensitivity", figures, tables_of(runs, limits), charts_of(runs))
    return 0


if __name__ == "__main__":
    sys.exit(main())
