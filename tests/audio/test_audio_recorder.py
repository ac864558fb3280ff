"""Recordings and sidecars that the recorder writes."""

import hashlib
import json
import os
import time
from datetime import UTC, datetime

import numpy as np
import pytest
import soundfile

from asd_monitor.audio.files.recorder import Recorder, RecordingOrigin
from asd_monitor.audio.files.recordings import read_recording
from asd_monitor.errors import OperationError

RATE = 8000
BEGAN = datetime(2026, 3, 1, 12, 0, 0, 250000, UTC)
ORIGIN = RecordingOrigin("fan01", "hw:1", "USB: Audio (hw:1,0)", 0, 1, RATE, through_daemon=False)


def noise(seconds: float = 1.0):
    samples = np.random.default_rng(1).integers(-9000, 9000, round(seconds * RATE))
    return (samples / 32768).astype(np.float32)


def test_samples_are_written_exactly_with_a_sidecar(tmp_path):
    recorder = Recorder(tmp_path / "new" / "folder", ORIGIN)
    recorder.write(noise()[:3000], began=BEGAN, lost_before=7)
    recorder.write(noise()[3000:], began=BEGAN, lost_before=8)
    recorder.finish(BEGAN)
    (written,) = recorder.written
    assert written.path.name == "fan01-20260301T120000Z.flac"
    np.testing.assert_array_equal(read_recording(written.path).samples, noise())
    sidecar = json.loads(written.path.with_suffix(".json").read_text())
    assert sidecar["schema"] == "asd.recording/1"
    assert sidecar["began"] == "2026-03-01T12:00:00.250Z"
    assert (sidecar["machine"], sidecar["device"], sidecar["channel"]) == ("fan01", "hw:1", 0)
    assert (sidecar["rate_hz"], sidecar["samples"], sidecar["seconds"]) == (RATE, RATE, 1.0)
    assert sidecar["lost_samples_before"] == 7
    assert sidecar["sha256"] == hashlib.sha256(written.path.read_bytes()).hexdigest()
    assert sidecar["levels"]["rms_dbfs"] == written.levels.rms_dbfs


def test_each_segment_is_a_file_and_none_is_overwritten(tmp_path):
    recorder = Recorder(tmp_path, ORIGIN)
    for _ in range(3):
        recorder.write(noise(), began=BEGAN, lost_before=0)
        recorder.finish(BEGAN)
    names = [each.path.name for each in recorder.written]
    assert names == [
        "fan01-20260301T120000Z.flac",
        "fan01-20260301T120000Z-2.flac",
        "fan01-20260301T120000Z-3.flac",
    ]


def test_the_files_are_complete_at_every_moment(tmp_path):
    """What a process that is killed would leave, after each block."""
    recorder = Recorder(tmp_path, ORIGIN)
    sound = noise(6.0)
    for end in range(RATE // 10, len(sound) + 1, RATE // 10):
        recorder.write(sound[end - RATE // 10 : end], began=BEGAN, lost_before=0)
        if end < 2 * RATE:
            continue
        [path] = tmp_path.glob("*.flac")
        recording = read_recording(path)
        assert recording.notices == (f"{path}: 8000 Hz: contains nothing above 4000 Hz",)
        assert end - RATE < len(recording.samples) <= end
        np.testing.assert_array_equal(recording.samples, sound[: len(recording.samples)])
        sidecar = json.loads(path.with_suffix(".json").read_text())
        assert end - 2 * RATE < sidecar["samples"] <= len(recording.samples)
        assert (sidecar["complete"], sidecar["sha256"]) == (False, None)
        assert {each.suffix for each in tmp_path.iterdir()} == {".flac", ".json"}
    recorder.finish(BEGAN)
    np.testing.assert_array_equal(read_recording(path).samples, sound)
    assert json.loads(path.with_suffix(".json").read_text())["complete"] is True
    assert soundfile.info(path).frames == len(sound)


def test_what_a_killed_process_left_unpublished_is_removed(tmp_path):
    for name, age_s in (("fan01-1.flac.part", 100), ("fan01-2.flac.part", 0), ("p-1.part", 100)):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (time.time() - age_s, time.time() - age_s))
    recorder = Recorder(tmp_path, ORIGIN)
    recorder.write(noise(), began=BEGAN, lost_before=0)
    recorder.finish(BEGAN)
    assert {each.name for each in tmp_path.glob("*.part")} == {"fan01-2.flac.part", "p-1.part"}


def test_a_folder_of_any_name_is_written(tmp_path):
    folder = tmp_path / os.fsdecode(b"latin \xe4")
    recorder = Recorder(folder, ORIGIN)
    recorder.write(noise(2.0), began=BEGAN, lost_before=0)
    recorder.finish(BEGAN)
    assert len(list(folder.iterdir())) == 2


def test_no_samples_write_no_file(tmp_path):
    Recorder(tmp_path / "none", ORIGIN).finish(BEGAN)
    assert not (tmp_path / "none").exists()


def test_folder_that_cannot_be_written_is_reported_with_the_remedy(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OperationError, match="is a file: choose a folder with --output"):
        Recorder(tmp_path / "file", ORIGIN).write(noise(), began=BEGAN, lost_before=0)
