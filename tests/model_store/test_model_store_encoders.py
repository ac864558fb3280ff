"""Networks as views of a detector, and their storage beside the bundles."""

import hashlib
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from asd_monitor.detector.views import VIEW_KINDS, encoder_views
from asd_monitor.encoders import session
from asd_monitor.encoders.encoder import Encoder
from asd_monitor.encoders.runtime import Runtime
from asd_monitor.encoders.session import GpuError
from asd_monitor.model_store.bundle import Bundle, load_bundle, save_bundle
from asd_monitor.model_store.encoder_files import FOLDER, encoder_path
from asd_monitor.model_store.versions import (
    BundleError,
    machines_with_models,
    versions,
)
from asd_monitor.pipeline import Pipeline
from tests.doubles.blocks import block_at
from tests.doubles.bundle_files import edit_manifest
from tests.doubles.command_line import without_privileges
from tests.doubles.encoder_detector import VIEWS, encoder_detector, plain_detector, toy_encoders
from tests.doubles.synthetic_networks import wave_card
from tests.doubles.synthetic_sounds import machine_sound


@pytest.fixture
def models(tmp_path: Path) -> Path:
    save_bundle(tmp_path, "fan01", encoder_detector(), {}, {})
    return tmp_path


def _paths(models: Path) -> list[Path]:
    return [encoder_path(models, encoder.sha256) for encoder in toy_encoders()]


def test_the_views_of_a_card_follow_those_of_the_statistics() -> None:
    kinds = [view.kind for view in encoder_detector().views]
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
    assert all("network toy" in kind.description for kind in encoder_views(toy_encoders()[0].card))


def test_a_fault_raises_the_scores_of_encoder_views() -> None:
    normal = Pipeline(encoder_detector()).push(block_at(0, machine_sound(10.0, seed=8)))
    faulty = Pipeline(encoder_detector()).push(block_at(0, machine_sound(10.0, seed=8, fault=1.0)))
    for name in (*(view["name"] for view in VIEWS), "wavy"):
        before, after = ([w.views[name] for w in scores] for scores in (normal, faulty))
        assert np.median(after) > np.median(before) + 1, name


def test_a_loaded_bundle_gives_the_scores_of_the_saved_detector(models: Path) -> None:
    detector = load_bundle(models, "fan01").detector
    assert [(e.card, e.onnx) for e in detector.encoders] == [
        (e.card, e.onnx) for e in toy_encoders()
    ]
    assert [v.kind for v in detector.views] == [v.kind for v in encoder_detector().views]
    sound = block_at(0, machine_sound(6.0, seed=9))
    before, after = (Pipeline(d).push(sound) for d in (encoder_detector(), detector))
    assert [w.fused for w in after] == pytest.approx([w.fused for w in before], abs=1e-4)


def test_a_network_is_stored_once_for_all_versions_and_machines(models: Path) -> None:
    before = {path: path.stat() for path in _paths(models)}
    save_bundle(models, "fan01", encoder_detector(), {}, {})
    save_bundle(models, "pump02", encoder_detector(), {}, {})
    assert {p: p.stat().st_mtime_ns for p in (models / FOLDER).iterdir()} == {
        path: stat.st_mtime_ns for path, stat in before.items()
    }
    for path in before:
        assert hashlib.sha256(path.read_bytes()).hexdigest() == path.stem
    assert machines_with_models(models) == ["fan01", "pump02"]
    one, other = (load_bundle(models, m).detector.encoders[0] for m in ("fan01", "pump02"))
    assert one.network is other.network


