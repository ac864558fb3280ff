"""From recordings to training windows: whatever is left out is reported."""

from pathlib import Path

import numpy as np
import pytest

from asd_monitor.dsp.front_end import MIN_RATE_HZ
from asd_monitor.errors import UsageError
from asd_monitor.model_training.recording_paths import expand_paths
from asd_monitor.model_training.reference import read_reference, require_duration, too_short
from tests.doubles.synthetic_sounds import machine_sound, write


def test_windows_are_at_the_same_times_for_any_rate(tmp_path: Path) -> None:
    for rate_hz in (16_000, 44_100, 48_000):
        path = write(tmp_path / f"{rate_hz}.wav", machine_sound(6.0, rate_hz=rate_hz), rate_hz)
        reference = read_reference([path])
        assert reference.front_end.rate_hz == 16_000
        starts = [w.start for w in reference.windows]
        assert starts == pytest.approx([k * reference.front_end.hop for k in range(8)], abs=1)
        assert reference.usable_s == pytest.approx(6.0, abs=0.01)


def test_the_lowest_rate_limits_the_front_end(tmp_path: Path) -> None:
    low = write(tmp_path / "a.wav", machine_sound(4.0, rate_hz=8_000), 8_000)
    high = write(tmp_path / "b.wav", machine_sound(4.0, rate_hz=48_000, seed=1), 48_000)
    reference = read_reference([low, high])
    assert reference.front_end.rate_hz == 8_000
    assert any("several rates (8000 Hz, 48000 Hz)" in notice for notice in reference.notices)
    assert any(f"{low}: 8000 Hz" in notice for notice in reference.notices)


def test_each_notice_names_its_file(tmp_path: Path) -> None:
    sound = machine_sound(5.0)
    silent = np.concatenate([sound, np.zeros(32_000), sound])
    hole = machine_sound(5.0, seed=2)
    hole[40_000:40_010] = np.nan
    paths = [
        write(tmp_path / "a.wav", sound),
        write(tmp_path / "again.flac", machine_sound(1.0)),
        write(tmp_path / "silent.wav", silent),
        write(tmp_path / "hole.wav", hole, subtype="FLOAT"),
        write(tmp_path / "low.wav", machine_sound(3.0, rate_hz=2_000), 2_000),
        write(tmp_path / "eight.wav", np.stack([sound[::-1]] * 8, 1)),
    ]
    (tmp_path / "copy.wav").write_bytes(paths[0].read_bytes())
    (tmp_path / "empty.wav").touch()
    (tmp_path / "text.wav").write_text("a text file with the name of a recording")
    reference = read_reference(expand_paths([tmp_path]))
    notices = {
        name: [n for n in reference.notices if f"{name}." in n]
        for name in (
            "again", "silent", "hole", "low", "eight", "copy", "empty", "text",
        )
    }  # fmt: skip
    assert "shorter than a window" in notices["again"][0]
    assert "2.0 s of dead silence" in notices["silent"][0]
    assert "NaN or infinite" in notices["hole"][0]
    assert f"{MIN_RATE_HZ} Hz or more" in notices["low"][0]
    assert "8 channels" in notices["eight"][0]
    assert "same content as" in notices["copy"][0]
    assert "left out" in notices["empty"][0]
    assert "empty file" in notices["empty"][0]
    assert "left out" in notices["text"][0]
    assert all("\n" not in notice for notice in reference.notices)
    silent_segments = [s for s in reference.segments if s.file.path.name == "silent.wav"]
    assert [round(s.seconds) for s in silent_segments] == [5, 5]
    gap = range(80_000 + 1, 112_000 - 1)
    assert not any(w.start in gap or w.end in gap for s in silent_segments for w in s.windows)


def test_constant_samples_are_not_usable_sound(tmp_path: Path) -> None:
    reference = read_reference([write(tmp_path / "zeros.wav", np.zeros(16_000 * 70))])
    assert reference.usable_s == 0
    with pytest.raises(UsageError, match=r"0 s of usable sound beside 70 s .*microphone is muted"):
        require_duration(reference)


def test_the_missing_duration_is_stated(tmp_path: Path) -> None:
    reference = read_reference([write(tmp_path / "a.wav", machine_sound(20.0))])
    require_duration(reference, 15.0)
    with pytest.raises(UsageError, match=r"20 s of usable sound .* record 40 s more"):
        require_duration(reference)
    assert too_short(59.97, 60.0).startswith("59.9 s of usable sound are too little")


def test_long_recordings_are_reduced_to_evenly_spaced_excerpts(tmp_path: Path) -> None:
    # two excerpts and a half in the first file, the other half in the second, and so on
    paths = [write(tmp_path / f"{n}.wav", machine_sound(10.0, seed=n)) for n in range(3)]
    whole = read_reference(paths)
    assert not whole.notices
    reduced = read_reference(paths, max_windows=25, excerpt_s=4.0)
    assert reduced.excerpt_stride == 3
    assert reduced.notices == ("30 s of sound: 4 s of every 12 s are used",)
    begins = [(s.file.path.name, s.windows[0].start / 16_000) for s in reduced.segments]
    assert begins == [("0.wav", 0.0), ("1.wav", 2.0), ("2.wav", 4.0)]
    assert [s.seconds for s in reduced.segments] == [4.0] * 3
    first = whole.segments[0].windows
    for one, other in zip(reduced.segments[0].windows, first, strict=False):
        assert one.features["spectrum"] == pytest.approx(other.features["spectrum"], abs=1e-5)


def test_patterns_folders_and_files_are_found_once(tmp_path: Path) -> None:
    for name in ("n10.wav", "n9.wav", "sub/n1.flac"):
        write(tmp_path / name, machine_sound(0.1))
    (tmp_path / "notes.txt").touch()
    assert [p.name for p in expand_paths([tmp_path / "*.wav"])] == ["n9.wav", "n10.wav"]
    assert [p.name for p in expand_paths([tmp_path / "**/*.flac"])] == ["n1.flac"]
    found = expand_paths([tmp_path, tmp_path / "n9.wav"])
    assert [p.name for p in found] == ["n9.wav", "n10.wav", "n1.flac"]
    for wrong in ("*.mp3", "absent.wav"):
        with pytest.raises(UsageError, match=r"no file matches|no such file"):
            expand_paths([tmp_path / wrong])


def test_an_existing_name_with_brackets_is_not_a_pattern(tmp_path: Path) -> None:
    path = write(tmp_path / "fan[1].wav", machine_sound(0.1))
    assert expand_paths([path]) == [path]


def test_without_a_readable_file_the_first_reason_is_raised(tmp_path: Path) -> None:
    empty, text = tmp_path / "empty.wav", tmp_path / "text.wav"
    empty.touch()
    text.write_text("words")
    with pytest.raises(UsageError, match="empty file"):
        read_reference([empty, text])


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no recording in this folder"):
        expand_paths([tmp_path])


def test_a_window_that_does_not_suit_the_rate_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"window_s 0\.1"):
        read_reference([write(tmp_path / "a.wav", machine_sound(3.0))], window_s=0.1)


def test_progress_grows_to_its_end(tmp_path: Path) -> None:
    reports: list[tuple[str, float]] = []
    paths = [write(tmp_path / f"{n}.wav", machine_sound(3.0, seed=n)) for n in range(3)]
    read_reference(paths, progress=lambda step, share: reports.append((step, share)))
    shares = [share for step, share in reports if step == "extracting features"]
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(1.0)
