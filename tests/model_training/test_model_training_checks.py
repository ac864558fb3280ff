"""Checks of the recordings alone, which `record`, `train --check`, `train` and `--learn` share."""

import json
import os
import re
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from asd_monitor.audio.files.recorder import SCHEMA
from asd_monitor.errors import OperationError
from asd_monitor.model_training.findings import (
    ChangedSound,
    LevelFinding,
    NoPause,
    ShortReference,
    assess_reference,
)
from asd_monitor.model_training.reference import read_reference
from asd_monitor.model_training.sound_files import inspect_recording
from asd_monitor.model_training.training_manifest import check_writable
from asd_monitor.reports.notices import finding_text
from tests.doubles.synthetic_sounds import machine_sound, write


def findings(*paths: Path) -> dict[type, str]:
    """Return the findings on recordings as text, by kind."""
    reference = read_reference(paths)
    return {type(each): finding_text(each) for each in assess_reference(reference)}


@pytest.mark.parametrize(("healthy_s", "faulty_s"), [(27.0, 63.0), (60.0, 30.0)])
def test_a_lasting_change_is_reported_with_its_place(
    tmp_path: Path, healthy_s: float, faulty_s: float
) -> None:
    sound = [machine_sound(healthy_s, seed=1), machine_sound(faulty_s, seed=2, fault=0.2)]
    text = findings(write(tmp_path / "a.wav", np.concatenate(sound)))[ChangedSound]
    [(minutes, seconds, share)] = re.findall(
        r"a\.wav at (\d):([\d.]+) to 1:\d+\.\d \((\d+) %", text
    )
    assert 60 * int(minutes) + float(seconds) == pytest.approx(healthy_s, abs=2.5)
    assert float(share) == pytest.approx(100 * faulty_s / 90, abs=8)
    assert "+" in text.partition(" dB in the bands")[0][-4:]


def test_a_fault_that_comes_and_goes_is_reported(tmp_path: Path) -> None:
    parts = [machine_sound(40.0, seed=n, fault=0.2 * (n == 1)) for n in range(3)]
    paths = [write(tmp_path / f"{n}.wav", part) for n, part in enumerate(parts)]
    assert "1.wav at 0:0" in findings(*paths)[ChangedSound]


@pytest.mark.parametrize("seed", range(3))
def test_steady_sound_is_no_change(tmp_path: Path, seed: int) -> None:
    found = findings(write(tmp_path / "a.wav", machine_sound(90.0, seed=seed)))
    assert ChangedSound not in found


def test_a_pause_is_no_change_and_no_pause_is_reported(tmp_path: Path) -> None:
    running = machine_sound(60.0, seed=1)
    assert (
        "switching it off will raise an alarm"
        in findings(write(tmp_path / "a.wav", running))[NoPause]
    )
    off = np.random.default_rng(1).normal(0, 3e-4, 16_000 * 30)
    found = findings(write(tmp_path / "b.wav", np.concatenate([running, off, running])))
    assert NoPause not in found
    assert ChangedSound not in found


def test_levels_are_judged_as_record_judges_them(tmp_path: Path) -> None:
    sound = machine_sound(20.0)
    clipped = write(tmp_path / "clipped.wav", np.clip(20 * sound, -1, 1))
    quiet = write(tmp_path / "quiet.wav", 2e-3 * sound)
    text = findings(clipped)[LevelFinding]
    assert text.startswith(f"{clipped}: clipping: ")
    assert "lower the gain" in text
    assert "low level" in findings(quiet)[LevelFinding]
    normal = write(tmp_path / "normal.wav", sound)
    assert LevelFinding not in findings(quiet, normal)  # a pause
    normalised = sound / np.abs(sound).max()
    assert LevelFinding not in findings(write(tmp_path / "normalised.wav", normalised))


def test_little_sound_is_reported_before_a_detector_is_fitted(tmp_path: Path) -> None:
    assert (
        "20 s is little" in findings(write(tmp_path / "a.wav", machine_sound(20.0)))[ShortReference]
    )


def test_a_recording_that_disappears_stops_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [write(tmp_path / f"{n}.wav", machine_sound(10.0, seed=n)) for n in range(2)]

    def report(step: str, share: float) -> None:
        del share
        if step == "extracting features":
            paths[1].unlink(missing_ok=True)

    reference = read_reference(paths, progress=report)
    assert reference.usable_s == pytest.approx(10.0)
    assert any("left out" in notice and "1.wav" in notice for notice in reference.notices)


def test_any_name_and_any_time_of_a_file_is_accepted(tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/fan [\xe4]\n.wav"))
    write(tmp_path / "a.wav", machine_sound(5.0)).rename(path)
    for modified_s in (-1e12, 2**62 / 1e9, 1e12):
        os.utime(path, (0, modified_s))
        inspect_recording(path)
    file = inspect_recording(path)
    assert file.name == r"fan [\udce4]\n.wav"


def test_a_models_folder_is_checked_without_creating_it(tmp_path: Path) -> None:
    check_writable(tmp_path / "new" / "models", "fan01")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").touch()
    with pytest.raises(OperationError, match=r"a file where a folder is needed.*--models"):
        check_writable(tmp_path / "file", "fan01")


def test_the_time_of_a_recording_is_that_of_its_sidecar(tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", machine_sound(2.0))
    assert inspect_recording(path).began is None
    sidecar = {"schema": SCHEMA, "sha256": None, "began": "2026-03-01T10:00:00+01:00"}
    path.with_suffix(".json").write_text(json.dumps(sidecar))
    assert inspect_recording(path).began == datetime(2026, 3, 1, 9, tzinfo=UTC)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff{}",
        b"[1]",
        b"7",
        b'{"schema": "asd.recording/1"}',
        b'{"schema": "other/1", "sha256": null, "began": "2026-03-01T10:00:00Z"}',
        b'{"schema": "asd.recording/1", "sha256": "0f", "began": "2026-03-01T10:00:00Z"}',
        b'{"schema": "asd.recording/1", "sha256": [], "began": "2026-03-01T10:00:00Z"}',
        b'{"schema": "asd.recording/1", "sha256": null, "began": "2026-03-01T10:00:00"}',
        b'{"schema": "asd.recording/1", "sha256": null, "began": "0001-01-01T00:00:00+14:00"}',
        b'{"schema": "asd.recording/1", "sha256": null, "began": 7}',
        b"[" * 100_000,
    ],
)
def test_a_sidecar_that_does_not_belong_to_the_recording_has_no_effect(
    tmp_path: Path, content: bytes
) -> None:
    path = write(tmp_path / "a.wav", machine_sound(2.0))
    path.with_suffix(".json").write_bytes(content)
    assert inspect_recording(path).began is None
