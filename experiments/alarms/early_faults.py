"""Which faults are found that grow already in the days of commissioning.

    python -m experiments.alarms.early_faults CACHE --output FOLDER [--set choice|report]
        [--machines N] [--first NUMBER] [--seed N] [--cases N]

`experiments.alarms.windows` and `experiments.alarms.life` wrote CACHE.  So many faults of each
machine, of random kind, severity and growth, begin at a random hour of the first six days.  The
model is refitted as the product does it, from sound with the fault, until an alarm rises; what was
not found then is observed for two weeks after the commissioning.  Beside it stands whether the same
fault is found where it begins after the commissioning.  The budget is `1 per month`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial

import numpy as np

from asd_monitor.detector.fit import FittedDetector
from experiments.alarms.alarm_counting import Evidence, Mask, exceedances
from experiments.alarms.detection_methods import ModelMethod, delay_h
from experiments.alarms.growing_faults import (
    GROWTHS_H,
    OBSERVED_DAYS,
    GrowingFault,
    all_faults,
    course_of,
)
from experiments.alarms.life import life_of
from experiments.alarms.life_history import LifeModel, ModelFacts, score
from experiments.alarms.machine_files import (
    COMMISSIONING,
    LATER,
    TRAINING,
    MachineFiles,
    add_arguments,
    in_processes,
    machines_of,
)
from experiments.alarms.refitting import first_model, refit_times_s, refitted
from experiments.alarms.results import write_results
from experiments.alarms.schedules import plan_hours, replacements
from experiments.alarms.segments import Floats, Integers, Segments
from experiments.alarms.simulated_months import FIRST_DAY, MONTH_S, model_limits
from experiments.command_line import add_output, parser_of
from experiments.markdown import table

LATEST_ONSET_H = 144
TARGET = 0.9


@dataclass(frozen=True, slots=True)
class Case:
    """A fault in the days of commissioning, and what became of it."""

    fault: str
    growth_h: float
    onset_h: float  # after the training
    delay_h: float | None  # None: not found
    found_otherwise: bool  # where it begins after the commissioning
    learned: float  # share of the segments with the fault that the last model was refitted from


@dataclass(frozen=True, slots=True, eq=False)
class _FaultySound:
    """The live sound of a machine whose fault begins in the days of commissioning."""

    live: Segments
    onset: int  # number of the first hour with the fault
    faulty: Mask  # (n,): live segments in which it is audible


def cases_of(count: int, machine: MachineFiles) -> list[Case]:
    """Return so many cases of a machine."""
    segments = {
        name: machine.segments(name) for name in (TRAINING, COMMISSIONING, LATER, *machine.faults)
    }
    life = life_of(machine)
    commissioned = life.commissioned
    method = ModelMethod.of(commissioned, model_limits(commissioned, MONTH_S))
    rng = np.random.default_rng((machine.seed, machine.hall_set, machine.number, 10))
    faults = all_faults()
    begin = machine.number * count
    found = []
    for number in range(begin, begin + count):
        fault = faults[(number * 7) % len(faults)]  # 7 and the number of faults are coprime
        course = course_of(fault, fault.observed_h, segments, FIRST_DAY, rng)
        exceeding = np.asarray(method.exceeding(course, rng).any(1))
        otherwise = delay_h(exceeding, course.onset) is not None
        onset_h = int(rng.integers(1, LATEST_ONSET_H))
        sound = _faulty_sound(fault, onset_h, segments, life.begin_s, rng)
        delay, learned = _follow(fault, sound, segments, life.begin_s, rng)
        found.append(Case(fault.name, fault.growth_h, onset_h, delay, otherwise, learned))
    return found


def _faulty_sound(
    fault: GrowingFault,
    onset: int,
    segments: Mapping[str, Segments],
    begin_s: float,
    rng: np.random.Generator,
) -> _FaultySound:
    healthy = segments[COMMISSIONING]
    live = healthy.take(np.flatnonzero(healthy.times_s >= begin_s))
    faulty = np.zeros(len(live), np.bool_)
    names = [fault.at(hour - onset + 1.0) if hour >= onset else None for hour in range(len(live))]
    for name in {name for name in names if name is not None}:
        numbers = np.array([hour for hour, own in enumerate(names) if own == name], np.int64)
        chosen = replacements(live.state[numbers].tolist(), segments[name], rng)
        live = live.with_sound(numbers, segments[name].take(chosen))
        faulty[numbers] = True
    return _FaultySound(live, onset, faulty)


def _follow(
    fault: GrowingFault,
    sound: _FaultySound,
    segments: Mapping[str, Segments],
    begin_s: float,
    rng: np.random.Generator,
) -> tuple[float | None, float]:
    """Return the delay in hours until an alarm, None without one, and the share learned."""
    evidence: list[Evidence] = []
    limits: list[Floats] = []
    restarts: list[bool] = []
    base: int | None = None  # the first hour that is simulated
    learned = 0.0
    for fitted, hours, learned in _models_in_use(sound, segments[TRAINING], begin_s):
        base = int(hours[0]) if base is None else base
        parts = [sound.live.take(hours)]
        if hours[-1] == len(sound.live) - 1:
            parts.append(_grown(segments[fault.name], segments[LATER], rng))
        evidence += [Evidence.of(score(fitted.detector, part).evidence) for part in parts]
        count = sum(len(part) for part in parts)
        facts = ModelFacts.of(fitted, 0.0, learned)
        limits.append(np.tile(model_limits(LifeModel(facts, {}), MONTH_S), (count, 1)))
        restarts += [True, *[False] * (count - 1)]
        every_hour = np.arange(len(restarts), dtype=np.int64)[:, None]
        exceeding = exceedances(
            every_hour, Evidence.joined(evidence), np.concatenate(limits), rng, np.array(restarts)
        )
        delay = delay_h(np.asarray(exceeding.any(1)), sound.onset - base)
        if delay is not None:
            return delay, learned
    return None, learned


def _models_in_use(
    sound: _FaultySound, training: Segments, begin_s: float
) -> Iterator[tuple[FittedDetector, Integers, float]]:
    """Return each model from the onset on, the hours of its use, and the share learned.

    The share is that of the segments with the fault.
    """
    times_s = sound.live.times_s
    fits_s = np.array([begin_s, *refit_times_s(begin_s)])
    in_use = np.searchsorted(fits_s, times_s, side="right") - 1
    first = first_model(training)
    for number in np.unique(in_use[sound.onset :]).tolist():
        hours = np.flatnonzero(in_use == number)
        if number == 0:
            yield first, hours, 0.0
            continue
        so_far = np.flatnonzero(times_s < fits_s[number])
        refit = refitted(first.detector, training, sound.live.take(so_far))
        faulty = sound.faulty[so_far]
        learned = float(refit.learned[faulty].mean()) if faulty.any() else 0.0
        yield refit.fitted, hours, learned


def _grown(library: Segments, later: Segments, rng: np.random.Generator) -> Segments:
    """Return the hours after the commissioning, with the fault that has grown."""
    hours = plan_hours(later, FIRST_DAY, OBSERVED_DAYS, rng)[:, 0]
    return library.take(replacements(later.state[hours].tolist(), library, rng))


def tables_of(cases: Sequence[Case]) -> str:
    """Return the tables of all cases."""
    rows = [
        _row(f"{name}", [case for case in cases if case.fault == name])
        for name in dict.fromkeys(fault.name for fault in all_faults())
    ]
    rows += [
        _row(f"grown over {growth_h:g} h", [c for c in cases if c.growth_h == growth_h])
        for growth_h in GROWTHS_H
    ]
    rows.append(_row("all", cases))
    head = ["fault", "cases", "found otherwise", "of these found", "median delay, h", "learned"]
    return table(head, rows) + f"\nTarget: {TARGET:.0%} of those found otherwise.\n"


def _row(name: str, cases: Sequence[Case]) -> list[str]:
    otherwise = [case for case in cases if case.found_otherwise]
    delays = [case.delay_h for case in otherwise if case.delay_h is not None]
    return [
        name,
        str(len(cases)),
        str(len(otherwise)),
        f"{len(delays)} ({len(delays) / len(otherwise):.0%})" if otherwise else "",
        f"{np.median(delays):.1f}" if delays else "",
        f"{np.mean([case.learned for case in cases]):.0%}" if cases else "",
    ]


def main() -> int:
    """Simulate the faults of the machines that the arguments name."""
    parser = parser_of("alarms.early_faults", __doc__)
    add_arguments(parser)
    add_output(parser)
    parser.add_argument("--cases", type=int, default=6, metavar="N")
    options = parser.parse_args()
    machines = machines_of(options)
    work = partial(cases_of, options.cases)
    found = [case for own in in_processes(work, machines) for case in own]
    figures = {
        "set": options.hall_set,
        "seed": options.seed,
        "machines": len(machines),
        "cases": [asdict(case) for case in found],
    }
    write_results(options.output, "early_faults", figures, tables_of(found), {})
    return 0


if __name__ == "__main__":
    sys.exit(main())
