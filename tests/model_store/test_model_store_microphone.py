"""The baseline of the microphone in a bundle: an optional file."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from asd_monitor.microphone.sample_counter import SampleFaults
from asd_monitor.model_store.array_file import array_file_bytes
from asd_monitor.model_store.bundle import load_bundle, save_bundle
from asd_monitor.model_store.catalogue import export
from asd_monitor.model_store.manifest import MICROPHONE
from asd_monitor.model_store.versions import BundleError
from tests.doubles.bundle_files import edit_manifest
from tests.doubles.bundled_detector import bundle_detector
from tests.doubles.microphone_spectra import OFF_DB, SHAPE_DB, baseline_of, piece_of

BASELINE = baseline_of(
    [piece_of(SHAPE_DB), piece_of(OFF_DB, mode=-1)],
    SampleFaults(constant_runs=4, clipped_share=1e-3, missing_share=0.2),
)


@pytest.fixture
def judging(tmp_path: Path) -> Path:
    """Return a folder with a bundle whose microphone is judged."""
    detector = replace(bundle_detector(), microphone=BASELINE)
    save_bundle(tmp_path, "fan01", detector, {"trained": "today"}, {})
    return tmp_path


def replace_file(folder: Path, content: bytes) -> None:
    """Replace the baseline of a bundle, and its hash."""
    (folder / MICROPHONE).write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    edit_manifest(folder, lambda manifest: manifest["files"].update({MICROPHONE: digest}))


def test_a_loaded_bundle_has_the_baseline_that_was_saved(judging: Path) -> None:
    bundle = load_bundle(judging, "fan01")
    loaded = bundle.detector.microphone
    assert loaded is not None
    assert loaded.samples == BASELINE.samples
    assert loaded.front_end == bundle.detector.front_end
    for name, array in BASELINE.arrays().items():
        assert np.array_equal(loaded.arrays()[name], array)
    assert bundle.manifest["microphone"]["modes"] == 2


@pytest.mark.parametrize(("runs", "share"), [(4, 1.0), (0, 0.0)])
def test_of_a_bundle_without_the_missing_share_any_is_usual_where_runs_are(
    judging: Path, runs: int, share: float
) -> None:
    def edit(manifest: dict[str, Any]) -> None:
        manifest["microphone"]["constant_runs"] = runs
        del manifest["microphone"]["missing_share"]

    edit_manifest(judging / "fan01/v1", edit)
    loaded = load_bundle(judging, "fan01").detector.microphone
    assert loaded is not None
    assert loaded.samples.missing_share == share


def test_an_exported_version_has_the_baseline(judging: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    export(judging, "fan01", None, other)
    exported = load_bundle(other, "fan01").detector.microphone
    assert exported is not None
    assert np.array_equal(exported.quietest, BASELINE.quietest)


def test_a_bundle_without_a_baseline_has_no_judgement(models: Path) -> None:
    bundle = load_bundle(models, "fan01")
    assert bundle.detector.microphone is None
    assert "microphone" not in bundle.manifest
    assert not (models / "fan01/v1" / MICROPHONE).exists()


def test_a_baseline_that_was_changed_is_refused(judging: Path) -> None:
    path = judging / "fan01/v1" / MICROPHONE
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(BundleError, match=r"microphone\.npz was changed"):
        load_bundle(judging, "fan01")


def test_a_missing_file_is_refused(judging: Path) -> None:
    (judging / "fan01/v1" / MICROPHONE).unlink()
    with pytest.raises(BundleError, match=r"microphone\.npz is missing"):
        load_bundle(judging, "fan01")


@pytest.mark.parametrize("part", ["entry", "file"])
def test_an_entry_and_its_file_belong_together(judging: Path, part: str) -> None:
    def remove(manifest: dict[str, object]) -> None:
        files = manifest["files"]
        assert isinstance(files, dict)
        if part == "entry":
            manifest.pop("microphone")
        else:
            files.pop(MICROPHONE)

    edit_manifest(judging / "fan01/v1", remove)
    with pytest.raises(BundleError, match="do not belong together"):
        load_bundle(judging, "fan01")


@pytest.mark.parametrize("name", ["typical", "lines"])
def test_arrays_that_do_not_fit_are_refused(judging: Path, name: str) -> None:
    arrays = BASELINE.arrays()
    replace_file(judging / "fan01/v1", array_file_bytes({**arrays, name: arrays[name][:, :-1]}))
    with pytest.raises(BundleError, match=r"microphone\.npz is invalid: ranges"):
        load_bundle(judging, "fan01")


def test_a_missing_array_is_refused(judging: Path) -> None:
    arrays = BASELINE.arrays()
    del arrays["quietest"]
    replace_file(judging / "fan01/v1", array_file_bytes(arrays))
    with pytest.raises(BundleError, match=r"microphone\.npz is invalid: 'quietest'"):
        load_bundle(judging, "fan01")


def test_counts_beyond_their_bounds_are_refused(judging: Path) -> None:
    def exceed(manifest: dict[str, object]) -> None:
        entry = manifest["microphone"]
        assert isinstance(entry, dict)
        entry["clipped_share"] = 2.0

    edit_manifest(judging / "fan01/v1", exceed)
    with pytest.raises(BundleError, match="clipped_share"):
        load_bundle(judging, "fan01")
