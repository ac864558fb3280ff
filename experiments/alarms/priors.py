"""Estimate how far scores shift between hours: the prior of a model of minutes or hours.

    python -m experiments.alarms.priors CACHE --output FOLDER [--set choice|report] [--machines N]
        [--first NUMBER] [--seed N]

`experiments.alarms.windows` and `experiments.alarms.life` wrote CACHE.  The shift of a view is the
median log distance of an hour's segment above the centre of its calibration; that of the fused
score is the median evidence.  Printed are the root mean square over the later hours of all
machines, for the models of ten minutes, of one hour, one day and seven days; and the power of the
hours with which it falls:  `SHIFT_BY_VIEW`, `FUSED_SHIFT` and `DECAY` of
`asd_monitor.detector.prior`.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from asd_monitor.detector.prior import DECAY, FUSED_SHIFT, SHIFT_BY_VIEW
from experiments.alarms.chart import Axis, Line, line_chart
from experiments.alarms.life import life_of
from experiments.alarms.machine_files import (
    LATER,
    MachineFiles,
    add_arguments,
    in_processes,
    machines_of,
)
from experiments.alarms.results import write_results
from experiments.alarms.segments import Floats
from experiments.command_line import add_output, parser_of
from experiments.markdown import table

AFTER_H = (0.0, 1.0, 24.0, 216.0)
"""Age of the models that are compared; the last is the commissioned one."""
FUSED = "fused"


@dataclass(frozen=True, slots=True, eq=False)
class MachineShifts:
    """Shifts of one machine's later hours, by model."""

    views: tuple[str, ...]
    hours: Floats  # (models,): that the sound of each is from
    shifts: Floats  # (models, n, v + 1): of n later hours; the last is the fused score


def measure(machine: MachineFiles) -> MachineShifts:
    """Return the shifts of a machine."""
    life = life_of(machine)
    models = [life.after_h(hours) for hours in AFTER_H]
    shifts = []
    for model in models:
        scores = model.scores[LATER]
        fused = np.median(scores.evidence, axis=1)
        shifts.append(np.column_stack([scores.shifts, fused]))
    return MachineShifts(
        models[0].facts.views,
        np.array([float(model.facts.hours) for model in models]),
        np.array(shifts),
    )


def mean_square_shifts(machines: Sequence[MachineShifts]) -> Floats:
    """Return the root mean square (models, v + 1) over hours and machines."""
    each = [np.mean(machine.shifts**2, axis=1) for machine in machines]
    return np.asarray(np.sqrt(np.mean(each, axis=0)))


def decay_of(hours: Floats, shifts: Floats) -> float:
    """Return the power of the hours (models,) with which shifts (models,) fall."""
    slope = np.polyfit(np.log(hours), np.log(shifts), 1)[0]
    return float(-slope)


def tables_of(machines: Sequence[MachineShifts], shifts: Floats, hours: Floats) -> str:
    """Return the table of all views."""
    names = [*machines[0].views, FUSED]
    in_use = SHIFT_BY_VIEW | {FUSED: FUSED_SHIFT}
    rows = [
        [
            name,
            *(f"{shift:.2f}" for shift in shifts[:, number]),
            f"{decay_of(hours, shifts[:, number]):.2f}",
            f"{in_use[name]:.2f}" if name in in_use else "",
        ]
        for number, name in enumerate(names)
    ]
    head = ["view", "ten minutes", *(f"{own:.0f} h" for own in hours[1:]), "decay", "prior in use"]
    return table(head, rows) + f"\nDecay in use: {DECAY:g}\n"


def chart_of(names: Sequence[str], shifts: Floats, hours: Floats) -> str:
    """Return a chart of the shifts over the hours, relative to those of ten minutes."""
    decades = np.log10(hours).tolist()
    chosen = ("level", "spectrum", "tone", "texture", "encoder", FUSED)
    lines = [
        Line(name, list(zip(decades, (column / column[0]).tolist(), strict=True)))
        for name, column in zip(names, shifts.T, strict=True)
        if name in chosen
    ]
    law = [(at, float(10.0 ** (-DECAY * at))) for at in decades]
    return line_chart(
        "Shift between hours, relative to a model of ten minutes",
        Axis(0.0, decades[-1], (0, 1, 2), "hours of training sound", lambda at: f"{10**at:g}"),
        Axis(0.0, 1.2, (0, 0.25, 0.5, 0.75, 1), "relative shift"),
        [*lines, Line(f"hours^−{DECAY:g}", law)],
        None,
    )


def main() -> int:
    """Measure the machines that the arguments name."""
    parser = parser_of("alarms.priors", __doc__)
    add_arguments(parser)
    add_output(parser)
    options = parser.parse_args()
    machines = list(in_processes(measure, machines_of(options)))
    shifts = mean_square_shifts(machines)
    hours = np.asarray(np.mean([machine.hours for machine in machines], axis=0))
    names = [*machines[0].views, FUSED]
    figures = {
        "set": options.hall_set,
        "seed": options.seed,
        "hours": hours.tolist(),
        "shifts": {name: shifts[:, number].tolist() for number, name in enumerate(names)},
        "decay": {name: decay_of(hours, shifts[:, n]) for n, name in enumerate(names)},
    }
    write_results(
        options.output,
        "priors",
        figures,
        tables_of(machines, shifts, hours),
        {"alarms-priors": chart_of(names, shifts, hours)},
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
