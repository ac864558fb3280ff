"""Progress of a long calculation, reported to a callback."""

from __future__ import annotations

from collections.abc import Callable, Sequence

Progress = Callable[[str, float], None]
"""Called with the name of the current step and the share that is done, 0 … 1."""

TRAINING_STEPS = (
    ("opening the recordings", 1.0),
    ("extracting features", 30.0),
    ("fitting without the held-out part", 12.0),
    ("scoring the held-out part", 10.0),
    ("adding faults to the held-out part", 10.0),
    ("measuring the lowest levels", 12.0),
    ("fitting", 22.0),
    ("checking", 3.0),
)
"""The steps of a training, each with its usual duration relative to the others."""

ADAPTATION_STEPS = (
    ("reading the machines", 2.0),
    ("making other machines", 10.0),
    ("adapting the encoder", 60.0),
    ("testing the encoder on the held-out part", 10.0),
)
"""The steps of an adaptation, between the extraction of features and the first fit."""


def no_progress(step: str, share: float) -> None:
    """Ignore the report."""


def training_steps(*, adapt: bool) -> Sequence[tuple[str, float]]:
    """Return the steps of a training, with those of an adaptation or without."""
    return (*TRAINING_STEPS[:2], *(ADAPTATION_STEPS if adapt else ()), *TRAINING_STEPS[2:])


def of_whole(progress: Progress, steps: Sequence[tuple[str, float]]) -> Progress:
    """Return what takes the share of a step and passes on the share of all steps.

    ``steps`` are in order, each with its relative duration; those that are left out count as done.
    """
    total = sum(duration for _, duration in steps)
    parts: dict[str, tuple[float, float]] = {}
    begin = 0.0
    for name, duration in steps:
        parts[name] = begin / total, duration / total
        begin += duration

    def report(step: str, share: float) -> None:
        before, part = parts[step]
        progress(step, before + part * share)

    return report
