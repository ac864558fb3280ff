"""A trained machine and recordings of it, shared by all tests of the whole system."""

from pathlib import Path

import pytest

from tests.doubles.run_process import asd_monitor, write_sound


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with recordings and, in `models`, fan01 v1.  Read only.

    `normal.flac` has 90 s of normal sound and `calm.flac` 40 s; `fault.flac` has 70 s with a fault
    from 30 s on.
    """
    folder = tmp_path_factory.mktemp("trained")
    write_sound(folder / "normal.flac", 90, seed=1)
    write_sound(folder / "calm.flac", 40, seed=2)
    write_sound(folder / "fault.flac", 70, seed=3, fault_from_s=30.0)
    models = ("--models", folder / "models")
    asd_monitor(
        *("train", "--machine", "fan01", "--normal", folder / "normal.flac", *models),
        timeout_s=240.0,  # each worker trains one, at the same time
    )
    return folder
