"""A bundle is complete or absent, and nothing that was not written by us is believed."""

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
from tests.doubles.command_line import without_privileges
from tests.doubles.synthetic_sounds import machine_sound

from asd_monitor.detector.detector import Detector
from asd_monitor.detector.fit import fit_detector
from asd_monitor.dsp.front_end import front_end_for
from asd_monitor.features.windows import Window
from asd_monitor.model_store import bundle as bundle_module
from asd_monitor.model_store.bundle import (
    ARRAYS,
    FORMAT,
    MANIFEST,
    BundleError,
    current_version,
    load_bundle,
    machines_with_models,
    next_version,
    save_bundle,
    set_current,
    versions,
)
from asd_monitor.pipeline import SoundWindows
from asd_monitor.records import Block


@functools.cache
def _windows() -> list[Window]:
    return SoundWindows(front_end_for(16_000), 16_000).push(Block(0, machine_sound(30.0)))


@functools.cache
def _detector() -> Detector:
    return fit_detector([_windows()], front_end_for(16_000), 16_000).detector


@pytest.fixture
def models(tmp_path: Path) -> Path:
    save_bundle(tmp_path, "fan01", _detector(), {"trained": "today"}, {"report.html": "<p>"})
    return tmp_path


def test_it_comes_back_as_it_was(models: Path) -> None:
    bundle = load_bundle(models, "fan01")
    assert (bundle.machine, bundle.version) == ("fan01", "v1")
    assert bundle.manifest["trained"] == "today"
    assert bundle.detector.front_end == _detector().front_end
    assert bundle.detector.tail == _detector().tail
    assert bundle.detector.sustained == _detector().sustained
    before, after = _detector().judge(_windows()), bundle.detector.judge(_windows())
    assert [w.fused for w in after] == pytest.approx([w.fused for w in before], abs=1e-4)
    assert (models / "fan01/v1/report.html").read_text() == "<p>"


def test_every_other_file_is_hashed(models: Path) -> None:
    folder = models / "fan01/v1"
    listed = json.loads((folder / MANIFEST).read_text())["files"]
    assert {p.name for p in folder.iterdir()} == {*listed, MANIFEST}
    for name, digest in listed.items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest


def test_versions_are_numbered_and_never_changed(models: Path) -> None:
    before = {p: p.read_bytes() for p in (models / "fan01/v1").iterdir()}
    assert save_bundle(models, "fan01", _detector(), {}, {}) == "v2"
    assert versions(models, "fan01") == ["v1", "v2"]
    assert current_version(models, "fan01") == "v2"
    assert {p: p.read_bytes() for p in (models / "fan01/v1").iterdir()} == before
    set_current(models, "fan01", "v1")
    assert load_bundle(models, "fan01").version == "v1"
    assert load_bundle(models, "fan01", "v2").version == "v2"
    assert machines_with_models(models) == ["fan01"]


def test_v10_follows_v9(tmp_path: Path) -> None:
    for number in (9, 10):
        (tmp_path / f"fan01/v{number}").mkdir(parents=True)
        (tmp_path / f"fan01/v{number}" / MANIFEST).touch()
    assert next_version(tmp_path, "fan01") == "v11"


@pytest.mark.parametrize("call", range(1, 6))
def test_cut_off_anywhere_it_is_absent(
    models: Path, monkeypatch: pytest.MonkeyPatch, call: int
) -> None:
    """The power goes at the n-th write: the version before stays in use and loads."""
    calls = 0
    real = os.fsync

    def fsync(handle: int) -> None:
        nonlocal calls
        calls += 1
        if calls == call:
            raise OSError(28, "No space left on device")
        real(handle)

    monkeypatch.setattr(bundle_module.os, "fsync", fsync)
    with pytest.raises(OSError, match="No space"):
        save_bundle(models, "fan01", _detector(), {}, {"report.html": "<p>"})
    monkeypatch.undo()
    for version in versions(models, "fan01"):
        load_bundle(models, "fan01", version)
    assert load_bundle(models, "fan01").version == "v1"
    assert [p.name for p in (models / "fan01").glob(".v*")] == []


