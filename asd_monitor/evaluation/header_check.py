"""Checks the header of every recording before hours are spent on training."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from asd_monitor.audio.files.recordings import RecordingReader
from asd_monitor.errors import UsageError
from asd_monitor.evaluation.dcase_data_set import DcaseMachine
from asd_monitor.evaluation.problem_list import join_problems
from asd_monitor.evaluation.regimes import MIN_TRAINING_S, WINDOW_S
from asd_monitor.model_training.reference import too_short

_Header = tuple[int, float]  # rate in Hz, length in s


def check_headers(machines: Iterable[DcaseMachine]) -> list[str]:
    """Return the notices on the recordings.

    Raises:
        UsageError: a test clip that is unreadable, too short or of too low a rate, too little
            training sound, or an absent channel; all problems in one message.
        OperationError: no permission.

    """
    problems: list[str] = []
    notices: list[str] = []
    for machine in machines:
        train = _read_headers(machine.train, machine.channel, [])
        test = _read_headers([clip.path for clip in machine.test], machine.channel, problems)
        problems.extend(
            f"{path}: {length_s:.2f} s is shorter than a window ({WINDOW_S:.2f} s): leave it out"
            for path, (_, length_s) in test.items()
            if length_s < WINDOW_S
        )
        train_s = sum(length_s for _, length_s in train.values())
        if not train:
            _read_headers(machine.train, machine.channel, problems)
        elif train_s < MIN_TRAINING_S:
            problems.append(f"{machine.name}: {too_short(train_s, MIN_TRAINING_S)}")
        else:
            _compare_rates(machine, train, test, problems, notices)
    if problems:
        raise UsageError(join_problems(problems))
    return notices


def _compare_rates(
    machine: DcaseMachine,
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
        listed = ", ".join(f"{rate_hz} Hz" for rate_hz in rates)
        notices.append(
            f"{machine.name}: its clips have several rates ({listed}): all are resampled to the "
            "lowest of its training clips"
        )


def _read_headers(
    paths: Sequence[Path], channel: int | None, problems: list[str]
) -> dict[Path, _Header]:
    found = {}
    for path in paths:
        try:
            with RecordingReader(path, channel) as reader:
                found[path] = reader.rate_hz, reader.length_s()
        except UsageError as error:
            problems.append(str(error))
    return found
