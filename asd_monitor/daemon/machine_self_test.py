"""The self-test of one machine: a copy of its live sound is scored between the batches.

Its steps run in the scoring thread, each as short as the scoring of two seconds of sound, and with
pauses in which the machines are scored: no window waits for longer than one step.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

import structlog

from asd_monitor.daemon.scoring_thread import ScoringThread
from asd_monitor.daemon.self_test_subject import SelfTestSubject
from asd_monitor.self_test.baseline import levels_at_training
from asd_monitor.self_test.checks import (
    Check,
    Result,
    check_microphone,
    check_model,
    check_scoring,
    check_sensitivity,
    checks_in_fault,
    not_possible,
)
from asd_monitor.self_test.detected_levels import DetectedLevels
from asd_monitor.self_test.live_trial import LiveTrial, live_steps, too_short
from asd_monitor.self_test.obstacle import Obstacle
from asd_monitor.self_test.stepping import Steps

log = structlog.get_logger()

STEP_LIMIT_S = 60.0
"""For one step, with the batch before it."""
PAUSE_FACTOR = 4.0
"""Length of the pause after a step, as a multiple of the step."""
CHECKS = ("sensitivity", "microphone", "scoring", "model")
_FEWER = "monitor fewer machines on this box, or use a faster one"
_NOT_SCORED = Obstacle("no window is scored", "restart the daemon")
_TOO_SLOW = Obstacle("the box is too slow for all its machines", _FEWER)
_TOO_SHORT = Obstacle(
    "too little sound has been captured since the last gap",
    "if that lasts, check cable, USB port and driver of the microphone",
)
_STANDSTILL = Obstacle(f"scoring has not gone on for {STEP_LIMIT_S:g} s", _FEWER)


@dataclass(frozen=True, slots=True)
class MachineChecks:
    """The results of one self-test of a machine."""

    checks: dict[str, Check]
    levels: DetectedLevels | None = None  # None: not measured


@dataclass(slots=True)
class _Cost:
    cpu_s: float = 0.0
    longest_s: float = 0.0


async def checks_of_machine(
    subject: SelfTestSubject,
    scoring: ScoringThread,
    *,
    stalled_s: float,
    first: DetectedLevels | None,
) -> MachineChecks:
    """Make all checks of a machine.

    Args:
        subject: The machine.
        scoring: The thread that scores.
        stalled_s: Sound that was captured since its newest window, in s.
        first: The levels at its first self-test, for a model that states none of its training.

    """
    hindrance, bundle = subject.no_sound or subject.out_of_service, subject.bundle
    if hindrance is None and subject.microphone.is_fault:
        return MachineChecks(checks_in_fault(subject.microphone))
    obstacle = hindrance or subject.not_scored
    if obstacle is not None:
        return none_possible(obstacle)
    if bundle is None:
        raise ValueError(f"{subject.machine} is scored without a model")
    checks = {
        "scoring": check_scoring(stalled_s),
        "model": check_model(subject.machine, bundle.machine, subject.recent_scores),
    }
    known = levels_at_training(bundle.manifest) or first
    trial: LiveTrial | Obstacle = _NOT_SCORED
    if checks["scoring"].result is not Result.FAILED:
        trial = await _trial(subject, scoring, known)
    if isinstance(trial, Obstacle):
        checks |= {"sensitivity": not_possible(trial), "microphone": not_possible(trial)}
        return MachineChecks(checks)
    checks |= {
        "sensitivity": check_sensitivity(trial, known),
        "microphone": check_microphone(trial, bundle.detector, subject.microphone),
    }
    return MachineChecks(checks, trial.levels)


def none_possible(obstacle: Obstacle) -> MachineChecks:
    """Return the results where no check was made."""
    return MachineChecks({name: not_possible(obstacle) for name in CHECKS})


async def _trial(
    subject: SelfTestSubject, scoring: ScoringThread, known: DetectedLevels | None
) -> LiveTrial | Obstacle:
    """Return the trial of the live sound, or why it was not possible."""
    if scoring.stride > 1:
        return _TOO_SLOW
    block, bundle = subject.sound(), subject.bundle
    if bundle is None or block is None or too_short(block):
        return _TOO_SHORT
    cost = _Cost()
    steps = live_steps(bundle.detector, subject.rule, block, known)
    try:
        while True:
            begun_s = time.monotonic()
            step = scoring.between_batches(lambda: _step(steps, cost))
            outcome = await asyncio.wait_for(step, STEP_LIMIT_S)
            if outcome is not None:
                break
            await asyncio.sleep(PAUSE_FACTOR * (time.monotonic() - begun_s))
    except TimeoutError:
        return _STANDSTILL
    log.info(
        "self-test of the sensitivity",
        machine=subject.machine,
        cpu_s=round(cost.cpu_s, 2),
        longest_step_s=round(cost.longest_s, 3),
    )
    return outcome


def _step(steps: Steps[LiveTrial], cost: _Cost) -> LiveTrial | None:
    """Carry out the next step in the scoring thread; return the result after the last one."""
    begun_s = time.thread_time()
    try:
        next(steps)
    except StopIteration as end:
        trial: LiveTrial = end.value
        return trial
    finally:
        step_s = time.thread_time() - begun_s
        cost.cpu_s += step_s
        cost.longest_s = max(cost.longest_s, step_s)
    return None
