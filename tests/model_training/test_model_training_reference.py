"""From recordings to windows: nothing is lost silently, and what is no sound teaches nothing."""

import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asd_monitor.dsp.front_end import MIN_RATE_HZ
from asd_monitor.errors import UsageError
from asd_monitor.model_training import reference as recordings_module
from asd_monitor.model_training.reference import (
    ConstantRunRemover,
    expand_paths,
    read_reference,
    require_duration,
)
from asd_monitor.records import Block
from tests.doubles.synthetic_sounds import machine_sound, write


@st.composite
def streams(draw: st.DrawFn) -> tuple[np.ndarray, list[int], int]:
    """Samples with constant runs, the cuts into blocks, and a patience."""
    runs = draw(st.lists(st.tuples(st.integers(0, 2), st.integers(1, 12)), max_size=12))
    samples = np.concatenate(
        [np.zeros(0)] + [np.full(length, value / 4) for value, length in runs]
    ).astype(np.float32)
    cuts = draw(st.lists(st.integers(0, max(len(samples), 1)), max_size=8))
    return samples, sorted(cuts), draw(st.integers(2, 9))


@given(streams())
def test_constant_runs_are_taken_out_however_the_stream_is_cut(
    stream: tuple[np.ndarray, list[int], int],
) -> None:
    samples, cuts, patience = stream
    edges = [0, *cuts, len(samples)]
    blocks = [Block(100 + min(a, len(samples)), samples[a:b]) for a, b in itertools.pairwise(edges)]
    cutter = ConstantRunRemover(patience)
    kept = [(b.start + i, float(v)) for b in cutter.cut(blocks) for i, v in enumerate(b.samples)]
    expected, start = [], 0
    for i in range(1, len(samples) + 1):
        if i == len(samples) or samples[i] != samples[start]:
            if i - start < patience:
                expected += [(100 + k, float(samples[k])) for k in range(start, i)]
            start = i
    assert kept == expected
    assert cutter.dropped == len(samples) - len(expected)


def test_a_constant_run_does_not_reach_over_a_gap() -> None:
    ones = np.ones(6, np.float32)
    cutter = ConstantRunRemover(10)
    kept = list(cutter.cut([Block(0, ones), Block(100, ones)]))
    assert [(b.start, len(b.samples)) for b in kept] == [(0, 6), (100, 6)]


def test_windows_lie_where_their_sound_lies_at_any_rate(tmp_path: Path) -> None:
    for rate_hz in (16_000, 44_100, 48_000):
        path = write(tmp_path / f"{rate_hz}.wav", machine_sound(6.0, rate_hz=rate_hz), rate_hz)
        reference = read_reference([path])
        assert reference.front_end.rate_hz == 16_000
        starts = [w.start for w in reference.windows]
        assert starts == pytest.approx([k * reference.front_end.hop for k in range(8)], abs=1)
        assert reference.usable_s == pytest.approx(6.0, abs=0.01)


def test_the_lowest_rate_decides_for_all(tmp_path: Path) -> None:
    low = write(tmp_path / "a.wav", machine_sound(4.0, rate_hz=8_000), 8_000)
    high = write(tmp_path / "b.wav", machine_sound(4.0, rate_hz=48_000, seed=1), 48_000)
    reference = read_reference([low, high])
    assert reference.front_end.rate_hz == 8_000
    told = "\n".join(reference.notices)
    assert "several rates" in told
    assert "nothing above 4000 Hz" in told


