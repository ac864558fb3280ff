"""A trained machine and recordings of it, shared by all tests of the command line."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from asd_monitor.alarm.budget import alarm_rule
from asd_monitor.commissioning.blocks import feature_key
from asd_monitor.commissioning.sampler import BlockSampler
from asd_monitor.commissioning.schedule import Progress
from asd_monitor.commissioning.store import CommissioningStore
from asd_monitor.config.machine_settings import AlarmSettings
from asd_monitor.features.windows import Window
from asd_monitor.model_store.bundle import load_bundle
from asd_monitor.monitor import Monitor
from asd_monitor.pipeline import Pipeline
from tests.doubles.blocks import block_at
from tests.doubles.command_line import CommandResult, run_command
from tests.doubles.synthetic_sounds import machine_sound, write
from tests.doubles.unmeasured_sensitivity import unmeasured_sensitivity


@pytest.fixture(autouse=True)
def _umask_restored() -> Iterator[None]:
    """Restore the umask, which `run` sets for the process that these tests share."""
    before = os.umask(0o022)
    os.umask(before)
    yield
    os.umask(before)


@pytest.fixture(scope="session")
def normal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of two recordings of normal sound, of 35 s each.  Read only."""
    folder = tmp_path_factory.mktemp("normal")
    for n in range(2):
        write(folder / f"{n}.flac", machine_sound(35.0, seed=n))
    return folder


@pytest.fixture(scope="session")
def training(normal: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[CommandResult, Path]:
    """The result of training fan01 v1 on `normal`, and the models folder."""
    models = tmp_path_factory.mktemp("trained") / "models"
    result = run_command("train", "--machine", "fan01", "--normal", normal, "--models", models)
    assert result.code == 0, result.err
    return result, models


@pytest.fixture
def trained(training: tuple[CommandResult, Path]) -> Path:
    """A models folder with fan01 v1.  Read only: see `own_models`."""
    return training[1]


@pytest.fixture
def own_models(trained: Path, tmp_path: Path) -> Path:
    """A copy of `trained` that a test may change."""
    return Path(shutil.copytree(trained, tmp_path / "own-models"))


@pytest.fixture(scope="session")
def trained_without_encoder(normal: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A models folder with another fan01 v1.  Read only."""
    models = tmp_path_factory.mktemp("trained-without-encoder") / "models"
    train = ("train", "-m", "fan01", "-n", normal, "--models", models)
    with unmeasured_sensitivity():
        result = run_command(*train, "--no-shipped-encoder")
    assert result.code == 0, result.err
    return models


@pytest.fixture(scope="session")
def fault(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recording with 25 s of normal sound and 20 s of a fault.  Read only."""
    healthy, faulty = machine_sound(25.0, seed=5), machine_sound(20.0, seed=6, fault=1.0)
    return write(tmp_path_factory.mktemp("fault") / "fault.wav", np.concatenate([healthy, faulty]))


@pytest.fixture
def commissioned(own_models: Path, tmp_path: Path) -> Path:
    """A state folder with live blocks of fan01 v1."""
    bundle = load_bundle(own_models, "fan01")
    sampler = BlockSampler(bundle.detector, 16_000, seed="fan01")
    pipeline = Pipeline(bundle.detector)
    windows: list[Window] = []
    pipeline.tap = windows.extend
    monitor = Monitor(pipeline, alarm_rule(AlarmSettings().criteria, bundle.detector), 16_000)
    readings = monitor.push(block_at(0, machine_sound(150.0, seed=9)))
    sampler.push(windows, readings, lambda sample: 1.7e9 + sample / 16_000)
    store = CommissioningStore(tmp_path / "state/commissioning/fan01")
    progress = Progress(bundle.sha256, "v1", 1.7e9, 2.5 * 86_400)
    store.begin(progress)
    key = feature_key(bundle.detector)
    sampler.end()
    store.write(progress, sampler.take(), key=key, layout=sampler.layout)
    return tmp_path / "state"
