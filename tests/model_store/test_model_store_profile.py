"""The profile of the training sound in a bundle: an optional file."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from asd_monitor.explanation.sound_analysis import analyse
from asd_monitor.explanation.sound_profile import SoundProfile, blocks_of, fit_profile
from asd_monitor.model_store.array_file import array_file_bytes
from asd_monitor.model_store.bundle import load_bundle, save_bundle, save_refit
from asd_monitor.model_store.catalogue import export
from asd_monitor.model_store.manifest import PROFILE
from asd_monitor.model_store.versions import BundleError
from tests.doubles.bundle_files import edit_manifest
from tests.doubles.bundled_detector import bundle_detector
from tests.doubles.synthetic_sounds import machine_sound

RATE_HZ = 16_000


@pytest.fixture(scope="module")
def fitted() -> SoundProfile:
    found = fit_profile(
        [analyse(each, RATE_HZ) for each in blocks_of(machine_sound(12.0), RATE_HZ)]
    )
    assert found is not None
    return found


@pytest.fixture
def explaining(tmp_path: Path, fitted: SoundProfile) -> Path:
    """Return a folder with a bundle that has a profile."""
    save_bundle(tmp_path, "fan01", bundle_detector(), {"trained": "today"}, {}, profile=fitted)
    return tmp_path


def same(found: SoundProfile | None, expected: SoundProfile) -> bool:
    return found is not None and all(
        np.array_equal(found.arrays()[name], rows) for name, rows in expected.arrays().items()
    )


def test_a_loaded_bundle_has_the_profile_that_was_saved(
    explaining: Path, fitted: SoundProfile
) -> None:
    assert same(load_bundle(explaining, "fan01").profile, fitted)


def test_a_bundle_without_a_profile_is_loaded(models: Path) -> None:
    assert load_bundle(models, "fan01").profile is None
    assert not (models / "fan01/v1" / PROFILE).exists()


def test_an_exported_version_has_the_profile(
    explaining: Path, tmp_path: Path, fitted: SoundProfile
) -> None:
    other = tmp_path / "other"
    export(explaining, "fan01", None, other)
    assert same(load_bundle(other, "fan01").profile, fitted)


def test_a_refit_keeps_the_profile(explaining: Path, fitted: SoundProfile) -> None:
    replaced = load_bundle(explaining, "fan01")
    version, in_use = save_refit(explaining, replaced, bundle_detector(), {}, candidate=False)
    assert in_use
    assert same(load_bundle(explaining, "fan01", version).profile, fitted)


def test_a_profile_that_was_changed_is_refused(explaining: Path) -> None:
    path = explaining / "fan01/v1" / PROFILE
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(BundleError, match=r"profile\.npz was changed"):
        load_bundle(explaining, "fan01")


def test_a_profile_of_another_rate_is_refused(explaining: Path) -> None:
    sound = np.random.default_rng(0).standard_normal(80_000).astype(np.float32)
    other = fit_profile([analyse(sound, 8_000)])
    assert other is not None
    folder = explaining / "fan01/v1"
    content = array_file_bytes(other.arrays())
    (folder / PROFILE).write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    edit_manifest(folder, lambda manifest: manifest["files"].update({PROFILE: digest}))
    with pytest.raises(BundleError, match=r"profile\.npz is invalid: the array"):
        load_bundle(explaining, "fan01")
