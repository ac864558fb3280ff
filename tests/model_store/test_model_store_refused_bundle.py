"""Bundles that are missing, changed, misplaced or not readable are refused with a remedy."""

import json
import os
import shutil
import tracemalloc
from pathlib import Path

import pytest

from asd_monitor.model_store.bundle import load_bundle, save_bundle
from asd_monitor.model_store.manifest import ARRAYS, FORMAT
from asd_monitor.model_store.usable_version import load_usable_bundle
from asd_monitor.model_store.versions import (
    MANIFEST,
    BundleError,
    next_version,
    versions,
)
from tests.doubles.bundled_detector import bundle_detector
from tests.doubles.command_line import without_privileges


def test_a_machine_without_model_is_refused_with_the_train_command(
    tmp_path: Path,
) -> None:
    with pytest.raises(BundleError, match=r"no model of fan01.*asd-monitor train"):
        load_bundle(tmp_path, "fan01")


@pytest.mark.parametrize("text", [b"../v1\n", b"\xff\xfe", b"", b"v\n", b"v1\n", b"v1 x\n"])
def test_a_malformed_current_is_refused(models: Path, text: bytes) -> None:
    (models / "fan01/current").write_bytes(text)
    with pytest.raises(BundleError, match="current"):
        load_bundle(models, "fan01")


def test_a_current_that_names_a_missing_version_is_refused(models: Path) -> None:
    shutil.rmtree(models / "fan01/v1")
    with pytest.raises(BundleError, match=r"no model of fan01 .* train"):
        load_bundle(models, "fan01")
    save_bundle(models, "fan01", bundle_detector(), {}, {})
    (models / "fan01/current").write_text(f"v9 {'0' * 64}\n")
    with pytest.raises(BundleError, match=r"no version v9, it has v1: .*models promote"):
        load_bundle(models, "fan01")


def test_a_missing_version_is_refused_with_the_available_ones(models: Path) -> None:
    with pytest.raises(BundleError, match="no version v99, it has v1: choose a version"):
        load_bundle(models, "fan01", "v99")


def test_a_missing_current_is_refused_with_the_promote_command(
    models: Path,
) -> None:
    (models / "fan01/current").unlink()
    with pytest.raises(BundleError, match="models promote fan01 v1 --models"):
        load_bundle(models, "fan01")


def test_the_remedy_for_damage_is_a_rollback_if_there_is_an_older_version(
    models: Path,
) -> None:
    (models / "fan01/v1/views.npz").unlink()
    with pytest.raises(BundleError, match="train again with"):
        load_bundle(models, "fan01")
    save_bundle(models, "fan01", bundle_detector(), {}, {})
    (models / "fan01/v2/views.npz").unlink()
    with pytest.raises(BundleError, match="rollback"):
        load_bundle(models, "fan01", "v2")


def test_an_endless_file_is_refused(models: Path) -> None:
    (models / "fan01/v1" / ARRAYS).unlink()
    (models / "fan01/v1" / ARRAYS).symlink_to("/dev/zero")
    with pytest.raises(BundleError, match="not a regular file"):
        load_bundle(models, "fan01")


def test_a_missing_permission_is_reported(open_folder: Path) -> None:
    save_bundle(open_folder, "fan01", bundle_detector(), {}, {})
    (open_folder / "fan01/v1" / ARRAYS).chmod(0)
    with without_privileges(), pytest.raises(BundleError, match="no permission"):
        load_bundle(open_folder, "fan01")


def test_models_of_a_folder_that_may_not_be_passed_are_reported(open_folder: Path) -> None:
    save_bundle(open_folder, "fan01", bundle_detector(), {}, {})
    open_folder.chmod(0)  # Python before 3.13 raises where it searches the folder
    with without_privileges(), pytest.raises(BundleError, match="no permission"):
        load_usable_bundle(open_folder, "fan01")


def test_a_version_that_may_not_be_read_is_one(open_folder: Path) -> None:
    save_bundle(open_folder, "fan01", bundle_detector(), {}, {})
    (open_folder / "fan01/v2").mkdir()  # without a manifest
    (open_folder / "fan01/v1").chmod(0)
    with without_privileges():
        assert versions(open_folder, "fan01") == ["v1"]
        assert next_version(open_folder, "fan01") == "v2"


@pytest.mark.parametrize("name", [MANIFEST, ARRAYS, "report.html"])
def test_a_fifo_in_place_of_a_file_is_refused(models: Path, name: str) -> None:
    (models / "fan01/v1" / name).unlink()
    os.mkfifo(models / "fan01/v1" / name)
    with pytest.raises(BundleError, match="not a regular file"):
        load_bundle(models, "fan01")


def test_a_file_is_read_with_the_memory_of_its_size(models: Path) -> None:
    tracemalloc.start()
    try:
        load_bundle(models, "fan01")
        assert tracemalloc.get_traced_memory()[1] < 50 * 2**20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("place", [0.1, 0.5, 0.9])
def test_a_manifest_edited_by_hand_is_refused(models: Path, place: float) -> None:
    path = models / "fan01/v1" / MANIFEST
    text = path.read_text()
    digits = [n for n, char in enumerate(text) if char.isdigit()]
    at = digits[int(place * len(digits))]
    path.write_text(f"{text[:at]}{(int(text[at]) + 1) % 10}{text[at + 1 :]}")
    with pytest.raises(BundleError, match=f"{MANIFEST} was changed after it was written"):
        load_bundle(models, "fan01")


def test_a_manifest_without_its_hash_is_refused(models: Path) -> None:
    path = models / "fan01/v1" / MANIFEST
    manifest = json.loads(path.read_text())
    del manifest["sha256"]
    path.write_text(json.dumps(manifest, indent=1))
    with pytest.raises(BundleError, match=f"{MANIFEST} was changed .* hash is missing"):
        load_bundle(models, "fan01")


def test_a_bundle_of_the_format_before_is_refused_with_the_command_that_replaces_it(
    models: Path,
) -> None:
    path = models / "fan01/v1" / MANIFEST
    manifest = json.loads(path.read_text())
    del manifest["sha256"]
    path.write_text(json.dumps(manifest | {"format": FORMAT - 1}, indent=1))
    (models / "fan01/current").write_text("v1\n")
    command = f"asd-monitor train --machine fan01 --models {models} --normal PATH"
    with pytest.raises(BundleError, match=f"format {FORMAT - 1}, .*{command}"):
        load_bundle(models, "fan01")


def test_a_current_that_names_another_version_than_was_chosen_is_refused(models: Path) -> None:
    save_bundle(models, "fan01", bundle_detector(), {"trained": "later"}, {})
    path = models / "fan01/current"
    path.write_text(path.read_text().replace("v2", "v1"))
    with pytest.raises(BundleError, match=r"unknown which version is in use.*models promote"):
        load_bundle(models, "fan01")


def test_a_bundle_copied_to_another_machine_is_refused(models: Path) -> None:
    shutil.copytree(models / "fan01", models / "pump02")
    with pytest.raises(BundleError, match=r"is a model of fan01.*train --machine pump02"):
        load_bundle(models, "pump02")


def test_a_bundle_under_the_name_of_another_version_is_refused(models: Path) -> None:
    shutil.copytree(models / "fan01/v1", models / "fan01/v2")
    with pytest.raises(BundleError, match="is version v1 of fan01 under another name"):
        load_bundle(models, "fan01", "v2")
