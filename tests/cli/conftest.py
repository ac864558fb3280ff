"""A machine that was trained, and its sounds."""

from pathlib import Path

import numpy as np
import pytest

from tests.doubles.command_line import CommandLine
from tests.doubles.synthetic_sounds import machine_sound, write


@pytest.fixture(scope="session")
def normal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("normal")
    for n in range(2):
        write(folder / f"{n}.flac", machine_sound(35.0, seed=n))
    return folder


@pytest.fixture
def trained(command_line: CommandLine, normal: Path, tmp_path: Path) -> Path:
    """A models folder with fan01 v1."""
    models = tmp_path / "models"
    assert command_line("train", "-m", "fan01", "-n", normal, "--models", models).code == 0
    return models


@pytest.fixture
def fault(tmp_path: Path) -> Path:
    calm, wrong = machine_sound(25.0, seed=5), machine_sound(20.0, seed=6, fault=1.0)
    return write(tmp_path / "fault.wav", np.concatenate([calm, wrong]))
