"""record and devices, as processes."""

import json
import os
import resource
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import soundfile

from asd_monitor.audio.files.recordings import read_recording

pytestmark = pytest.mark.slow


def start(*arguments: str, **options) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "asd_monitor", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def run(*arguments: str, **options) -> tuple[int, str, str]:
    with start(*arguments, **options) as process:
        out, err = process.communicate(timeout=100)
        return process.returncode, out, err


def record(tmp_path, device: str, *more: str) -> list[str]:
    return [
        *("record", "--device", device, "--machine", "fan01", "--state", str(tmp_path / "state")),
        *("--output", str(tmp_path / "out"), *more),
    ]


def test_a_recording_has_the_requested_duration(tmp_path):
    sound = np.random.default_rng(1).normal(0, 0.1, 8000 * 5)
    soundfile.write(tmp_path / "a.wav", sound, 8000)
    code, out, err = run(*record(tmp_path, f"file:{tmp_path}/a.wav", "--minutes", "0.02"))
    assert code == 0, err
    (path,) = (tmp_path / "out").glob("*.flac")
    assert out.startswith(str(path))
    np.testing.assert_allclose(read_recording(path).samples, sound[:9600], atol=1e-4)
    assert json.loads(path.with_suffix(".json").read_text())["seconds"] == 1.2


def test_a_recording_shorter_than_requested_is_reported(tmp_path):
    sound = np.random.default_rng(1).normal(0, 0.1, 8000 * 3)
    soundfile.write(tmp_path / "a.wav", sound, 8000)
    code, _, err = run(*record(tmp_path, f"file:{tmp_path}/a.wav", "--minutes", "0.1"))
    assert code == 0, err
    assert f"{tmp_path}/a.wav: ended after 3 s of the 6 s requested" in err


def test_a_duration_may_have_a_unit_and_too_little_is_reported(tmp_path):
    sound = np.random.default_rng(1).normal(0, 0.1, 8000 * 5)
    soundfile.write(tmp_path / "a.wav", sound, 8000)
    code, out, err = run(*record(tmp_path, f"file:{tmp_path}/a.wav", "--minutes", "2s"))
    assert code == 0, err
    assert "  2.0 s  " in out
    assert "for a training, 2 s of usable sound are too little" in err


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (("--device", "1"), 2, "write hw:1"),
        (("--device", "file:none.wav"), 2, "no such file"),
        (("--machine", "../x"), 2, "../x"),
        (("--minutes", "0"), 2, "such as 10"),
        (("--minutes", "30x"), 2, "such as 10, 90s or 2h"),
    ],
)
def test_wrong_usage_is_refused_in_one_line(tmp_path, arguments, code, text):
    usual = record(tmp_path, "file:none.wav", "--minutes", "1")
    got, out, err = run(*usual, *arguments)
    assert got == code
    assert text in err
    assert "Traceback" not in err
    assert len(err.strip().splitlines()) == 1
    assert out == ""


def test_progress_and_result_are_json(tmp_path):
    sound = np.random.default_rng(1).normal(0, 0.1, 8000 * 5)
    soundfile.write(tmp_path / "a.wav", sound, 8000)
    device = f"file:{tmp_path}/a.wav"
    code, out, err = run(*record(tmp_path, device, "--minutes", "2s", "--json"))
    assert code == 0, err
    *_, progress, result = map(json.loads, out.splitlines())
    assert (progress["recorded_s"], progress["total_s"]) == (2.0, 2.0)
    assert progress["rms_dbfs"] == pytest.approx(-20, abs=0.5)
    assert (progress["modes"], progress["pause"], progress["clipped"]) == (1, False, False)
    (file,) = result["files"]
    assert file["path"].startswith(str(tmp_path / "out"))
    assert file["seconds"] == 2.0
    assert "2 s of usable sound are too little" in result["shortage"]


def test_a_full_disk_is_said_and_what_was_recorded_is_kept(tmp_path):
    sound = np.random.default_rng(1).normal(0, 0.1, 16000 * 60)
    soundfile.write(tmp_path / "a.wav", sound, 16000)
    command = record(tmp_path, f"file:{tmp_path}/a.wav", "--minutes", "1", "--json")

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    code, out, err = run(*command, preexec_fn=limit)
    assert code == 1
    assert "Traceback" not in err
    assert "out: cannot be written (the disk is full or failing): free some space" in err
    assert all(json.loads(line) for line in out.splitlines())
    (path,) = (tmp_path / "out").glob("*.flac")
    samples = len(read_recording(path).samples)
    assert samples > 16000
    described = json.loads(path.with_suffix(".json").read_text())["samples"]
    assert abs(described - samples) <= 2 * 16000


