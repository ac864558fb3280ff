"""What the bound of the effect costs in false alarms and detects in faults.

    python -m experiments.alarms.effect_bound CACHE --output FOLDER [--set choice|report]
        [--machines N] [--first NUMBER] [--seed N]

`experiments.alarms.windows` and `experiments.alarms.life` wrote CACHE.  For each bound: the false
alarms of days 1 to 7 of the commissioning, and the faults that the model of ten minutes finds
within a day of their full severity.  The budget is `1 per month`.  The row ``none`` is the same
time without a fault: what is found there are false alarms.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from asd_monitor.synthesis.added_faults import SEVERITIES_DB, FaultKind
from experiments.alarms.chart import Axis, Line, line_chart
from experiments.alarms.detection_methods import ModelMethod, delay_h
from experiments.alarms.growing_faults import GrowingFault, course_of
from experiments.alarms.life import life_of
from experiments.alarms.machine_files import (
    COMMISSIONING,
    LATER,
    MachineFiles,
    add_arguments,
    in_processes,
    machines_of,
)
from experiments.alarms.results import write_results
from experiments.alarms.simulated_months import FIRST_DAY, MONTH_S, first_week, model_limits
from experiments.command_line import add_output, parser_of
from experiments.markdown import table

BOUNDS = (2.5, 3.0, 3.5, 4.0, 4.5, 5.0, 6.0, 7.0, 9.0, 12.0, 17.0, math.inf)
MAX_FIRST_WEEK = 12
OBSERVED_H = 24
RUNS = 3
GROWTH_H = 1.0
FAULTS = (
    *(
        GrowingFault(kind, severity_db, GROWTH_H)
        for kind in FaultKind
        for severity_db in SEVERITIES_DB[kind]
    ),
    None,
)


@dataclass(frozen=True, slots=True, eq=False)
class MachineAtBounds:
    """What one machine has at each of `BOUNDS`."""

    first_week: list[int]  # alarms
    found: dict[str, list[list[bool]]]  # by fault: at each bound, in each run


def fault_name_of(fault: GrowingFault | None) -> str:
    """Return the name of a fault, ``none`` without one."""
    return "none" if fault is None else fault.name


def measure(machine: MachineFiles) -> MachineAtBounds:
    """Return what a machine has at each of `BOUNDS`."""
    life = life_of(machine)
    commissioning = machine.segments(COMMISSIONING)
    live = commissioning.take(np.flatnonzero(commissioning.times_s >= life.begin_s))
    weeks = [
        first_week(life, live, MONTH_S, np.random.default_rng(machine.number), bound).total
        for bound in BOUNDS
    ]
    segments = {name: machine.segments(name) for name in (LATER, *machine.faults)}
    model = life.provisional
    methods = [ModelMethod.of(model, model_limits(model, MONTH_S, bound)) for bound in BOUNDS]
    rng = np.random.default_rng((machine.seed, machine.hall_set, machine.number, 9))
    found: dict[str, list[list[bool]]] = {
        fault_name_of(fault): [[] for _ in BOUNDS] for fault in FAULTS
    }
    for fault in FAULTS:
        for _ in range(RUNS):
            course = course_of(fault, OBSERVED_H, segments, FIRST_DAY, rng)
            for number, method in enumerate(methods):
                exceeding = np.asarray(method.exceeding(course, rng).any(1))
                is_found = delay_h(exceeding, course.onset) is not None
                found[fault_name_of(fault)][number].append(is_found)
    return MachineAtBounds(weeks, found)


def tables_of(machines: Sequence[MachineAtBounds]) -> str:
    """Return the table of all bounds."""
    names = [fault_name_of(fault) for fault in FAULTS]
    rows = []
    for number, bound in enumerate(BOUNDS):
        weeks = [machine.first_week[number] for machine in machines]
        rows.append(
            [
                f"{bound:g}",
                f"{np.mean(weeks):.1f}",
                f"{np.mean([week <= MAX_FIRST_WEEK for week in weeks]):.0%}",
                *(f"{found_share(machines, name, number):.0%}" for name in names),
            ]
        )
    head = ["bound", "alarms in days 1 to 7", f"machines with ≤ {MAX_FIRST_WEEK}", *names]
    return table(head, rows)


def found_share(machines: Sequence[MachineAtBounds], name: str, bound: int) -> float:
    """Return the share of runs of a fault in which it is found at a bound."""
    return float(np.mean([run for machine in machines for run in machine.found[name][bound]]))


def chart_of(machines: Sequence[MachineAtBounds]) -> str:
    """Return a chart of shares over the bound."""
    finite = [(number, bound) for number, bound in enumerate(BOUNDS) if math.isfinite(bound)]
    lines = [
        Line(
            f"≤ {MAX_FIRST_WEEK} alarms in days 1 to 7",
            [
                (bound, float(np.mean([m.first_week[number] <= MAX_FIRST_WEEK for m in machines])))
                for number, bound in finite
            ],
        )
    ]
    for fault in FAULTS:
        name = fault_name_of(fault)
        if fault is None or fault.severity_db in SEVERITIES_DB[fault.kind][1:]:
            points = [(bound, found_share(machines, name, number)) for number, bound in finite]
            lines.append(Line(f"{name} found", points))
    return line_chart(
        "Bound of the effect: what it costs and detects",
        Axis(BOUNDS[0], finite[-1][1], [bound for _, bound in finite], "bound"),
        Axis(0.0, 1.0, (0, 0.25, 0.5, 0.75, 1), "share of machines, of faults"),
        lines,
        None,
    )


def main() -> int:
    """Measure the machines that the arguments name."""
    parser = parser_of("alarms.effect_bound", __doc__)
    add_arguments(parser)
    add_output(parser)
    options = parser.parse_args()
    measured = list(in_processes(measure, machines_of(options)))
    figures = {
        "set": options.hall_set,
        "seed": options.seed,
        "bounds": [bound if math.isfinite(bound) else None for bound in BOUNDS],
        "machines": [{"first_week": each.first_week, "found": each.found} for each in measured],
    }
    write_results(
        options.output,
        "effect_bound",
        figures,
        tables_of(measured),
        {"alarms-effect-bound": chart_of(measured)},
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
