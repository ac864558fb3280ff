"""A model a machine, fitted to its training clips and tried on its test clips.

A clip's score is the mean of its windows' fused scores.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import TypeVar

from asd_monitor.evaluation.baseline import autoencoder_scores
from asd_monitor.evaluation.dcase_layouts import DataSet, TestedMachine
from asd_monitor.evaluation.dcase_rules import Rules
from asd_monitor.evaluation.gamma_threshold import gamma_threshold
from asd_monitor.evaluation.header_check import check
from asd_monitor.evaluation.regimes import (
    DetectorTrainer,
    Regime,
    Single,
    fused_without,
    score_clip,
)
from asd_monitor.evaluation.results import AUTOENCODER, FUSED, STATISTICS, MachineResult, Results
from asd_monitor.model_training.reference import Progress, no_progress

T = TypeVar("T")

_TOLD_ONE_BY_ONE = 3


def evaluate(
    data: DataSet,
    regime: Regime | None = None,
    *,
    jobs: int = 1,
    baseline: bool = False,
    progress: Progress = no_progress,
) -> Results:
    """Evaluate each machine, ``jobs`` at a time; ``regime`` of None is `Single`.

    ``baseline`` trains the challenge's autoencoder too, one a type, which needs torch.

    Raises:
        UsageError: too little sound to learn from, or a clip that cannot be scored.
        OperationError: no permission to read one, or no torch.

    """
    regime = regime or Single()
    progress("looking at the recordings", 0.0)
    found = check(data.machines)
    learner = regime.prepare(data.machines, progress)
    kinds = sorted({machine.type for machine in data.machines}) if baseline else []
    of_kind = {kind: [m for m in data.machines if m.type == kind] for kind in kinds}
    tasks: list[Callable[[], MachineResult | dict[Path, float]]] = [
        *(partial(autoencoder_scores, of_kind[kind]) for kind in kinds),  # they take longest
        *(partial(evaluate_machine, machine, data.rules, learner) for machine in data.machines),
    ]
    done = _done(tasks, jobs, progress)
    results = [each for each in done if isinstance(each, MachineResult)]
    if baseline:
        scores = {path: s for each in done if isinstance(each, dict) for path, s in each.items()}
        results = [_with_autoencoder(result, scores) for result in results]
    told = (*data.notices, *found, *(n for result in results for n in result.notices))
    return Results(data.rules, regime.name, tuple(results), tuple(gathered(told)))


def _done(tasks: Sequence[Callable[[], T]], jobs: int, progress: Progress) -> list[T]:
    """Return what the tasks return, in their order; several run at a time."""
    workers = min(jobs, len(tasks))
    if workers <= 1:
        done = []
        for number, task in enumerate(tasks):
            progress("evaluating", number / len(tasks))
            done.append(task())
        return done
    # spawned, because a fork copies whatever threads the linear algebra holds
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        futures: list[Future[T]] = [pool.submit(task) for task in tasks]
        try:
            for number, future in enumerate(as_completed(futures), 1):
                future.result()
                progress("evaluating", number / len(tasks))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
        return [future.result() for future in futures]


def evaluate_machine(machine: TestedMachine, rules: Rules, learner: DetectorTrainer) -> MachineResult:
    """Fit one machine and score its test clips.  Raises as `evaluate`."""
    learned = learner(machine)
    clips = [score_clip(learned, clip.path, machine.channel) for clip in machine.test]
    scores = {FUSED: tuple(clip.fused for clip in clips)}
    for view in clips[0].views:
        scores[view] = tuple(clip.views[view] for clip in clips)
    if learned.clip_scores is not None:
        extra = [learned.clip_scores(clip) for clip in clips]
        for name in extra[0]:
            scores[name] = tuple(each[name] for each in extra)
    statistics = tuple(fused_without(clip, learned.encoder_views) for clip in clips)
    return MachineResult(
        machine,
        rules,
        learned.train_s,
        gamma_threshold(learned.normal_scores),
        scores,
        {STATISTICS: statistics},
        (*learned.notices, *(notice for clip in clips for notice in clip.notices)),
    )


def _with_autoencoder(result: MachineResult, scores: dict[Path, float]) -> MachineResult:
    of_clips = tuple(scores[clip.path] for clip in result.machine.test)
    return replace(result, baselines={**result.baselines, AUTOENCODER: of_clips})


def gathered(notices: Iterable[str]) -> list[str]:
    """Return each notice once; what is told of many files is told of the first and counted."""
    of_text: dict[str, list[str]] = {}
    for notice in dict.fromkeys(notices):
        where, _, text = notice.partition(": ")
        of_text.setdefault(text, []).append(where)
    told = []
    for text, places in of_text.items():
        if len(places) <= _TOLD_ONE_BY_ONE:
            told += [f"{where}: {text}" for where in places]
        else:
            told.append(f"{places[0]} and {len(places) - 1} more recordings: {text}")
    return told