def test_a_missing_gpu_is_reported_without_the_remedy_to_train(
    models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(encoder: Encoder) -> None:
        raise GpuError("no GPU: see nvidia-smi")

    monkeypatch.setattr(Encoder, "open", refuse)
    with pytest.raises(BundleError, match=r"v1: no GPU: see nvidia-smi$"):
        load_bundle(models, "fan01")


def test_the_manifest_refers_to_the_networks(models: Path) -> None:
    stored = load_bundle(models, "fan01").manifest["encoders"]
    assert [(e["name"], e["sha256"]) for e in stored] == [
        (e.name, e.sha256) for e in toy_encoders()
    ]
    assert stored[0]["card"]["licence"] == "CC0-1.0"


@pytest.mark.parametrize("call", [1, 2])
def test_a_network_whose_writing_fails_leaves_no_file(
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
        save_bundle(tmp_path, "fan01", encoder_detector(), {}, {})
    monkeypatch.undo()
    assert versions(tmp_path, "fan01") == []
    assert [p.name for p in (tmp_path / FOLDER).iterdir() if p.suffix != ".onnx"] == []
    save_bundle(tmp_path, "fan01", encoder_detector(), {}, {})
    load_bundle(tmp_path, "fan01")


def _edit(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    return lambda models: edit_manifest(models / "fan01/v1", lambda m: change(m["encoders"][0]))


def _tamper(models: Path) -> None:
    path = _paths(models)[0]
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


def _no_network(models: Path) -> None:
    """Not a network, stored under its own hash, as an attacker would."""
    sha256 = hashlib.sha256(b"nothing").hexdigest()
    encoder_path(models, sha256).write_bytes(b"nothing")
    _edit(lambda entry: entry.update(sha256=sha256))(models)


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (lambda m: _paths(m)[0].unlink(), "is missing, the network toy"),
    "not copied": (lambda m: shutil.rmtree(m / FOLDER), "copy the hidden folder .encoders of"),
    "folder missing": (lambda m: shutil.rmtree(m / FOLDER), "is missing, the network toy"),
    "tampered": (_tamper, "its hash differs"),
    "another network": (
        lambda m: _paths(m)[0].write_bytes(_paths(m)[1].read_bytes()),
        "its hash differs",
    ),
    "no network": (_no_network, "cannot be read as a network"),
    "a path instead of a hash": (
        _edit(lambda entry: entry.update(sha256="../../etc/passwd")),
        "encoders.0.sha256",
    ),
    "a hash that is not text": (_edit(lambda entry: entry.update(sha256=1)), "damaged"),
    "no card": (_edit(lambda entry: entry.pop("card")), "damaged"),
    "the card of another network": (
        _edit(lambda entry: entry.update(card=wave_card())),
        "no output 'map'",
    ),
    "a damaged card": (
        _edit(lambda entry: entry["card"].update(views=1)),
        "views: 1 is not a list",
    ),
    "a missing view": (_edit(lambda entry: entry["card"].update(views=[])), "damaged"),
    "too long a receptive field": (
        _edit(lambda entry: entry["card"]["outputs"][1].update(reach=300)),
        "needs windows of",
    ),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_encoder_is_refused_with_a_remedy_in_one_line(models: Path, name: str) -> None:
    damage, reason = DAMAGES[name]
    damage(models)
    with pytest.raises(BundleError) as refused:
        load_bundle(models, "fan01")
    assert reason in refused.value.reason
    assert "fan01" in refused.value.reason
    assert "\n" not in refused.value.reason
    assert "train again" in refused.value.reason


def test_saving_a_new_version_replaces_a_damaged_network(models: Path) -> None:
    _tamper(models)
    save_bundle(models, "fan01", encoder_detector(), {}, {})
    load_bundle(models, "fan01")
    load_bundle(models, "fan01", "v1")


def test_a_missing_permission_is_reported(open_folder: Path) -> None:
    save_bundle(open_folder, "fan01", encoder_detector(), {}, {})
    _paths(open_folder)[0].chmod(0)
    with without_privileges(), pytest.raises(BundleError, match="no permission"):
        load_bundle(open_folder, "fan01")


def test_onnxruntime_is_imported_only_for_a_model_with_a_network(models: Path) -> None:
    save_bundle(models, "pump02", plain_detector(), {}, {})
    code = (
        "import sys, pathlib; from asd_monitor.model_store.bundle import load_bundle;"
        "from asd_monitor.monitor import Monitor;"
        "load_bundle(pathlib.Path(sys.argv[1]), sys.argv[2]);"
        "print('onnxruntime' in sys.modules)"
    )
    imported = [
        subprocess.run(
            [sys.executable, "-c", code, models, machine],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for machine in ("pump02", "fan01")
    ]
    assert imported == ["False", "True"]


def test_onnxruntime_sends_no_telemetry(models: Path, tmp_path: Path) -> None:
    """With telemetry it writes an id of this computer to the user's cache folder."""
    code = (
        "import sys, pathlib; from asd_monitor.model_store.bundle import load_bundle;"
        "[encoder.open() for encoder in"
        " load_bundle(pathlib.Path(sys.argv[1]), 'fan01').detector.encoders]"
    )
    home = tmp_path / "home"
    home.mkdir()
    off = {"CI", "ORT_DISABLE_TELEMETRY", "XDG_CACHE_HOME"}  # the first two disable it too
    environment = {key: value for key, value in os.environ.items() if key not in off}
    subprocess.run(
        [sys.executable, "-c", code, models], env=environment | {"HOME": str(home)}, check=True
    )
    assert list(home.iterdir()) == []


def test_simultaneous_loads_share_one_session(
    models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    created = []
    create = session._create_session

    def count(*arguments: Any) -> Any:
        created.append(arguments)
        return create(*arguments)

    monkeypatch.setattr(session, "_create_session", count)
    runtime = Runtime(threads=2)  # no other test has sessions of it
    machines = [f"m{number}" for number in range(16)]
    for machine in machines:
        save_bundle(models, machine, encoder_detector(), {}, {})
    together = threading.Barrier(len(machines))

    def load(machine: str) -> Bundle:
        together.wait()
        return load_bundle(models, machine, runtime=runtime)

    with ThreadPoolExecutor(len(machines)) as pool:
        bundles = list(pool.map(load, machines))
    assert len(created) == 2  # of two networks
    for number in range(2):
        assert len({id(each.detector.encoders[number].network) for each in bundles}) == 1


def test_leftovers_of_interrupted_writes_are_removed_by_the_next_one(models: Path) -> None:
    leftover = models / FOLDER / f".{toy_encoders()[0].sha256}.onnx.12345.partial"
    leftover.touch()
    save_bundle(models, "fan01", encoder_detector(), {}, {})
    assert not leftover.exists()


@pytest.mark.slow
def test_a_model_is_loaded_in_an_address_space_of_700_mb(models: Path) -> None:
    code = (
        "import pathlib, resource, sys; from asd_monitor.model_store.bundle import load_bundle;"
        "resource.setrlimit(resource.RLIMIT_AS, (700 * 2**20,) * 2);"
        "load_bundle(pathlib.Path(sys.argv[1]), 'fan01')"
    )
    subprocess.run([sys.executable, "-c", code, models], check=True)
