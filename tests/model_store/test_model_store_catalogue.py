"""The catalogue: versions listed, rolled back and copied with their networks."""

import errno
import os
import shutil
from pathlib import Path

import pytest

from asd_monitor.errors import OperationError
from asd_monitor.model_store.atomic_files import os_errors_reported
from asd_monitor.model_store.bundle import load_bundle, save_bundle
from asd_monitor.model_store.catalogue import export, list_versions, rollback
from asd_monitor.model_store.encoder_files import FOLDER, encoder_path
from asd_monitor.model_store.versions import (
    MANIFEST,
    CurrentVersion,
    current_version,
    versions,
)
from tests.doubles.encoder_detector import encoder_detector, plain_detector, toy_encoders


@pytest.fixture
def models(tmp_path: Path) -> Path:
    save_bundle(tmp_path, "fan01", encoder_detector(), {}, {})
    return tmp_path


def damage_network(models: Path) -> None:
    path = encoder_path(models, toy_encoders()[0].sha256)
    path.write_bytes(path.read_bytes()[:-1])


def test_export_copies_the_networks(models: Path, tmp_path: Path) -> None:
    into = tmp_path / "elsewhere"
    assert export(models, "fan01", None, into) == "v1"
    shutil.rmtree(models / "fan01")
    shutil.rmtree(models / FOLDER)
    assert len(load_bundle(into, "fan01").detector.encoders) == 2


def test_export_restores_a_network_that_is_missing_there(models: Path, tmp_path: Path) -> None:
    into = tmp_path / "elsewhere"
    export(models, "fan01", None, into)
    shutil.rmtree(into / FOLDER)
    assert export(models, "fan01", None, into) == "v1"
    load_bundle(into, "fan01")


def test_export_of_a_damaged_network_is_refused(models: Path, tmp_path: Path) -> None:
    damage_network(models)
    with pytest.raises(OperationError, match="hash differs"):
        export(models, "fan01", None, tmp_path / "elsewhere")
    assert not (tmp_path / "elsewhere").exists()


def test_rollback_selects_a_version_whose_networks_are_valid(models: Path) -> None:
    for detector in (plain_detector(), encoder_detector(), encoder_detector()):
        save_bundle(models, "fan01", detector, {}, {})
    damage_network(models)
    problems = [entry.problem for entry in list_versions(models, "fan01")]
    assert [problem is None for problem in problems] == [False, True, False, False]
    rolled_back = rollback(models, "fan01")
    assert rolled_back.version == "v2"
    assert current_version(models, "fan01") == CurrentVersion("v2", rolled_back.sha256)


def test_export_whose_writing_fails_leaves_the_folder_without_a_version(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def rename(self: Path, target: Path) -> Path:
        raise OSError(5, "Input/output error", str(target))

    monkeypatch.setattr(Path, "rename", rename)
    into = tmp_path / "elsewhere"
    with pytest.raises(OperationError, match=r"Input/output error.*choose a folder"):
        export(models, "fan01", None, into)
    assert versions(into, "fan01") == []
    assert list((into / "fan01").iterdir()) == []


def test_export_under_a_name_that_is_taken_gets_the_next_number(
    models: Path, tmp_path: Path
) -> None:
    into = tmp_path / "elsewhere"
    save_bundle(into, "fan01", plain_detector(), {}, {})
    assert export(models, "fan01", "v1", into) == "v2"
    exported = load_bundle(into, "fan01")
    assert (exported.version, len(exported.detector.encoders)) == ("v2", 2)
    assert (into / "fan01/v1" / MANIFEST).exists()


def test_a_folder_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OperationError, match=r"nowhere: cannot be accessed \(No such file"):
        list_versions(tmp_path / "nowhere")


def test_a_rollback_without_a_model_recommends_training_into_the_same_folder(
    tmp_path: Path,
) -> None:
    with pytest.raises(OperationError, match=f"asd-monitor train .*--models {tmp_path}"):
        rollback(tmp_path, "fan01")


@pytest.mark.parametrize(
    ("number", "remedy"),
    [
        (errno.ENOENT, "correct the path, or grant access"),
        (errno.ENOTDIR, "a file where a folder is needed: grant access"),
        (errno.ENOSPC, "free some space, or grant access"),
        (errno.EACCES, "grant access"),
    ],
)
def test_the_remedy_fits_the_error_of_the_file_system(
    number: int, remedy: str, tmp_path: Path
) -> None:
    with (
        pytest.raises(OperationError) as caught,
        os_errors_reported(tmp_path, "cannot be written", "grant access"),
    ):
        raise OSError(number, os.strerror(number), str(tmp_path / ".current.17.partial"))
    message = str(caught.value)
    assert message.startswith(f"{tmp_path}: cannot be written ({os.strerror(number)}): ")
    assert message.endswith(remedy)
