"""Follow simulated machines through their first days: the first model, and each refit.

    python -m experiments.alarms.life CACHE [--set choice|report] [--machines N] [--first NUMBER]
        [--seed N] [--prior FACTOR]

`experiments.alarms.windows` wrote CACHE.  The first model is of ten minutes of sound.  It is
extended by the segments of the days of commissioning, as the product does it: after the first hour
and the first day, then each day at 03:00, for the last time when seven days are over.  Each model
scores the rest of the days of commissioning; the first and the last one score the later days and
the faults as well, and those after an hour and a day the later days.  ``--prior`` multiplies the
prior of the variation between hours; its histories have files of their own.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from asd_monitor.detector.fit import FittedDetector
from experiments.alarms.life_history import LifeHistory, LifeModel, ModelFacts, Scores, score
from experiments.alarms.machine_files import (
    COMMISSIONING,
    LATER,
    TRAINING,
    MachineFiles,
    add_arguments,
    in_processes,
    machines_of,
)
from experiments.alarms.prior_scaling import scaled_prior
from experiments.alarms.refitting import first_model, refit_times_s, refitted
from experiments.alarms.segments import DAY_S, HOUR_S, Segments
from experiments.command_line import parser_of


def life_path(machine: MachineFiles, prior: float = 1.0) -> Path:
    """Return the path of a machine's life history, without suffix."""
    return machine.folder / ("life" if prior == 1.0 else f"life_prior_{prior:g}".replace(".", "_"))


def life_of(machine: MachineFiles, prior: float = 1.0) -> LifeHistory:
    """Return the life history of a machine that `main` wrote."""
    return LifeHistory.load(life_path(machine, prior))


@dataclass(frozen=True, slots=True, eq=False)
class _Sound:
    commissioning: Segments  # after the training
    others: dict[str, Segments]


def follow(prior: float, machine: MachineFiles) -> str:
    """Write the life history of a machine; return a line about it."""
    path = life_path(machine, prior)
    if path.with_suffix(".json").exists():
        return f"{path}: is complete"
    began_s = time.process_time()
    training = machine.segments(TRAINING)
    begin_s = float(training.times_s[0])
    live = machine.segments(COMMISSIONING)
    live = live.take(np.flatnonzero(live.times_s >= begin_s))
    names = [LATER, *machine.faults]
    sound = _Sound(live, {name: machine.segments(name) for name in names})
    with scaled_prior(prior):
        first = first_model(training)
        models = [_model(first, begin_s, 1.0, sound, names)]
        times_s = refit_times_s(begin_s)
        for number, time_s in enumerate(times_s):
            so_far = live.take(np.flatnonzero(live.times_s < time_s))
            refit = refitted(first.detector, training, so_far)
            within = so_far.times_s < begin_s + 7 * DAY_S
            share = float(refit.admission.learned[within].mean())
            last = number == len(times_s) - 1
            of_all = last or time_s in (begin_s + HOUR_S, begin_s + DAY_S)
            own: Iterable[str] = names if last else [LATER] if of_all else ()
            models.append(_model(refit.fitted, time_s, share, sound, own))
    LifeHistory(begin_s, tuple(models)).save(path)
    facts = models[-1].facts
    return (
        f"{path}: {facts.hours} hours, {facts.learned:.0%} learned, {facts.modes} modes, "
        f"{time.process_time() - began_s:.0f} s of processor time"
    )


def _model(
    fitted: FittedDetector, time_s: float, learned: float, sound: _Sound, names: Iterable[str]
) -> LifeModel:
    scores = {COMMISSIONING: _later_scores(fitted, time_s, sound.commissioning)}
    scores |= {name: score(fitted.detector, sound.others[name]) for name in names}
    return LifeModel(ModelFacts.of(fitted, time_s, learned), scores)


def _later_scores(fitted: FittedDetector, time_s: float, segments: Segments) -> Scores:
    """Return the scores of the segments from a time on; NaN before."""
    later = np.flatnonzero(segments.times_s >= time_s)
    found = score(fitted.detector, segments.take(later))
    scores = Scores(
        *(
            np.full((len(segments), each.shape[1]), np.nan)
            for each in (found.evidence, found.fused, found.shifts)
        )
    )
    scores.evidence[later], scores.fused[later] = found.evidence, found.fused
    scores.shifts[later] = found.shifts
    return scores


def main() -> int:
    """Follow the machines that the arguments name."""
    parser = parser_of("alarms.life", __doc__)
    add_arguments(parser)
    parser.add_argument("--prior", type=float, default=1.0, metavar="FACTOR")
    options = parser.parse_args()
    for line in in_processes(partial(follow, options.prior), machines_of(options)):
        sys.stdout.write(line + "\n")
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
