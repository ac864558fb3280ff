"""Runs an evaluation: fits each machine to its training clips and scores its test clips.

The score of a clip is the mean of the fused scores of its windows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import TypeVar

from asd_monitor.evaluation.baseline import autoencoder_scores
from asd_monitor.evaluation.dcase_data_set import DataSet, DcaseMachine
from asd_monitor.evaluation.dcase_years import Rules
from asd_monitor.evaluation.gamma_threshold import gamma_threshold
from asd_monitor.evaluation.header_check import check_headers
from asd_monitor.evaluation.recording_scores import score_recording
from asd_monitor.evaluation.regimes import DetectorTrainer, Regime, SingleRegime
from asd_monitor.evaluation.results import AUTOENCODER, FUSED, STATISTICS, MachineResult, Results
from asd_monitor.model_training.training_progress import Progress, no_progress

T = TypeVar("T")


def evaluate(
    data: DataSet,
    regime: Regime | None = None,
    *,
    jobs: int = 1,
    baseline: bool = False,
    progress: Progress = no_progress,
) -> Results:
    """Evaluate each machine, ``jobs`` of them in parallel; ``regime`` of None is `SingleRegime`.

    ``baseline`` also trains the challenge's autoencoder for each type, which needs torch.

    Raises:
        UsageError: too little training sound, or a clip that cannot be scored.
        OperationError: no permission to read a clip, or no torch.

    """
    regime = regime or SingleRegime()
    progress("checking the recordings", 0.0)
    header_notices = check_headers(data.machines)
    trainer = regime.prepare(data.machines, progress)
    kinds = sorted({machine.type for machine in data.machines}) if baseline else []
    machines_of_kind = {kind: [m for m in data.machines if m.type == kind] for kind in kinds}
    tasks: list[Callable[[], MachineResult | dict[Path, float]]] = [
        *(partial(autoencoder_scores, machines_of_kind[kind]) for kind in kinds),  # the longest
        *(partial(evaluate_machine, machine, data.rules, trainer) for machine in data.machines),
    ]
    done = _run_tasks(tasks, jobs, progress)
    results = [each for each in done if isinstance(each, MachineResult)]
    if baseline:
        scores = {path: s for each in done if isinstance(each, dict) for path, s in each.items()}
        results = [_with_autoencoder(result, scores) for result in results]
    return Results(data.rules, regime.name, tuple(results), (*data.notices, *header_notices))


def _run_tasks(tasks: Sequence[Callable[[], T]], jobs: int, progress: Progress) -> list[T]:
    """Return the results of the tasks in their order; several run in parallel processes."""
    workers = min(jobs, len(tasks))
    if workers <= 1:
        done = []
        for number, task in enumerate(tasks):
            progress("evaluating", number / len(tasks))
            done.append(task())
        return done
    # spawned, because a fork copies the locks of the linear algebra's threads
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


def evaluate_machine(
    machine: DcaseMachine, rules: Rules, trainer: DetectorTrainer
) -> MachineResult:
    """Fit one machine and score its test clips.  Raises as `evaluate`."""
    trained = trainer(machine)
    clips = [score_recording(trained.detector, c.path, machine.channel) for c in machine.test]
    scores = {FUSED: tuple(clip.fused for clip in clips)}
    for view in clips[0].views:
        scores[view] = tuple(clip.views[view] for clip in clips)
    if trained.clip_scores is not None:
        further = [trained.clip_scores(clip) for clip in clips]
        for name in further[0]:
            scores[name] = tuple(each[name] for each in further)
    statistics = tuple(clip.fused_without(trained.encoder_views) for clip in clips)
    return MachineResult(
        machine,
        rules,
        trained.train_s,
        gamma_threshold(trained.training_scores),
        scores,
        {STATISTICS: statistics},
        (*trained.notices, *(notice for clip in clips for notice in clip.notices)),
        trained.adaptation,
    )


def _with_autoencoder(result: MachineResult, scores: dict[Path, float]) -> MachineResult:
    of_clips = tuple(scores[clip.path] for clip in result.machine.test)
    return replace(result, baselines={**result.baselines, AUTOENCODER: of_clips})
