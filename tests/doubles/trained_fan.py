"""The reference recordings of a machine and their training result, for several areas."""

from datetime import UTC, datetime

import pytest
from soxr import resample

from asd_monitor.config.machine_settings import AlarmSettings
from asd_monitor.model_training.reference import Reference, read_reference
from asd_monitor.model_training.training_progress import of_whole, training_steps
from asd_monitor.model_training.training_run import TrainingResult, train_model
from tests.doubles.synthetic_sounds import machine_sound, write

TRAINED = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
IMPACT_S = (20.0, 21.0)
"""Where ``<one> & two.wav`` is eight times as loud."""


@pytest.fixture(scope="session")
def fan_reference(tmp_path_factory: pytest.TempPathFactory) -> Reference:
    """50 s at 16 kHz with an impact, then 40 s at 48 kHz.  Read only."""
    folder = tmp_path_factory.mktemp("reference")
    first = machine_sound(50.0, seed=1)
    begin, end = (round(16_000 * at_s) for at_s in IMPACT_S)
    first[begin:end] *= 8
    return read_reference(
        [
            write(folder / "<one> & two.wav", first),
            write(
                folder / "three.wav", resample(machine_sound(40.0, seed=2), 16_000, 48_000), 48_000
            ),
        ]
    )


@pytest.fixture(scope="session")
def fan_training(fan_reference: Reference) -> tuple[TrainingResult, list[tuple[str, float]]]:
    """The training of `fan_reference`: its result, and the progress that it has reported."""
    shown: list[tuple[str, float]] = []
    progress = of_whole(lambda *report: shown.append(report), training_steps(adapt=False))
    return train_model("fan01", fan_reference, AlarmSettings(), progress=progress), shown


@pytest.fixture(scope="session")
def fan_result(fan_training: tuple[TrainingResult, object]) -> TrainingResult:
    """The training result of `fan_reference`."""
    return fan_training[0]


@pytest.fixture(scope="session")
def short_result(tmp_path_factory: pytest.TempPathFactory) -> TrainingResult:
    """A training on 16 s, of which nothing is held out."""
    path = write(tmp_path_factory.mktemp("short") / "a.wav", machine_sound(16.0))
    return train_model("fan01", read_reference([path]), AlarmSettings())
