"""Networks as views of a detector, and kept with its bundles."""

import functools
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.doubles.command_line import without_privileges
from tests.doubles.synthetic_networks import maps_card, maps_network, wave_card, wave_network
from tests.doubles.synthetic_sounds import machine_sound

from asd_monitor.detector.detector import Detector
from asd_monitor.detector.fit import fit_detector
from asd_monitor.detector.views import VIEW_KINDS, encoder_views
from asd_monitor.dsp.front_end import front_end_for
from asd_monitor.encoders.card import card_of
from asd_monitor.encoders.session import GpuError
from asd_monitor.encoders.encoder import Encoder
from asd_monitor.errors import OperationError
from asd_monitor.model_store.bundle import (
    MANIFEST,
    BundleError,
    current_version,
    load_bundle,
    machines_with_models,
    save_bundle,
    versions,
)
from asd_monitor.model_store.catalogue import entries, export, rollback
from asd_monitor.model_store.encoder_files import FOLDER, encoder_path
from asd_monitor.pipeline import Pipeline, WindowExtractor
from asd_monitor.records import Block

FRONT_END = front_end_for(16_000)
VIEWS = [
    {"name": f"toy.{back_end}", "outputs": ["near"], "back_end": back_end}
    for back_end in ("mahalanobis", "neighbour", "residual", "largest")
]


@functools.cache
def _encoders() -> tuple[Encoder, ...]:
    return (
        Encoder.from_bytes(maps_network(), card_of(maps_card(views=VIEWS), "toy")),
        Encoder.from_bytes(wave_network(), card_of(wave_card(), "wavy")),
    )


@functools.cache
def _detector() -> Detector:
    windows = WindowExtractor(FRONT_END, 16_000, _encoders()).push(Block(0, machine_sound(30.0)))
    return fit_detector([windows], FRONT_END, 16_000, _encoders()).detector


@pytest.fixture
def models(tmp_path: Path) -> Path:
    save_bundle(tmp_path, "fan01", _detector(), {}, {})
    return tmp_path


def _paths(models: Path) -> list[Path]:
    return [encoder_path(models, encoder.sha256) for encoder in _encoders()]


def test_the_views_of_a_card_join_those_of_the_statistics() -> None:
    kinds = [view.kind for view in _detector().views]
    statistics, encoded = kinds[: len(VIEW_KINDS)], kinds[len(VIEW_KINDS) :]
    assert statistics == list(VIEW_KINDS)
    assert {kind.encoder for kind in statistics} == {None}
    assert [(kind.name, kind.encoder, kind.back_end.kind) for kind in encoded] == [
        ("toy.mahalanobis", "toy", "mahalanobis"),
        ("toy.neighbour", "toy", "neighbour"),
        ("toy.residual", "toy", "residual"),
        ("toy.largest", "toy", "largest"),
        ("wavy", "wavy", "neighbour"),
    ]
    assert all("network toy" in kind.description for kind in encoder_views(_encoders()[0].card))


def test_a_fault_is_new_to_the_networks_too() -> None:
    calm = Pipeline(_detector(), 16_000).push(Block(0, machine_sound(10.0, seed=8)))
    wrong = Pipeline(_detector(), 16_000).push(Block(0, machine_sound(10.0, seed=8, fault=1.0)))
    for name in (*(view["name"] for view in VIEWS), "wavy"):
        before, after = ([w.views[name] for w in scores] for scores in (calm, wrong))
        assert np.median(after) > np.median(before) + 1, name


def test_it_comes_back_as_it_was(models: Path) -> None:
    detector = load_bundle(models, "fan01").detector
    assert [(e.card, e.onnx) for e in detector.encoders] == [(e.card, e.onnx) for e in _encoders()]
    assert [v.kind for v in detector.views] == [v.kind for v in _detector().views]
    sound = Block(0, machine_sound(6.0, seed=9))
    before, after = (Pipeline(d, 16_000).push(sound) for d in (_detector(), detector))
    assert [w.fused for w in after] == pytest.approx([w.fused for w in before], abs=1e-4)


