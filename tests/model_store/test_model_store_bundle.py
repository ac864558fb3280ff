"""Bundles: complete or absent, restored exactly, and refused if damaged or changed."""

import functools
import hashlib
import io
import json
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from asd_monitor.detector.detector import Detector
from asd_monitor.detector.fit import fit_detector
from asd_monitor.dsp.front_end import front_end_for
from asd_monitor.features.windows import Window
from asd_monitor.model_store.bundle import load_bundle, save_bundle
from asd_monitor.model_store.manifest import ARRAYS, FORMAT
from asd_monitor.model_store.versions import (
    MANIFEST,
    BundleError,
    current_version,
    machines_with_models,
    next_version,
    set_current,
    versions,
)
from asd_monitor.pipeline import WindowExtractor
from tests.doubles.blocks import block_at
from tests.doubles.command_line import without_privileges
from tests.doubles.synthetic_sounds import machine_sound


@functools.cache
def _windows() -> list[Window]:
    return WindowExtractor(front_end_for(16_000)).push(block_at(0, machine_sound(30.0)))


@functools.cache
def _detector() -> Detector:
    return fit_detector([_windows()], front_end_for(16_000), 16_000).detector


@pytest.fixture
def models(tmp_path: Path) -> Path:
    save_bundle(tmp_path, "fan01", _detector(), {"trained": "today"}, {"report.html": "<p>"})
    return tmp_path


def test_a_loaded_bundle_gives_the_scores_of_the_saved_detector(models: Path) -> None:
    bundle = load_bundle(models, "fan01")
    assert (bundle.machine, bundle.version) == ("fan01", "v1")
    assert bundle.manifest["trained"] == "today"
    assert bundle.detector.front_end == _detector().front_end
    assert bundle.detector.calibration == _detector().calibration
    assert bundle.detector.sustained_calibration == _detector().sustained_calibration
    before, after = _detector().score(_windows()), bundle.detector.score(_windows())
    assert [w.fused for w in after] == pytest.approx([w.fused for w in before], abs=1e-4)
    assert (models / "fan01/v1/report.html").read_text() == "<p>"


def test_the_manifest_has_the_hash_of_every_other_file(models: Path) -> None:
    folder = models / "fan01/v1"
    listed = json.loads((folder / MANIFEST).read_text())["files"]
    assert {p.name for p in folder.iterdir()} == {*listed, MANIFEST}
    for name, digest in listed.items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest


def test_a_new_version_leaves_the_older_ones_unchanged(models: Path) -> None:
    before = {p: p.read_bytes() for p in (models / "fan01/v1").iterdir()}
    assert save_bundle(models, "fan01", _detector(), {}, {}) == "v2"
    assert versions(models, "fan01") == ["v1", "v2"]
    assert current_version(models, "fan01") == "v2"
    assert {p: p.read_bytes() for p in (models / "fan01/v1").iterdir()} == before
    set_current(models, "fan01", "v1")
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
        save_bundle(models, "fan01", _detector(), {}, {"report.html": "<p>"})
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
        save_bundle(models, "fan01", _detector(), {}, {})
    assert sorted(p.name for p in (models / "fan01").iterdir()) == ["current", "v1"]


def _edit(change: Callable[[dict[str, Any]], None]) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        manifest = json.loads((folder / MANIFEST).read_text())
        change(manifest)
        (folder / MANIFEST).write_text(json.dumps(manifest))

    return damage


def _arrays(change: Callable[[dict[str, np.ndarray]], object]) -> Callable[[Path], None]:
    """Change the arrays and their hash in the manifest, as an attacker would."""

    def damage(folder: Path) -> None:
        with np.load(folder / ARRAYS) as stored:
            arrays = dict(stored)
        change(arrays)
        buffer = io.BytesIO()
        np.savez(buffer, **arrays)
        (folder / ARRAYS).write_bytes(buffer.getvalue())
        digest = hashlib.sha256(buffer.getvalue()).hexdigest()
        _edit(lambda m: m["files"].update({ARRAYS: digest}))(folder)

    return damage


