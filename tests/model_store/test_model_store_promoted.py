"""The versions that a person has put into use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from asd_monitor.errors import OperationError
from asd_monitor.model_store.bundle import load_bundle, save_bundle
from asd_monitor.model_store.catalogue import export, promote, rollback
from asd_monitor.model_store.promoted import (
    PROMOTED,
    approved_manifests,
    promoted_manifests,
    promoted_versions,
)
from tests.doubles.bundled_detector import bundle_detector


def sha256(models: Path, version: str) -> str:
    return load_bundle(models, "fan01", version).sha256


def test_a_trained_version_was_put_into_use_by_no_person(models: Path) -> None:
    assert promoted_manifests(models, "fan01") == set()


def test_each_version_that_was_promoted_is_listed_once(models: Path) -> None:
    save_bundle(models, "fan01", bundle_detector(), {}, {})
    rollback(models, "fan01")
    for version in ("v2", "v1", "v2"):
        promote(models, "fan01", version)
    listed = (models / "fan01" / PROMOTED).read_text().splitlines()
    assert listed == [f"{version} {sha256(models, version)}" for version in ("v1", "v2")]
    assert promoted_manifests(models, "fan01") == {sha256(models, v) for v in ("v1", "v2")}


def test_a_flipped_digit_does_not_hide_a_promoted_version(models: Path) -> None:
    promote(models, "fan01", "v1")
    path, names = models / "fan01" / PROMOTED, {"v1", sha256(models, "v1")}
    content = path.read_bytes()
    for position in range(len(content) - 1):
        path.write_bytes(content[:position] + b"7" + content[position + 1 :])
        try:
            assert promoted_versions(models, "fan01") & names, position
        except OperationError:  # then nothing is deleted
            continue


def test_a_version_that_was_left_for_an_older_one_is_not_approved_until_it_is_promoted_again(
    models: Path,
) -> None:
    save_bundle(models, "fan01", bundle_detector(), {}, {})
    promote(models, "fan01", "v2")
    promote(models, "fan01", "v1")
    assert approved_manifests(models, "fan01") == {sha256(models, "v1")}
    promote(models, "fan01", "v2")
    assert approved_manifests(models, "fan01") == {sha256(models, v) for v in ("v1", "v2")}


def test_an_exported_version_is_listed_where_it_was_put_into_use(
    models: Path, tmp_path: Path
) -> None:
    assert export(models, "fan01", None, tmp_path / "other") == "v1"
    assert promoted_manifests(tmp_path / "other", "fan01") == {sha256(models, "v1")}
    assert promoted_manifests(models, "fan01") == set()


@pytest.mark.parametrize("content", [b"v1\n", b"\xff", b"v1 " + b"0" * 63 + b"\n"])
def test_a_damaged_list_is_refused_and_a_version_can_still_be_promoted(
    models: Path, content: bytes
) -> None:
    (models / "fan01" / PROMOTED).write_bytes(content)
    with pytest.raises(OperationError, match="promote again what is to be kept"):
        promoted_manifests(models, "fan01")
    assert promote(models, "fan01", "v1").version == "v1"


def test_a_list_that_is_no_file_is_an_error_with_a_remedy(models: Path) -> None:
    os.mkfifo(models / "fan01" / PROMOTED)
    with pytest.raises(OperationError, match=r"is not a regular file.*: delete it"):
        promote(models, "fan01", "v1")
