"""Bundles: complete or absent, restored exactly, and refused if damaged or changed."""

import functools
import hashlib
import io
import json
import math
import os
import pickle
import shutil
import tracemalloc
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from asd_monitor.detector.detector import Detector
from asd_monitor.detector.fit import fit_detector
from asd_monitor.detector.idle import MARGIN_BELOW_DB
from asd_monitor.dsp.front_end import front_end_for
from asd_monitor.features.windows import Window
from asd_monitor.model_store.atomic_files import writing_to
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
from tests.doubles.bundle_files import edit_manifest, write_arrays, write_manifest_text
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


def _current(models: Path) -> str | None:
    current = current_version(models, "fan01")
    return None if current is None else current.name


def test_a_loaded_bundle_gives_the_scores_of_the_saved_detector(models: Path) -> None:
    bundle = load_bundle(models, "fan01")
    assert (bundle.machine, bundle.version) == ("fan01", "v1")
    assert bundle.manifest["trained"] == "today"
    assert bundle.detector.front_end == _detector().front_end
    assert bundle.detector.calibration == _detector().calibration
    evidence = bundle.detector.evidence_calibration
    assert evidence.to_json() == _detector().evidence_calibration.to_json()
    before, after = _detector().score(_windows()), bundle.detector.score(_windows())
    assert [w.fused for w in after] == pytest.approx([w.fused for w in before], abs=1e-4)
    assert [w.evidence for w in after] == pytest.approx([w.evidence for w in before], abs=1e-4)
    assert [w.score for w in after] == pytest.approx([w.score for w in before], abs=1e-4)
    assert (models / "fan01/v1/report.html").read_text() == "<p>"


def test_the_quietest_training_level_is_kept_and_older_bundles_do_not_know_it(
    models: Path,
) -> None:
    quietest = min(window.rms_dbfs for window in _windows())
    detector = load_bundle(models, "fan01").detector
    assert detector.quietest_dbfs == quietest
    assert detector.is_quiet(quietest - MARGIN_BELOW_DB - 0.1)
    assert not detector.is_quiet(quietest - MARGIN_BELOW_DB)
    edit_manifest(models / "fan01/v1", lambda manifest: manifest.pop("quietest_dbfs"))
    detector = load_bundle(models, "fan01").detector
    assert detector.quietest_dbfs is None
    assert not detector.is_quiet(-300.0)


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