def test_each_notice_names_its_file(tmp_path: Path) -> None:
    sound = machine_sound(5.0)
    silent = np.concatenate([sound, np.zeros(32_000), sound])
    hole = machine_sound(5.0, seed=2)
    hole[40_000:40_010] = np.nan
    paths = [
        write(tmp_path / "a.wav", sound),
        write(tmp_path / "again.flac", machine_sound(1.0)),
        write(tmp_path / "clipped.wav", np.clip(sound * 20, -1, 1)),
        write(tmp_path / "silent.wav", silent),
        write(tmp_path / "hole.wav", hole, subtype="FLOAT"),
        write(tmp_path / "low.wav", machine_sound(3.0, rate_hz=2_000), 2_000),
        write(tmp_path / "eight.wav", np.stack([sound[::-1]] * 8, 1)),
    ]
    (tmp_path / "copy.wav").write_bytes(paths[0].read_bytes())
    (tmp_path / "empty.wav").touch()
    (tmp_path / "text.wav").write_text("not sound at all, whatever it is called")
    reference = read_reference(expand_paths([tmp_path]))
    told = {
        name: [n for n in reference.notices if f"{name}." in n]
        for name in (
            "again", "clipped", "silent", "hole", "low", "eight", "copy", "empty", "text",
        )
    }  # fmt: skip
    assert "shorter than a window" in told["again"][0]
    assert "clipped in" in told["clipped"][0]
    assert "2.0 s of dead silence" in told["silent"][0]
    assert "not numbers" in told["hole"][0]
    assert f"{MIN_RATE_HZ} Hz or more" in told["low"][0]
    assert "channel 0 is heard" in told["eight"][0]
    assert "the same as" in told["copy"][0]
    assert "left out" in told["empty"][0]
    assert "empty file" in told["empty"][0]
    assert "left out" in told["text"][0]
    assert all("\n" not in notice for notice in reference.notices)
    silent_parts = [s for s in reference.segments if s.file.path.name == "silent.wav"]
    assert [round(s.seconds) for s in silent_parts] == [5, 5]
    gap = range(80_000 + 1, 112_000 - 1)
    assert not any(w.start in gap or w.end in gap for s in silent_parts for w in s.windows)


def test_all_zeros_are_no_sound(tmp_path: Path) -> None:
    reference = read_reference([write(tmp_path / "zeros.wav", np.zeros(16_000 * 70))])
    assert reference.usable_s == 0
    with pytest.raises(UsageError, match=r"0 s of usable sound .* record 60 s more"):
        require_duration(reference)


def test_too_little_says_how_much_more(tmp_path: Path) -> None:
    reference = read_reference([write(tmp_path / "a.wav", machine_sound(20.0))])
    require_duration(reference, 15.0)
    with pytest.raises(UsageError, match=r"20 s of usable sound .* record 40 s more"):
        require_duration(reference)


def test_of_hours_pieces_are_taken_evenly_and_that_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # two pieces and a half, then half of the third, …: pieces go on over the ends of files
    paths = [write(tmp_path / f"{n}.wav", machine_sound(10.0, seed=n)) for n in range(3)]
    whole = read_reference(paths)
    assert not whole.notices
    monkeypatch.setattr(recordings_module, "MOST_WINDOWS", 25)
    monkeypatch.setattr(recordings_module, "PIECE_S", 4.0)
    thinned = read_reference(paths)
    assert thinned.every == 3
    assert thinned.notices == ("30 s of sound: 4 s of every 12 s are learned",)
    begins = [(s.file.path.name, s.windows[0].start / 16_000) for s in thinned.segments]
    assert begins == [("0.wav", 0.0), ("1.wav", 2.0), ("2.wav", 4.0)]
    assert [s.seconds for s in thinned.segments] == [4.0] * 3
    first = whole.segments[0].windows
    for one, other in zip(thinned.segments[0].windows, first, strict=False):
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


def test_a_name_with_brackets_is_a_name(tmp_path: Path) -> None:
    path = write(tmp_path / "fan[1].wav", machine_sound(0.1))
    assert expand_paths([path]) == [path]


def test_where_no_file_can_be_read_the_first_reason_is_told(tmp_path: Path) -> None:
    empty, text = tmp_path / "empty.wav", tmp_path / "text.wav"
    empty.touch()
    text.write_text("words")
    with pytest.raises(UsageError, match="empty file"):
        read_reference([empty, text])


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no recording in this folder"):
        expand_paths([tmp_path])


def test_a_window_that_cannot_be_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"window_s 0\.1"):
        read_reference([write(tmp_path / "a.wav", machine_sound(3.0))], window_s=0.1)


def test_progress_grows_to_its_end(tmp_path: Path) -> None:
    told: list[tuple[str, float]] = []
    paths = [write(tmp_path / f"{n}.wav", machine_sound(3.0, seed=n)) for n in range(3)]
    read_reference(paths, progress=lambda what, share: told.append((what, share)))
    shares = [share for what, share in told if what == "listening"]
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(1.0)
