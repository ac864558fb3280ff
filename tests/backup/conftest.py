"""A box and its backup."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from asd_monitor.backup.archive import read_archive
from asd_monitor.backup.restoring import Restored, restore_backup
from asd_monitor.backup.sources import BoxFolders
from asd_monitor.backup.writing import write_backup
from tests.doubles.filled_box import FilledBox, fill_box

NOW = datetime(2026, 11, 28, 18, 0, 0, tzinfo=UTC)
STAMP = "20261128T180000Z"


def restore(archive: Path, folders: BoxFolders) -> list[Restored]:
    """Restore an archive."""
    with archive.open("rb") as file:
        return restore_backup(file, read_archive(file), folders, stamp=STAMP)


@pytest.fixture(scope="session")
def filled(tmp_path_factory: pytest.TempPathFactory) -> FilledBox:
    """A box.  Read only."""
    return fill_box(tmp_path_factory.mktemp("filled"))


@pytest.fixture(scope="session")
def written(filled: FilledBox, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its backup.  Read only."""
    file = tmp_path_factory.mktemp("backup") / "hall.tar"
    write_backup(file, filled.folders, box="edge-07", now=NOW, secrets={filled.password})
    return file


@pytest.fixture
def own(filled: FilledBox, tmp_path: Path) -> FilledBox:
    """A copy of the box that a test may change."""
    folder = tmp_path / "own"
    shutil.copytree(filled.models.parent, folder)
    return FilledBox(
        BoxFolders(folder / "models", folder / "state", folder / "hall.yaml"),
        folder / "state" / "broker.secret",
    )