def _edit(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    return lambda folder: edit_manifest(folder, change)


def _arrays(change: Callable[[dict[str, np.ndarray]], object]) -> Callable[[Path], None]:
    """Change the arrays and the hashes."""

    def damage(folder: Path) -> None:
        with np.load(folder / ARRAYS) as stored:
            arrays = dict(stored)
        change(arrays)
        write_arrays(folder, _npz(arrays))

    return damage


def _npz(arrays: dict[str, np.ndarray], *, compressed: bool = False) -> bytes:
    buffer = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(buffer, allow_pickle=True, **arrays)
    return buffer.getvalue()


def _declared(header: bytes) -> Callable[[Path], None]:
    """Store an array file whose first array has this header and no numbers."""

    def damage(folder: Path) -> None:
        content = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.writestr("level.points.npy", content)
        write_arrays(folder, buffer.getvalue())

    return damage


def _tamper(folder: Path) -> None:
    data = bytearray((folder / ARRAYS).read_bytes())
    data[len(data) // 2] ^= 1
    (folder / ARRAYS).write_bytes(bytes(data))


def _damage_method(folder: Path) -> None:
    """Declare a method of compression that does not exist."""
    data = bytearray((folder / ARRAYS).read_bytes())
    directory = data.index(b"PK\x01\x02")
    data[directory + 10] = 77
    write_arrays(folder, bytes(data))


def _nest(folder: Path) -> None:
    write_manifest_text(folder, '{"format": 7, "x": ' + "[" * 100_000 + "]" * 100_000 + "}")


def _set_first(arrays: dict[str, np.ndarray], value: object) -> None:
    name = next(iter(arrays))
    arrays[name] = np.full_like(arrays[name], value)


def _set_type(arrays: dict[str, np.ndarray], dtype: type) -> None:
    arrays.update({name: array.astype(dtype) for name, array in arrays.items()})


def _shorten(arrays: dict[str, np.ndarray]) -> None:
    arrays["spectrum.mean"] = arrays["spectrum.mean"][:1]


def _divide_by_zero(arrays: dict[str, np.ndarray]) -> None:
    for name in ("texture.centre", "texture.scale"):
        arrays[name] = np.zeros_like(arrays[name])


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "tampered": (_tamper, "hash differs"),
    "arrays missing": (lambda f: (f / ARRAYS).unlink(), f"{ARRAYS} is missing"),
    "report missing": (lambda f: (f / "report.html").unlink(), "report.html is missing"),
    "manifest missing": (lambda f: (f / MANIFEST).unlink(), f"{MANIFEST} is missing"),
    "truncated manifest": (lambda f: (f / MANIFEST).write_text('{"format"'), "damaged"),
    "manifest is a list": (lambda f: (f / MANIFEST).write_text("[]"), "damaged"),
    "nested manifest": (_nest, "damaged (RecursionError"),
    "another format": (_edit(lambda m: m.update(format=FORMAT + 1)), f"format {FORMAT + 1}"),
    "an older format": (_edit(lambda m: m.update(format=5)), "format 5, written by"),
    "no format": (_edit(lambda m: m.pop("format")), "format None"),
    "unknown view": (_edit(lambda m: m["views"][0].update(name="other")), "other"),
    "no views": (_edit(lambda m: m.update(views=[])), "views"),
    "another back end": (_edit(lambda m: m["views"][0].update(back_end="x")), "another version"),
    "a view twice": (_edit(lambda m: m["views"].append(m["views"][0])), "level"),
    "NaN in a calibration": (_edit(lambda m: m["calibration"].update(scale=math.nan)), "NaN"),
    "a number that overflows": (
        _edit(lambda m: m["calibration"].update(scale=10**400)),
        "calibration.scale",
    ),
    "no degrees of freedom": (
        _edit(lambda m: m["calibration"].update(dof=0.0)),
        "calibration.dof",
    ),
    "a unit of 0": (
        _edit(lambda m: m["views"][2]["calibration"].update(unit=0.0)),
        "views.2.calibration.unit",
    ),
    "a view without centre": (
        _edit(lambda m: m["views"][2]["calibration"].pop("centre")),
        "views.2.calibration.centre",
    ),
    "a time scale missing": (_edit(lambda m: m["evidence"]["tails"].pop()), "time scales"),
    "a narrow tail": (
        _edit(lambda m: m["evidence"]["tails"][1].update(scale=-1.0)),
        "evidence.tails.1.scale",
    ),
    "modes of other bands": (
        _edit(lambda m: m["evidence"].update(modes=[[0.0], [1.0]])),
        "modes",
    ),
    "modes without calibration": (
        _edit(lambda m: m["evidence"].update(modes=[[0.0] * 128, [1.0] * 128])),
        "modes",
    ),
    "no bound of the effect": (
        _edit(lambda m: m["evidence"].update(effect_bound=0.0)),
        "evidence.effect_bound",
    ),
    "no hour": (_edit(lambda m: m["evidence"].update(hours=0)), "evidence.hours"),
    "text in the front end": (_edit(lambda m: m["front_end"].update(hop_frames="x")), "front_end"),
    "no hop": (_edit(lambda m: m["front_end"].update(hop_frames=0)), "front_end"),
    "a window of hours": (_edit(lambda m: m["front_end"].update(window_frames=10**6)), "front end"),
    "a huge frame": (_edit(lambda m: m["front_end"].update(frame=10**6)), "front end"),
    "other bands": (_edit(lambda m: m["front_end"].update(mel_bands=64)), "does not fit"),
    "another parameter": (_edit(lambda m: m["front_end"].update(gain=1)), "gain"),
    "a file outside the folder": (_edit(lambda m: m["files"].update({"../x": ""})), "files"),
    "arrays not listed": (_edit(lambda m: m["files"].pop(ARRAYS)), "does not list"),
    "a training without files": (_edit(lambda m: m.update(training={})), "training.seconds"),
    "NaN in an array": (_arrays(lambda a: _set_first(a, np.nan)), "not finite numbers"),
    "an array missing": (_arrays(dict.popitem), "in place of"),
    "a further array": (_arrays(lambda a: a.update(x=np.zeros(3, np.float32))), "no view"),
    "an array of doubles": (_arrays(lambda a: _set_type(a, np.float64)), "float32"),
    "an array of another shape": (_arrays(_shorten), "does not fit"),
    "scores that are not finite": (_arrays(_divide_by_zero), "not finite"),
    "pickle": (lambda f: write_arrays(f, pickle.dumps({"level.points": [1.0]})), "array file"),
    "objects in the arrays": (
        _arrays(lambda a: a.update(bad=np.array([{}], dtype=object))),
        "damaged",
    ),
    "arrays compressed": (
        lambda f: write_arrays(f, _npz({"x": np.zeros(2**20, np.float32)}, compressed=True)),
        "compressed",
    ),
    "an unknown method": (_damage_method, "compressed"),
    "terabytes declared": (
        _declared(b"{'descr': '<f4', 'fortran_order': False, 'shape': (999999999, 999999999), }\n"),
        "has not the size",
    ),
    "code in a header": (_declared(b"{'descr': __import__('os'), 'shape': (1,), }\n"), "float32"),
    "many arrays": (
        lambda f: write_arrays(f, _npz({str(n): np.zeros(1, np.float32) for n in range(3000)})),
        "more arrays than",
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


@pytest.mark.parametrize("text", [b"../v1\n", b"\xff\xfe", b"", b"v\n", b"v1\n", b"v1 x\n"])
def test_a_malformed_current_is_refused(models: Path, text: bytes) -> None:
    (models / "fan01/current").write_bytes(text)
    with pytest.raises(BundleError, match="current"):
        load_bundle(models, "fan01")


def test_a_current_that_names_a_missing_version_is_refused(models: Path) -> None:
    shutil.rmtree(models / "fan01/v1")
    with pytest.raises(BundleError, match=r"no model of fan01 .* train"):
        load_bundle(models, "fan01")
    save_bundle(models, "fan01", _detector(), {}, {})
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
    with pytest.raises(BundleError, match="models promote --machine fan01 --version v1 --models"):
        load_bundle(models, "fan01")


def test_the_remedy_for_damage_is_a_rollback_if_there_is_an_older_version(
    models: Path,
) -> None:
    (models / "fan01/v1/views.npz").unlink()
    with pytest.raises(BundleError, match="train again with"):
        load_bundle(models, "fan01")
    save_bundle(models, "fan01", _detector(), {}, {})
    (models / "fan01/v2/views.npz").unlink()
    with pytest.raises(BundleError, match="rollback"):
        load_bundle(models, "fan01", "v2")


def test_an_endless_file_is_refused(models: Path) -> None:
    (models / "fan01/v1" / ARRAYS).unlink()
    (models / "fan01/v1" / ARRAYS).symlink_to("/dev/zero")
    with pytest.raises(BundleError, match="not a regular file"):
        load_bundle(models, "fan01")


def test_a_missing_permission_is_reported(open_folder: Path) -> None:
    save_bundle(open_folder, "fan01", _detector(), {}, {})
    (open_folder / "fan01/v1" / ARRAYS).chmod(0)
    with without_privileges(), pytest.raises(BundleError, match="no permission"):
        load_bundle(open_folder, "fan01")


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
    save_bundle(models, "fan01", _detector(), {"trained": "later"}, {})
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


def test_models_of_one_name_differ_by_their_hash(models: Path) -> None:
    before = load_bundle(models, "fan01").sha256
    assert load_bundle(models, "fan01").sha256 == before
    shutil.rmtree(models / "fan01")
    assert save_bundle(models, "fan01", _detector(), {"trained": "tomorrow"}, {}) == "v1"
    assert load_bundle(models, "fan01").sha256 != before


def test_leftovers_of_interrupted_trainings_are_removed_by_the_next_one(models: Path) -> None:
    home = models / "fan01"
    (home / ".v2.12345.partial").mkdir()
    (home / ".v2.12345.partial/views.npz").touch()
    (home / ".current.12345.partial").touch()
    save_bundle(models, "fan01", _detector(), {}, {})
    assert {path.name for path in home.iterdir()} == {"current", "v1", "v2"}


def test_simultaneous_trainings_wait_for_each_other(models: Path) -> None:
    """What another process is writing is not removed, and no name is taken twice."""
    with writing_to(models / "fan01"):
        unfinished = models / "fan01/.v2.12345.partial"
        unfinished.mkdir()
        pool = ThreadPoolExecutor()
        saved = [pool.submit(save_bundle, models, "fan01", _detector(), {}, {}) for _ in range(2)]
        with pytest.raises(TimeoutError):
            saved[0].result(timeout=0.2)
        assert unfinished.is_dir()
        unfinished.rename(models / "fan01/v2")
        (models / "fan01/v2" / MANIFEST).touch()
    assert {each.result() for each in saved} == {"v3", "v4"}