def _tamper(folder: Path) -> None:
    data = bytearray((folder / ARRAYS).read_bytes())
    data[len(data) // 2] ^= 1
    (folder / ARRAYS).write_bytes(bytes(data))


def _pickle(folder: Path) -> None:
    (folder / ARRAYS).write_bytes(pickle.dumps({"level.points": [1.0]}))
    digest = hashlib.sha256((folder / ARRAYS).read_bytes()).hexdigest()
    _edit(lambda m: m["files"].update({ARRAYS: digest}))(folder)


def _set_first(arrays: dict[str, np.ndarray], value: object) -> None:
    name = next(iter(arrays))
    arrays[name] = np.full_like(arrays[name], value)


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "tampered": (_tamper, "hash differs"),
    "arrays missing": (lambda f: (f / ARRAYS).unlink(), f"{ARRAYS} is missing"),
    "report missing": (lambda f: (f / "report.html").unlink(), "report.html is missing"),
    "manifest missing": (lambda f: (f / MANIFEST).unlink(), f"{MANIFEST} is missing"),
    "truncated manifest": (lambda f: (f / MANIFEST).write_text('{"format"'), "damaged"),
    "manifest is a list": (lambda f: (f / MANIFEST).write_text("[]"), "damaged"),
    "another format": (_edit(lambda m: m.update(format=FORMAT + 1)), f"format {FORMAT + 1}"),
    "no format": (_edit(lambda m: m.pop("format")), "format None"),
    "unknown view": (_edit(lambda m: m["views"][0].update(name="other")), "other"),
    "another back end": (_edit(lambda m: m["views"][0].update(back_end="x")), "another version"),
    "NaN in the tail": (_edit(lambda m: m["tail"].update(scale=float("nan"))), "NaN"),
    "text in the front end": (_edit(lambda m: m["front_end"].update(hop_frames="x")), "front end"),
    "no hop": (_edit(lambda m: m["front_end"].update(hop_frames=0)), "front end"),
    "a file outside the folder": (_edit(lambda m: m["files"].update({"../x": ""})), "outside"),
    "arrays not listed": (_edit(lambda m: m["files"].pop(ARRAYS)), "does not list"),
    "NaN in an array": (_arrays(lambda a: _set_first(a, np.nan)), "not finite numbers"),
    "an array missing": (_arrays(dict.popitem), "damaged"),
    "pickle": (_pickle, "damaged"),
    "objects in the arrays": (
        _arrays(lambda a: a.update(bad=np.array([{}], dtype=object))),
        "damaged",
    ),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_bundle_is_refused_with_a_remedy_in_one_line(models: Path, name: str) -> None:
    damage, reason = DAMAGES[name]
    damage(models / "fan01/v1")
    with pytest.raises(BundleError) as refused:
        load_bundle(models, "fan01")
    assert reason in refused.value.reason
    assert "fan01" in refused.value.reason
    assert "\n" not in refused.value.reason
    assert "rollback" in refused.value.reason or "train" in refused.value.reason


def test_a_machine_without_model_is_refused_with_the_train_command(
    tmp_path: Path,
) -> None:
    with pytest.raises(BundleError, match=r"no model of fan01.*asd-monitor train"):
        load_bundle(tmp_path, "fan01")


@pytest.mark.parametrize("text", [b"../v1\n", b"\xff\xfe", b"", b"v\n"])
def test_a_malformed_current_is_refused(models: Path, text: bytes) -> None:
    (models / "fan01/current").write_bytes(text)
    with pytest.raises(BundleError, match="current"):
        load_bundle(models, "fan01")


def test_a_current_that_names_a_missing_version_is_refused(models: Path) -> None:
    shutil.rmtree(models / "fan01/v1")
    with pytest.raises(BundleError, match=r"no model of fan01 .* train"):
        load_bundle(models, "fan01")


def test_a_missing_version_is_refused_with_the_available_ones(models: Path) -> None:
    with pytest.raises(BundleError, match="no version v99: it has v1"):
        load_bundle(models, "fan01", "v99")


def test_a_missing_current_is_refused_with_the_promote_command(
    models: Path,
) -> None:
    (models / "fan01/current").unlink()
    with pytest.raises(BundleError, match="models promote --machine fan01 --version v1 --models"):
        load_bundle(models, "fan01")


def test_the_remedy_for_damage_is_a_rollback_if_there_is_an_older_version(
    models: Path,
) -> None:
    (models / "fan01/v1/views.npz").unlink()
    with pytest.raises(BundleError, match="train again with"):
        load_bundle(models, "fan01")
    shutil.copytree(models / "fan01/v1", models / "fan01/v2")
    with pytest.raises(BundleError, match="rollback"):
        load_bundle(models, "fan01", "v2")


def test_an_endless_file_is_refused(models: Path) -> None:
    (models / "fan01/v1" / ARRAYS).unlink()
    (models / "fan01/v1" / ARRAYS).symlink_to("/dev/zero")
    with pytest.raises(BundleError, match="larger than 256 MiB"):
        load_bundle(models, "fan01")


def test_a_missing_permission_is_reported(open_folder: Path) -> None:
    save_bundle(open_folder, "fan01", _detector(), {}, {})
    (open_folder / "fan01/v1" / ARRAYS).chmod(0)
    with without_privileges(), pytest.raises(BundleError, match="no permission"):
        load_bundle(open_folder, "fan01")