def test_a_version_appears_all_at_once(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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
    """Change the arrays and hash them anew, as an attacker would."""

    def damage(folder: Path) -> None:
        with np.load(folder / ARRAYS) as stored:
            arrays = dict(stored)
        change(arrays)
        buffer = io.BytesIO()
        np.savez(buffer, **arrays)  # type: ignore[arg-type] # arrays by name
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


DAMAGES: dict[str, tuple[Callable[[Path], None], str]] = {
    "tampered": (_tamper, "hash differs"),
    "arrays missing": (lambda f: (f / ARRAYS).unlink(), f"{ARRAYS} is missing"),
    "report missing": (lambda f: (f / "report.html").unlink(), "report.html is missing"),
    "manifest missing": (lambda f: (f / MANIFEST).unlink(), f"{MANIFEST} is missing"),
    "manifest cut off": (lambda f: (f / MANIFEST).write_text('{"format"'), "damaged"),
    "manifest is a list": (lambda f: (f / MANIFEST).write_text("[]"), "damaged"),
    "another format": (_edit(lambda m: m.update(format=FORMAT + 1)), f"format {FORMAT + 1}"),
    "no format": (_edit(lambda m: m.pop("format")), "format None"),
    "unknown view": (_edit(lambda m: m["views"][0].update(name="smell")), "smell"),
    "another back end": (_edit(lambda m: m["views"][0].update(back_end="x")), "another"),
    "NaN in the tail": (_edit(lambda m: m["tail"].update(scale=float("nan"))), "NaN"),
    "text in the front end": (_edit(lambda m: m["front_end"].update(hop_frames="x")), "front end"),
    "no hop": (_edit(lambda m: m["front_end"].update(hop_frames=0)), "front end"),
    "a file elsewhere": (_edit(lambda m: m["files"].update({"../x": ""})), "elsewhere"),
    "arrays not listed": (_edit(lambda m: m["files"].pop(ARRAYS)), "lists no"),
    "NaN in an array": (_arrays(lambda a: _set_first(a, np.nan)), "no number"),
    "an array missing": (_arrays(dict.popitem), "damaged"),
    "pickle": (_pickle, "damaged"),
    "objects in the arrays": (
        _arrays(lambda a: a.update(bad=np.array([{}], dtype=object))),
        "damaged",
    ),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_what_is_damaged_is_refused_in_one_line(models: Path, name: str) -> None:
    damage, told = DAMAGES[name]
    damage(models / "fan01/v1")
    with pytest.raises(BundleError) as refused:
        load_bundle(models, "fan01")
    assert told in refused.value.reason
    assert "fan01" in refused.value.reason
    assert "\n" not in refused.value.reason
    assert "rollback" in refused.value.reason or "train" in refused.value.reason


def test_no_model_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"no model of fan01.*asd-monitor train"):
        load_bundle(tmp_path, "fan01")


@pytest.mark.parametrize("text", [b"../v1\n", b"\xff\xfe", b"", b"v\n"])
def test_a_current_that_names_no_version_is_refused(models: Path, text: bytes) -> None:
    (models / "fan01/current").write_bytes(text)
    with pytest.raises(BundleError, match="current"):
        load_bundle(models, "fan01")


def test_a_current_whose_version_is_gone_is_refused(models: Path) -> None:
    shutil.rmtree(models / "fan01/v1")
    with pytest.raises(BundleError, match=r"no model of fan01 .* train"):
        load_bundle(models, "fan01")


def test_a_version_that_is_not_there_is_told_with_those_that_are(models: Path) -> None:
    with pytest.raises(BundleError, match="no version v99: it has v1"):
        load_bundle(models, "fan01", "v99")


def test_a_lost_current_is_mended_by_promoting(models: Path) -> None:
    (models / "fan01/current").unlink()
    with pytest.raises(BundleError, match="models promote --machine fan01 --version v1 --models"):
        load_bundle(models, "fan01")


def test_the_mend_is_one_that_works(models: Path) -> None:
    (models / "fan01/v1/views.npz").unlink()
    with pytest.raises(BundleError, match="train anew with"):
        load_bundle(models, "fan01")
    shutil.copytree(models / "fan01/v1", models / "fan01/v2")
    with pytest.raises(BundleError, match="rollback"):
        load_bundle(models, "fan01", "v2")


def test_an_endless_file_is_not_read_to_its_end(
    models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundle_module, "LARGEST_FILE", 100)
    with pytest.raises(BundleError, match="larger than any"):
        load_bundle(models, "fan01")


def test_no_permission_is_said(open_folder: Path) -> None:
    save_bundle(open_folder, "fan01", _detector(), {}, {})
    (open_folder / "fan01/v1" / ARRAYS).chmod(0)
    with without_privileges(), pytest.raises(BundleError, match="no permission"):
        load_bundle(open_folder, "fan01")
