"""A look at every recording's header before hours are spent on training."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from asd_monitor.audio.files.recordings import RecordingReader
from asd_monitor.errors import UsageError
from asd_monitor.evaluation.dcase_layouts import TestedMachine
from asd_monitor.evaluation.regimes import LEAST_TRAINING_S, WINDOW_S

_PROBLEMS_TOLD = 5
_Header = tuple[int, float]  # rate in Hz, seconds


def check(machines: Sequence[TestedMachine]) -> list[str]:
    """Return what is worth telling of the recordings.

    Raises:
        UsageError: a test clip that cannot be read or lacks what the training clips have,
            too little to learn from, a channel that is not there; all of it at once.
        OperationError: no permission.

    """
    problems: list[str] = []
    notices: list[str] = []
    for machine in machines:
        train = _headers(machine.train, machine.channel, [])
        test = _headers([clip.path for clip in machine.test], machine.channel, problems)
        problems.extend(
            f"{path}: {length:.2f} s is shorter than a window ({WINDOW_S:.2f} s): leave it out"
            for path, (_, length) in test.items()
            if length < WINDOW_S
        )
        seconds = sum(length for _, length in train.values())
        if not train:
            _headers(machine.train, machine.channel, problems)
        elif seconds < LEAST_TRAINING_S:
            problems.append(
                f"{machine.name}: {seconds:.0f} s of usable sound are too little, at least "
                f"{LEAST_TRAINING_S:.0f} s are needed: record "
                f"{math.ceil(LEAST_TRAINING_S - seconds)} s more of the machine's normal sound"
            )
        else:
            _compare_rates(machine, train, test, problems, notices)
    if problems:
        more = len(problems) - _PROBLEMS_TOLD
        told = "; ".join(problems[:_PROBLEMS_TOLD])
        raise UsageError(told + (f"; and {more} more" if more > 0 else ""))
    return notices


def _compare_rates(
    machine: TestedMachine,
    train: dict[Path, _Header],
    test: dict[Path, _Header],
    problems: list[str],
    notices: list[str],
) -> None:
    lowest_hz = min(rate_hz for rate_hz, _ in train.values())
    for path, (rate_hz, _) in test.items():
        if rate_hz < lowest_hz:
            problems.append(
                f"{path}: {rate_hz} Hz, while {machine.name} is trained on sound of {lowest_hz} Hz "
                "and more: bring the clips to one rate"
            )
            return
    rates = sorted({rate_hz for rate_hz, _ in (*train.values(), *test.values())})
    if len(rates) > 1:
        told = ", ".join(f"{rate_hz} Hz" for rate_hz in rates)
        notices.append(
            f"{machine.name}: its clips have several rates ({told}): all are heard at the lowest "
            "of its training clips"
        )


def _headers(
    paths: Sequence[Path], channel: int | None, problems: list[str]
) -> dict[Path, _Header]:
    found = {}
    for path in paths:
        try:
            with RecordingReader(path, channel) as reader:
                found[path] = reader.rate_hz, reader.frames / reader.rate_hz
        except UsageError as error:
            problems.append(str(error))
    return found
