"""Bundles: complete or absent, restored exactly."""

import hashlib
import json
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from asd_monitor.detector.idle import MARGIN_BELOW_DB
from asd_monitor.model_store.atomic_files import writing_to
from asd_monitor.model_store.bundle import load_bundle, save_bundle
from asd_monitor.model_store.versions import (
    MANIFEST,
    current_version,
    machines_with_models,
    next_version,
    set_current,
    versions,
)
from tests.doubles.bundled_detector import bundle_detector, bundle_windows


def _current(models: Path) -> str | None:
    current = current_version(models, "fan01")
    return None if current is None else current.name


def test_a_loaded_bundle_gives_the_scores_of_the_saved_detector(models: Path) -> None:
    bundle = load_bundle(models, "fan01")
    assert (bundle.machine, bundle.version) == ("fan01", "v1")
    assert bundle.manifest["trained"] == "today"
    assert bundle.detector.front_end == bundle_detector().front_end
    assert bundle.detector.calibration == bundle_detector().calibration
    evidence = bundle.detector.evidence_calibration
    assert evidence.to_json() == bundle_detector().evidence_calibration.to_json()
    before, after = (
        bundle_detector().score(bundle_windows()),
        bundle.detector.score(bundle_windows()),
    )
    assert [w.fused for w in after] == pytest.approx([w.fused for w in before], abs=1e-4)
    assert [w.evidence for w in after] == pytest.approx([w.evidence for w in before], abs=1e-4)
    assert [w.score for w in after] == pytest.approx([w.score for w in before], abs=1e-4)
    assert (models / "fan01/v1/report.html").read_text() == "<p>"


def test_the_quietest_training_level_is_kept(models: Path) -> None:
    quietest = min(window.rms_dbfs for window in bundle_windows())
    detector = load_bundle(models, "fan01").detector
    assert detector.quietest_dbfs == quietest
    assert detector.is_quiet(quietest - MARGIN_BELOW_DB - 0.1)
    assert not detector.is_quiet(quietest - MARGIN_BELOW_DB)


def test_the_manifest_has_the_hash_of_every_other_file(models: Path) -> None:
    folder = models / "fan01/v1"
    listed = json.loads((folder / MANIFEST).read_text())["files"]
    assert {p.name for p in folder.iterdir()} == {*listed, MANIFEST}
    for name, digest in listed.items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest


def test_a_new_version_leaves_the_older_ones_unchanged(models: Path) -> None:
    before = {p: p.read_bytes() for p in (models / "fan01/v1").iterdir()}
    assert save_bundle(models, "fan01", bundle_detector(), {}, {}) == "v2"
    assert versions(models, "fan01") == ["v1", "v2"]
    assert _current(models) == "v2"
    assert {p: p.read_bytes() for p in (models / "fan01/v1").iterdir()} == before
    set_current(models, "fan01", "v1", load_bundle(models, "fan01", "v1").sha256)
    assert load_bundle(models, "fan01").version == "v1"
    assert load_bundle(models, "fan01", "v2").version == "v2"
    assert machines_with_models(models) == ["fan01"]


def test_versions_are_ordered_by_number(tmp_path: Path) -> None:
    for number in (9, 10):
        (tmp_path / f"fan01/v{number}").mkdir(parents=True)
        (tmp_path / f"fan01/v{number}" / MANIFEST).touch()
    assert next_version(tmp_path, "fan01") == "v11"


@pytest.mark.parametrize("call", range(1, 6))
def test_a_version_whose_writing_fails_is_absent(
    models: Path, monkeypatch: pytest.MonkeyPatch, call: int
) -> None:
    """The n-th write fails: the version before stays in use and can be loaded."""
    calls = 0
    real = os.fsync

    def fsync(handle: int) -> None:
        nonlocal calls
        calls += 1
        if calls == call:
            raise OSError(28, "No space left on device")
        real(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(OSError, match="No space"):
        save_bundle(models, "fan01", bundle_detector(), {}, {"report.html": "<p>"})
    monkeypatch.undo()
    for version in versions(models, "fan01"):
        load_bundle(models, "fan01", version)
    assert load_bundle(models, "fan01").version == "v1"
    assert [p.name for p in (models / "fan01").glob(".v*")] == []


def test_a_version_appears_atomically(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def rename(self: Path, target: Path) -> Path:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(Path, "rename", rename)
    with pytest.raises(OSError, match="Input/output"):
        save_bundle(models, "fan01", bundle_detector(), {}, {})
    assert sorted(p.name for p in (models / "fan01").iterdir()) == ["current", "v1"]


def test_models_of_one_name_differ_by_their_hash(models: Path) -> None:
    before = load_bundle(models, "fan01").sha256
    assert load_bundle(models, "fan01").sha256 == before
    shutil.rmtree(models / "fan01")
    assert save_bundle(models, "fan01", bundle_detector(), {"trained": "tomorrow"}, {}) == "v1"
    assert load_bundle(models, "fan01").sha256 != before


def test_leftovers_of_interrupted_trainings_are_removed_by_the_next_one(models: Path) -> None:
    home = models / "fan01"
    (home / ".v2.12345.partial").mkdir()
    (home / ".v2.12345.partial/views.npz").touch()
    (home / ".current.12345.partial").touch()
    save_bundle(models, "fan01", bundle_detector(), {}, {})
    assert {path.name for path in home.iterdir()} == {"current", "v1", "v2"}


def test_simultaneous_trainings_wait_for_each_other(models: Path) -> None:
    """What another process is writing is not removed, and no name is taken twice."""
    with writing_to(models / "fan01"):
        unfinished = models / "fan01/.v2.12345.partial"
        unfinished.mkdir()
        pool = ThreadPoolExecutor()
        saved = [
            pool.submit(save_bundle, models, "fan01", bundle_detector(), {}, {}) for _ in range(2)
        ]
        with pytest.raises(TimeoutError):
            saved[0].result(timeout=0.2)
        assert unfinished.is_dir()
        unfinished.rename(models / "fan01/v2")
        (models / "fan01/v2" / MANIFEST).touch()
    assert {each.result() for each in saved} == {"v3", "v4"}