def test_the_sound_of_a_machine_needs_a_daemon(tmp_path):
    code, _, err = run(
        *("record", "--machine", "fan01", "--minutes", "1", "--state", str(tmp_path)),
        *("--output", str(tmp_path / "out")),
    )
    assert code == 1
    assert "start it, or name the device with --device" in err
    assert len(err.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_files_that_cannot_be_read_are_malformed_input(tmp_path):
    (tmp_path / "sound").mkdir()
    assert run(*record(tmp_path, f"file:{tmp_path}/sound", "--minutes", "1"))[0] == 2
    (tmp_path / "sound/0.wav").touch()
    for path in ("sound/0.wav", "sound"):
        code, _, err = run(*record(tmp_path, f"file:{tmp_path}/{path}", "--minutes", "1"))
        assert code == 2
        assert "0.wav: empty file" in err
        assert len(err.splitlines()) == 1
    soundfile.write(tmp_path / "sound/1.wav", np.random.default_rng(1).normal(0, 0.1, 8000), 8000)
    code, out, err = run(*record(tmp_path, f"file:{tmp_path}/sound", "--minutes", "1"))
    assert code == 0
    assert "0.wav: empty file" in err
    assert "1.0 s" in out


def test_a_loop_that_is_too_short_for_a_training_is_noticed_at_once(command_line, tmp_path):
    sound = np.random.default_rng(1).normal(0, 0.1, 61 * 8000)
    for seconds, is_noticed in ((20, True), (61, False)):
        soundfile.write(tmp_path / "a.wav", sound[: seconds * 8000], 8000)
        device = f"file:{tmp_path}/a.wav?loop"
        result = command_line(*record(tmp_path, device, "--minutes", "1s"))
        assert result.code == 0, result.err
        (first, *_) = result.err.splitlines()
        notice = f"notice: {device} is repeated after 20 s, and a training uses the same sound once"
        assert first.startswith(notice) is is_noticed


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_a_signal_ends_the_recording_and_keeps_it(tmp_path, number, code):
    soundfile.write(tmp_path / "a.wav", np.random.default_rng(1).normal(0, 0.1, 16000), 16000)
    device = f"file:{tmp_path}/a.wav?loop"
    with start(*record(tmp_path, device, "--minutes", "10")) as process:
        deadline = time.monotonic() + 60
        while not list((tmp_path / "out").glob("*.flac")) and time.monotonic() < deadline:
            time.sleep(0.1)
        time.sleep(1.5)
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
    assert process.returncode == code
    assert "Traceback" not in err
    paths = sorted((tmp_path / "out").glob("*.flac"))  # one file per pass of the loop
    assert len(out.splitlines()) == len(paths) > 0
    for path in paths:
        assert str(path) in out
        seconds = json.loads(path.with_suffix(".json").read_text())["seconds"]
        assert len(read_recording(path).samples) == round(seconds * 16000) > 0


def test_a_killed_recording_is_complete_with_its_sidecar(tmp_path):
    sound = np.random.default_rng(1).normal(0, 0.1, 16000 * 60)
    soundfile.write(tmp_path / "a.wav", sound, 16000)
    with start(*record(tmp_path, f"file:{tmp_path}/a.wav", "--minutes", "1")) as process:
        deadline = time.monotonic() + 60
        while not list((tmp_path / "out").glob("*.flac")) and time.monotonic() < deadline:
            time.sleep(0.1)
        time.sleep(2.5)
        process.kill()
    [path] = (tmp_path / "out").glob("*.flac")
    recording = read_recording(path)
    assert recording.notices == ()
    assert len(recording.samples) > 2 * 16000
    np.testing.assert_allclose(recording.samples, sound[: len(recording.samples)], atol=1e-4)
    sidecar = json.loads(path.with_suffix(".json").read_text())
    assert 0 <= len(recording.samples) - sidecar["samples"] <= 2 * 16000
    assert {each.suffix for each in (tmp_path / "out").iterdir()} == {".flac", ".json"}


def test_ctrl_c_keeps_the_recording_of_a_device(tmp_path, virtual_sound):
    sound = virtual_sound({"fan": 1})
    sound["fan"].play(np.random.default_rng(1).normal(0, 0.1, 16000), loop=True)
    with start(*record(tmp_path, "hw:1", "--minutes", "10")) as process:
        deadline = time.monotonic() + 60
        while not list((tmp_path / "out").glob("*.flac")) and time.monotonic() < deadline:
            time.sleep(0.1)
        time.sleep(1.5)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in err
    (path,) = (tmp_path / "out").glob("*.flac")
    assert str(path) in out
    seconds = json.loads(path.with_suffix(".json").read_text())["seconds"]
    assert len(read_recording(path).samples) == round(seconds * 16000) > 0


def test_devices_lists_and_prints_json(virtual_sound):
    virtual_sound({"fan": 1, "pump": 10})
    code, out, _ = run("devices", "--json")
    assert code == 0
    assert {"pulse:fan", "pulse:pump"} <= {each["device"] for each in json.loads(out)}
    code, out, _ = run("devices")
    assert "pulse:pump" in out


def test_devices_without_portaudio_names_the_package_to_install(tmp_path):
    (tmp_path / "sounddevice.py").write_text('raise OSError("PortAudio library not found")\n')
    nothing = {"PULSE_SERVER": "unix:/nonexistent", "PYTHONPATH": str(tmp_path)}
    code, out, err = run("devices", env={**os.environ, **nothing})
    if code == 0:  # a computer with sound cards
        assert out
    assert "apt install libportaudio2" in err
    assert len(err.strip().splitlines()) == 1
