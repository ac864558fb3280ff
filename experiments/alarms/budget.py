"""Count false alarms of simulated machines over their first week and half a year.

    python -m experiments.alarms.budget CACHE --output FOLDER [--before CHECKOUT] [--set …]
        [--machines N] [--first NUMBER] [--seed N] [--draws N]

`experiments.alarms.windows` and `experiments.alarms.life` wrote CACHE.  Half a year follows the
commissioning.  It is resampled from the later days by the schedule of the hall: of each
simulated day the states by the hour and the gains are those of a day of the same kind, one of the
nearest in the season.  An hour has its segment, or as many as ``--draws`` says of that day in the
same state.  Each alarm is acknowledged one hour after it rose, then counted anew.

A budget is kept where the alarms are within the 95 % quantile of the Poisson distribution.
``--before`` counts the alarms of the version of the package in a checkout as well, on the same
hours.  Histories with another prior (``life --prior``) are tabulated beside, where CACHE has them
for all machines.  Rates at alarm scores are of distinct sound alone; their intervals are
bootstrapped over the machines.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
from scipy.stats import poisson

from asd_monitor.alarm.time_scales import TIME_SCALES
from experiments.alarms.chart import Axis, Line, line_chart
from experiments.alarms.life import life_of, life_path
from experiments.alarms.machine_files import (
    COMMISSIONING,
    LATER,
    MachineFiles,
    add_arguments,
    in_processes,
    machines_of,
)
from experiments.alarms.promised_rates import Exceedances, Rate, exceedances_of, rates
from experiments.alarms.results import share_text, write_results
from experiments.alarms.segments import DAY_S
from experiments.alarms.simulated_months import (
    HALF_YEAR_S,
    MONTH_S,
    PERIODS_S,
    WEEK_DAYS,
    AlarmCount,
    count_of_segments,
    first_week,
    half_year,
    planned,
)
from experiments.alarms.version_before import score_before
from experiments.command_line import add_output, errors_reported, parser_of
from experiments.markdown import table

MAX_FIRST_WEEK = 12
PRIORS = (1.0, 0.5, 2.0)
BUDGET_TARGET, FIRST_WEEK_TARGET = 0.9, 0.8


@dataclass(frozen=True, slots=True, eq=False)
class MachineAlarms:
    """The alarms of one machine."""

    name: str  # number and family
    distinct_s: float
    hours: int  # that its commissioned model is from
    learned: float
    first_week: AlarmCount
    half_year: dict[str, AlarmCount]  # by budget


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """What is measured of one machine: by the factor of the prior, and of the version before."""

    by_prior: dict[float, MachineAlarms]
    exceedances: Exceedances
    before_week: int | None
    before: dict[str, int]


def allowed(period_s: float) -> int:
    """Return the 95 % quantile of the false alarms in half a year."""
    return int(poisson.ppf(0.95, HALF_YEAR_S / period_s))


def measure(before: Path | None, draws: int, machine: MachineFiles) -> Measured:
    """Count the alarms of a machine."""
    facts = machine.facts
    commissioning, later = machine.segments(COMMISSIONING), machine.segments(LATER)
    by_prior = {}
    for prior in PRIORS:
        if not life_path(machine, prior).with_suffix(".json").exists():
            continue
        life = life_of(machine, prior)
        own = commissioning.take(np.flatnonzero(commissioning.times_s >= life.begin_s))
        last = life.commissioned
        by_prior[prior] = MachineAlarms(
            f"{machine.number} {facts['family']}",
            facts["distinct_s"],
            last.facts.hours,
            last.facts.learned,
            first_week(life, own, MONTH_S, _rng(machine)),
            {
                name: half_year(last, later, period_s, _rng(machine), draws)
                for name, period_s in PERIODS_S.items()
            },
        )
    life = life_of(machine)
    model = life.commissioned
    exceedances = exceedances_of(
        model.scores[LATER].evidence, later.day, model.facts.tails, model.facts.effect_bound
    )
    if before is None:
        return Measured(by_prior, exceedances, None, {})
    earlier = score_before(before, machine)
    times_s = commissioning.times_s - life.begin_s
    week = np.flatnonzero((times_s >= 0) & (times_s < WEEK_DAYS * DAY_S))
    hours = planned(later, _rng(machine), draws)
    return Measured(
        by_prior,
        exceedances,
        count_of_segments(earlier.alarms(COMMISSIONING, MONTH_S), week[:, None]),
        {
            name: count_of_segments(earlier.alarms(LATER, period_s), hours)
            for name, period_s in PERIODS_S.items()
        },
    )


def _rng(machine: MachineFiles) -> np.random.Generator:
    return np.random.default_rng((machine.seed, machine.hall_set, machine.number, 7))


def tables_of(measured: Sequence[Measured], priors: Sequence[float]) -> str:
    """Return the tables of all machines."""
    ours = [each.by_prior[1.0] for each in measured]
    with_before = measured[0].before_week is not None
    text = "Machines within the budget:\n\n" + _kept_table(measured, priors)
    text += "\nAlarms of each time scale alone, mean of a machine:\n\n"
    text += _scale_table(ours)
    text += "\nObserved and promised rates in distinct sound:\n\n"
    found = rates([each.exceedances for each in measured], np.random.default_rng(0))
    text += table(
        ["time scale, alarm score", "stretches", "observed", "95 % interval", "promised"],
        [_rate_row(rate) for rate in found],
    )
    text += "\nMachines:\n\n"
    head = ["machine", "distinct sound, h", "learned", "days 1 to 7", *PERIODS_S]
    head += [f"{name}, before" for name in PERIODS_S] if with_before else []
    text += table(head, [_machine_row(each) for each in measured])
    return text


def _kept_table(measured: Sequence[Measured], priors: Sequence[float]) -> str:
    with_before = measured[0].before_week is not None
    head = ["alarms", "at most", "target"]
    head += [f"prior × {prior:g}" if prior != 1.0 else "machines" for prior in priors]
    head += ["version before"] if with_before else []
    rows = [["days 1 to 7", str(MAX_FIRST_WEEK), f"{FIRST_WEEK_TARGET:.0%}"]]
    counts = [[each.by_prior[prior].first_week.total for each in measured] for prior in priors]
    if with_before:
        counts.append([each.before_week or 0 for each in measured])
    rows[0] += [share_text([count <= MAX_FIRST_WEEK for count in each]) for each in counts]
    for name, period_s in PERIODS_S.items():
        limit = allowed(period_s)
        counts = [
            [each.by_prior[prior].half_year[name].total for each in measured] for prior in priors
        ]
        if with_before:
            counts.append([each.before[name] for each in measured])
        cells = [share_text([count <= limit for count in each]) for each in counts]
        rows.append([f"`1 per {name}`, half a year", str(limit), f"{BUDGET_TARGET:.0%}", *cells])
    return table(head, rows)


def _scale_table(machines: Sequence[MachineAlarms]) -> str:
    rows = [["days 1 to 7", *_means([machine.first_week for machine in machines])]]
    for name in PERIODS_S:
        counts = [machine.half_year[name] for machine in machines]
        rows.append([f"`1 per {name}`, half a year", *_means(counts)])
    return table(["alarms", "all", *(f"{scale.seconds:g} s" for scale in TIME_SCALES)], rows)


def _means(counts: Sequence[AlarmCount]) -> list[str]:
    rows = [(count.total, *count.by_scale) for count in counts]
    return [f"{mean:.1f}" for mean in np.mean(rows, axis=0)]


def _rate_row(rate: Rate) -> list[str]:
    return [
        f"{rate.seconds:g} s, {rate.score:g}",
        str(rate.stretches),
        f"{rate.observed:.4f}",
        f"{rate.low:.4f} … {rate.high:.4f}",
        f"{rate.promised:.4f}",
    ]


def _machine_row(each: Measured) -> list[str]:
    own = each.by_prior[1.0]
    week = str(own.first_week.total)
    if each.before_week is not None:
        week += f" (before {each.before_week})"
    return [
        own.name,
        f"{own.distinct_s / 3600:.1f}",
        f"{own.learned:.0%}",
        week,
        *(str(own.half_year[name].total) for name in PERIODS_S),
        *(str(count) for count in each.before.values()),
    ]


def chart_of(measured: Sequence[Measured]) -> str:
    """Return a chart of the alarms of the machines in ascending order."""
    lines = [
        Line(
            f"1 per {name}",
            _ascending([each.by_prior[1.0].half_year[name].total for each in measured]),
        )
        for name in PERIODS_S
    ]
    if measured[0].before:
        lines.append(Line("before, 1 per month", _ascending([m.before["month"] for m in measured])))
    return line_chart(
        "False alarms in half a year, machines in ascending order",
        Axis(0.0, 1.0, (0.0, 0.25, 0.5, 0.75, 0.9, 1.0), "share of machines"),
        Axis(0.0, 4.0, (0, 1, 2, 3, 4), "alarms + 1", lambda decade: f"{10**decade:g}"),
        lines,
        float(np.log10(1 + allowed(MONTH_S))),
    )


def _ascending(counts: Sequence[int]) -> list[tuple[float, float]]:
    ordered = sorted(counts)
    return [
        ((number + 1) / len(ordered), float(np.log10(1 + count)))
        for number, count in enumerate(ordered)
    ]


def main() -> int:
    """Count the alarms of the machines that the arguments name."""
    parser = parser_of("alarms.budget", __doc__)
    add_arguments(parser)
    add_output(parser)
    parser.add_argument("--before", type=Path, metavar="CHECKOUT")
    parser.add_argument("--draws", type=int, default=1, metavar="N")
    options = parser.parse_args()
    machines = machines_of(options)
    with errors_reported("budget"):
        measured = list(in_processes(partial(measure, options.before, options.draws), machines))
    priors = [prior for prior in PRIORS if all(prior in each.by_prior for each in measured)]
    figures = {
        "set": options.hall_set,
        "seed": options.seed,
        "draws": options.draws,
        "machines": [
            {
                "by_prior": {str(key): asdict(own) for key, own in each.by_prior.items()},
                "before": each.before,
                "before_week": each.before_week,
            }
            for each in measured
        ],
    }
    write_results(
        options.output,
        "budget",
        figures,
        tables_of(measured, priors),
        {"alarms-budget": chart_of(measured)},
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
