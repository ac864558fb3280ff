"""Downloading recordings: selection, and packages from an apt that is replaced."""

import csv
import hashlib
import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from datasets.sound_formats import Clip
from datasets.sounds import select_evenly
from tests.datasets.wad import wad


def clip(name: str, group: str, seconds: float) -> Clip:
    return Clip(name, group, seconds, "MIT", lambda: (np.zeros(1, np.float32), 1))


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.floats(0.2, 5.0)), max_size=40),
    st.floats(0.0, 60.0),
)
def test_a_selection_fits_and_does_not_depend_on_the_order(
    entries: list[tuple[str, float]], cap: float
) -> None:
    clips = [clip(f"{g}{i:02}", g, s) for i, (g, s) in enumerate(entries)]
    chosen = select_evenly(clips, cap)
    assert sum(c.seconds for c in chosen) <= cap + 1e-9
    assert chosen == select_evenly(clips[::-1], cap)
    if sum(c.seconds for c in clips) <= cap:
        assert len(chosen) == len(clips)


def test_a_small_selection_has_every_group_and_is_spread_over_each() -> None:
    clips = [clip(f"big{i:02}", "big", 1.0) for i in range(16)] + [clip("one", "one", 1.0)]
    chosen = [c.name for c in select_evenly(clips, 5.0)]
    assert chosen == ["big00", "big04", "big08", "big12", "one"]


def run(out: Path, programs: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "datasets.sounds", out, "--packages", "freedoom"],
        env={**os.environ, "PATH": f"{programs}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )


def program(path: Path, shell: str) -> None:
    path.write_text(f"#!/bin/sh\n{shell}\n")
    path.chmod(0o755)


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """Return a folder of programs in place of apt, with one package that has a WAD."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (tmp_path / "a.wad").write_bytes(wad())
    sha256 = hashlib.sha256(wad()).hexdigest()
    program(folder / "apt-cache", f"echo 'Version: 1.0-1'; echo 'SHA256: {sha256}'")
    program(
        folder / "apt-get", f"echo >>{tmp_path}/calls; cp {tmp_path}/a.wad freedoom_1.0-1_all.deb"
    )
    program(
        folder / "dpkg-deb",
        'mkdir -p "$3/usr/share/games/doom"; cp "$2" "$3/usr/share/games/doom/freedoom2.wad"',
    )
    return folder


def test_present_files_are_kept_and_changed_ones_replaced(tmp_path: Path, programs: Path) -> None:
    out = tmp_path / "out"
    done = run(out, programs)
    assert done.returncode == 0, done.stderr
    assert "BSD-3-clause" in done.stdout
    (line,) = csv.DictReader(io.StringIO((out / "sounds.csv").read_text()))
    assert (line["file"], line["version"]) == ("freedoom/dsboom.flac", "1.0-1")
    path = out / line["file"]
    sound, rate = soundfile.read(path)
    assert (rate, sound.ndim, len(sound) / rate) == (
        16000,
        1,
        pytest.approx(float(line["seconds"]), abs=0.001),
    )
    before, table = path.read_bytes(), (out / "sounds.csv").read_bytes()

    assert run(out, programs).returncode == 0
    assert (tmp_path / "calls").read_text() == "\n"  # one download
    path.write_bytes(b"changed")
    assert run(out, programs).returncode == 0
    assert path.read_bytes() == before
    assert (out / "sounds.csv").read_bytes() == table


@pytest.mark.parametrize(
    ("name", "shell", "message"),
    [
        ("apt-get", "echo 'E: Temporary failure resolving' >&2; exit 100", "is there a network?"),
        ("apt-get", "echo other >freedoom_1.0-1_all.deb", "not what apt announced"),
        ("apt-cache", "echo 'E: No packages found' >&2; exit 100", "apt knows no package freedoom"),
        ("dpkg-deb", "echo 'broken archive' >&2; exit 2", "cannot be unpacked"),
    ],
)
def test_a_failure_is_reported_in_one_line_and_leaves_no_files(
    tmp_path: Path, programs: Path, name: str, shell: str, message: str
) -> None:
    program(programs / name, shell)
    out = tmp_path / "out"
    done = run(out, programs)
    assert done.returncode == 1
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert not list(out.glob("**/*"))


def test_missing_apt_is_reported_in_one_line(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "datasets.sounds", tmp_path / "out"],
        env={**os.environ, "PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("sounds: apt-cache is not here: run this on Debian")
    assert done.stderr.count("\n") == 1