def test_a_network_is_kept_once_for_all_versions_and_machines(models: Path) -> None:
    before = {path: path.stat() for path in _paths(models)}
    save_bundle(models, "fan01", _detector(), {}, {})
    save_bundle(models, "pump02", _detector(), {}, {})
    assert {p: p.stat().st_mtime_ns for p in (models / FOLDER).iterdir()} == {
        path: stat.st_mtime_ns for path, stat in before.items()
    }
    for path in before:
        assert hashlib.sha256(path.read_bytes()).hexdigest() == path.stem
    assert machines_with_models(models) == ["fan01", "pump02"]
    one, other = (load_bundle(models, m).detector.encoders[0] for m in ("fan01", "pump02"))
    assert one.network is other.network


def test_nobody_is_told_to_train_anew_since_the_gpu_is_missing(
    models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(encoder: Encoder) -> None:
        raise GpuError("no GPU: see nvidia-smi")

    monkeypatch.setattr(Encoder, "open", refuse)
    with pytest.raises(BundleError, match=r"v1: no GPU: see nvidia-smi$"):
        load_bundle(models, "fan01")


def test_the_manifest_names_them(models: Path) -> None:
    told = load_bundle(models, "fan01").manifest["encoders"]
    assert [(e["name"], e["sha256"]) for e in told] == [(e.name, e.sha256) for e in _encoders()]
    assert told[0]["card"]["licence"] == "CC0-1.0"


@pytest.mark.parametrize("call", [1, 2])
def test_cut_off_while_a_network_is_kept_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: int
) -> None:
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
        save_bundle(tmp_path, "fan01", _detector(), {}, {})
    monkeypatch.undo()
    assert versions(tmp_path, "fan01") == []
    assert [p.name for p in (tmp_path / FOLDER).iterdir() if p.suffix != ".onnx"] == []
    save_bundle(tmp_path, "fan01", _detector(), {}, {})
    load_bundle(tmp_path, "fan01")


def _edit(change: Callable[[dict[str, Any]], None]) -> Callable[[Path], None]:
    def damage(models: Path) -> None:
        path = models / "fan01/v1" / MANIFEST
        manifest = json.loads(path.read_text())
        change(manifest["encoders"][0])
        path.write_text(json.dumps(manifest))

    return damage


def _tamper(models: Path) -> None:
    path = _paths(models)[0]
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


def _no_network(models: Path) -> None:
    """Not a network, and named rightly, as an attacker would."""
    sha256 = hashlib.sha256(b"nothing").hexdigest()
    encoder_path(models, sha256).write_bytes(b"nothing")
    _edit(lambda entry: entry.update(sha256=sha256))(models)


