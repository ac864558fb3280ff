"""Damaged models folders: the last good version is used, and never another model unnoticed."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from asd_monitor.model_store import encoder_files
from asd_monitor.model_store.bundle import load_bundle, save_bundle
from asd_monitor.model_store.encoder_files import FOLDER
from asd_monitor.model_store.manifest import ARRAYS, REFERENCE
from asd_monitor.model_store.reference_file import StoredReference
from asd_monitor.model_store.usable_version import load_usable_bundle
from asd_monitor.model_store.versions import CURRENT, MANIFEST, BundleError, set_current
from tests.doubles.bundled_detector import bundle_detector
from tests.doubles.encoder_detector import encoder_detector


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Versions v1 to v4, of which v3 is in use, and v2 is a candidate.  Read only."""
    models = tmp_path_factory.mktemp("written")
    for number in range(1, 5):
        facts = {"trained": str(number), "candidate": number == 2}
        documents = {"report.html": "<p>a report"}
        save_bundle(models, "fan01", bundle_detector(), facts, documents, reference=reference())
    set_current(models, "fan01", "v3", load_bundle(models, "fan01", "v3").sha256)
    return models


@pytest.fixture
def models(written: Path, tmp_path: Path) -> Path:
    """A copy that a test may change."""
    return Path(shutil.copytree(written, tmp_path / "models"))


def reference() -> StoredReference:
    one = np.zeros(1, np.float32)
    integer = np.zeros(1, np.int64)
    return StoredReference(
        {"spectrum": np.ones((1, 8), np.float16)}, one, integer, integer + 9, integer, one, one
    )


def damaged(content: bytes, *, seed: int, flips: int | None = None) -> Iterator[bytes]:
    """Yield the content with one flipped bit, at each byte or at so many, and cut."""
    rng = random.Random(seed)
    size = len(content)
    for position in range(size) if flips is None else rng.sample(range(size), flips):
        flipped = bytearray(content)
        flipped[position] ^= 1 << rng.randrange(8)
        yield bytes(flipped)
    for end in {0, 1, size // 2, size - 1}:
        yield content[:end]


def test_an_intact_folder_has_no_damage(models: Path) -> None:
    bundle = load_usable_bundle(models, "fan01")
    assert (bundle.version, bundle.damage, bundle.is_current) == ("v3", None, True)


def test_the_version_in_use_is_found_from_a_flipped_current(models: Path) -> None:
    path = models / "fan01" / CURRENT
    content = path.read_bytes()
    seen = set()
    rng = random.Random(1)
    for position in range(len(content)):
        flipped = bytearray(content)
        flipped[position] ^= 1 << rng.randrange(8)
        path.write_bytes(flipped)
        bundle = load_usable_bundle(models, "fan01")
        seen.add((bundle.is_current, bundle.damage is None))
        assert bundle.version == "v3", bytes(flipped)
        assert bundle.is_current == (bundle.damage is None)
    assert seen <= {(False, False), (True, True)}
    assert (False, False) in seen


@pytest.mark.parametrize("content", [None, b"", b"\0" * 68, b"v99 " + b"0" * 64, b"x" * 5000])
def test_without_current_the_newest_good_version_is_used(
    models: Path, content: bytes | None
) -> None:
    path = models / "fan01" / CURRENT
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    bundle = load_usable_bundle(models, "fan01")
    assert (bundle.version, bundle.is_current) == ("v4", False)
    assert bundle.damage is not None
    assert bundle.damage.startswith("v4 is used in place of the model in use: ")
    assert "models promote" in bundle.damage or "train" in bundle.damage


def test_a_current_that_is_cut_is_not_taken_for_another(models: Path) -> None:
    path = models / "fan01" / CURRENT
    content = path.read_bytes()
    for end in range(len(content) - 1):
        path.write_bytes(content[:end])
        bundle = load_usable_bundle(models, "fan01")
        if end < 2:
            assert bundle.version == "v4"
        else:
            assert bundle.version == "v3"
        if end not in {2, 3}:  # the form without a hash, which an earlier version wrote
            assert bundle.damage is not None, content[:end]


@pytest.mark.parametrize(
    ("name", "flips"), [(MANIFEST, 120), (ARRAYS, 60), (REFERENCE, 40), ("report.html", None)]
)
def test_the_version_before_a_damaged_one_is_used(
    models: Path, name: str, flips: int | None
) -> None:
    """That is v1: v2 is a candidate, and v4 was rolled back."""
    path = models / "fan01/v3" / name
    for content in damaged(path.read_bytes(), seed=2, flips=flips):
        path.write_bytes(content)
        bundle = load_usable_bundle(models, "fan01")
        assert (bundle.version, bundle.is_current) == ("v1", False)
        assert "v1 is used in place of the model in use: " in (bundle.damage or "")
    path.unlink()
    assert load_usable_bundle(models, "fan01").version == "v1"


def test_a_candidate_that_is_in_use_is_found(models: Path) -> None:
    set_current(models, "fan01", "v2", "0" * 64)
    assert load_usable_bundle(models, "fan01").version == "v2"


def test_where_no_version_is_good_the_reason_is_that_of_the_one_in_use(models: Path) -> None:
    for folder in (models / "fan01").glob("v*"):
        (folder / ARRAYS).unlink()
    with pytest.raises(BundleError, match=r"v3: views.npz is missing"):
        load_usable_bundle(models, "fan01")
    with pytest.raises(BundleError, match="no model of pump02"):
        load_usable_bundle(models, "pump02")


def test_damaged_networks_are_refused_or_replaced_by_that_of_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models, package = tmp_path / "models", tmp_path / "package"
    save_bundle(models, "fan01", encoder_detector(), {}, {})
    path = sorted((models / FOLDER).iterdir())[0]
    package.mkdir()
    shutil.copy(path, package / "encoder.onnx")
    intact = load_bundle(models, "fan01")
    contents = [*damaged(path.read_bytes(), seed=3, flips=20), None]
    for content in contents:
        path.unlink(missing_ok=True)
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(BundleError, match=r"hash differs|is missing"):
            load_usable_bundle(models, "fan01")
    monkeypatch.setattr(encoder_files, "SHIPPED_FOLDERS", (tmp_path / "absent", package))
    bundle = load_usable_bundle(models, "fan01")
    assert bundle.sha256 == intact.sha256
    assert [each.sha256 for each in bundle.detector.encoders] == [
        each.sha256 for each in intact.detector.encoders
    ]
    assert bundle.is_current
    assert "the same network of the package is used" in (bundle.damage or "")