DAMAGES: dict[str, tuple[Callable[[Path], None], str]] = {
    "missing": (lambda m: _paths(m)[0].unlink(), "is missing, the network toy"),
    "folder missing": (lambda m: shutil.rmtree(m / FOLDER), "is missing, the network toy"),
    "tampered": (_tamper, "its hash differs"),
    "another one": (
        lambda m: _paths(m)[0].write_bytes(_paths(m)[1].read_bytes()),
        "its hash differs",
    ),
    "no network": (_no_network, "cannot read it"),
    "a path instead of a hash": (
        _edit(lambda entry: entry.update(sha256="../../etc/passwd")),
        "is no hash",
    ),
    "a hash that is no text": (_edit(lambda entry: entry.update(sha256=1)), "damaged"),
    "no card": (_edit(lambda entry: entry.pop("card")), "damaged"),
    "a card of another": (_edit(lambda entry: entry.update(card=wave_card())), "no output 'map'"),
    "a damaged card": (
        _edit(lambda entry: entry["card"].update(views=1)),
        "views: 1 is not a list",
    ),
    "a view gone": (_edit(lambda entry: entry["card"].update(views=[])), "damaged"),
    "that does not fit": (
        _edit(lambda entry: entry["card"]["outputs"][1].update(reach=300)),
        "needs windows of",
    ),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_what_is_damaged_is_refused_in_one_line(models: Path, name: str) -> None:
    damage, told = DAMAGES[name]
    damage(models)
    with pytest.raises(BundleError) as refused:
        load_bundle(models, "fan01")
    assert told in refused.value.reason
    assert "fan01" in refused.value.reason
    assert "\n" not in refused.value.reason
    assert "train anew" in refused.value.reason


def test_training_anew_mends_a_damaged_network(models: Path) -> None:
    _tamper(models)
    save_bundle(models, "fan01", _detector(), {}, {})
    load_bundle(models, "fan01")
    load_bundle(models, "fan01", "v1")


def test_no_permission_is_said(open_folder: Path) -> None:
    save_bundle(open_folder, "fan01", _detector(), {}, {})
    _paths(open_folder)[0].chmod(0)
    with without_privileges(), pytest.raises(BundleError, match="no permission"):
        load_bundle(open_folder, "fan01")


def test_the_runtime_is_loaded_only_for_a_model_that_has_a_network(models: Path) -> None:
    plain = Detector(FRONT_END, (), _detector().calibration, _detector().sustained_calibration, None)
    save_bundle(models, "pump02", plain, {}, {})
    code = (
        "import sys, pathlib; from asd_monitor.model_store.bundle import load_bundle;"
        "from asd_monitor.monitor import Monitor;"
        "load_bundle(pathlib.Path(sys.argv[1]), sys.argv[2]);"
        "print('onnxruntime' in sys.modules)"
    )
    told = [
        subprocess.run(
            [sys.executable, "-c", code, models, machine],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for machine in ("pump02", "fan01")
    ]
    assert told == ["False", "True"]


def test_the_runtime_tells_its_makers_nothing(models: Path, tmp_path: Path) -> None:
    """Where it does, it writes an id of this computer into the user's cache folder."""
    code = (
        "import sys, pathlib; from asd_monitor.model_store.bundle import load_bundle;"
        "[encoder.open() for encoder in"
        " load_bundle(pathlib.Path(sys.argv[1]), 'fan01').detector.encoders]"
    )
    home = tmp_path / "home"
    home.mkdir()
    silent = {"CI", "ORT_DISABLE_TELEMETRY", "XDG_CACHE_HOME"}  # the first two silence it too
    environment = {key: value for key, value in os.environ.items() if key not in silent}
    subprocess.run(
        [sys.executable, "-c", code, models], env=environment | {"HOME": str(home)}, check=True
    )
    assert list(home.iterdir()) == []


# the catalogue


def test_export_takes_the_networks_along(models: Path, tmp_path: Path) -> None:
    into = tmp_path / "elsewhere"
    assert export(models, "fan01", None, into) == "v1"
    shutil.rmtree(models / "fan01")
    shutil.rmtree(models / FOLDER)
    assert len(load_bundle(into, "fan01").detector.encoders) == 2


def test_export_mends_what_is_missing_there(models: Path, tmp_path: Path) -> None:
    into = tmp_path / "elsewhere"
    export(models, "fan01", None, into)
    shutil.rmtree(into / FOLDER)
    assert export(models, "fan01", None, into) == "v1"
    load_bundle(into, "fan01")


def test_export_of_a_damaged_network_is_refused(models: Path, tmp_path: Path) -> None:
    _tamper(models)
    with pytest.raises(OperationError, match="hash differs"):
        export(models, "fan01", None, tmp_path / "elsewhere")
    assert not (tmp_path / "elsewhere").exists()


def test_rollback_goes_to_a_version_whose_networks_are_there(models: Path) -> None:
    plain = Detector(FRONT_END, (), _detector().calibration, _detector().sustained_calibration, None)
    for detector in (plain, _detector(), _detector()):
        save_bundle(models, "fan01", detector, {}, {})
    _tamper(models)
    problems = [entry.problem for entry in entries(models, "fan01")]
    assert [problem is None for problem in problems] == [False, True, False, False]
    assert rollback(models, "fan01").version == "v2"
    assert current_version(models, "fan01") == "v2"
