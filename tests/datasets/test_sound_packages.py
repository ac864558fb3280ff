import csv
import hashlib
import io
import os
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from datasets.sound_packages import Clip, archive, files, instrument, licences, soundfont, spread

RATE_HZ = 22050
ROOT = Path(__file__).parents[2]


def tone(n: int = RATE_HZ, hz: float = 440.0) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * hz * np.arange(n) / RATE_HZ)).astype(np.float32)


def chunk(tag: bytes, data: bytes) -> bytes:
    return tag + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)


def sf(pool: bytes, *records: tuple[bytes, int, int, int, int, int]) -> bytes:
    shdr = b"".join(
        struct.pack("<20sIIIIIBbHH", name, start, end, on, off, RATE_HZ, 60, 0, 0, kind)
        for name, start, end, on, off, kind in (*records, (b"EOS", 0, 0, 0, 0, 0))
    )
    sdta = chunk(b"LIST", b"sdta" + chunk(b"smpl", pool))
    body = b"sfbk" + sdta + chunk(b"LIST", b"pdta" + chunk(b"shdr", shdr))
    return chunk(b"RIFF", body)


def pcm(sound: np.ndarray) -> bytes:
    return (sound * 32767).astype("<i2").tobytes()


def clip(name: str, group: str, seconds: float) -> Clip:
    return Clip(name, group, seconds, "MIT", lambda: (np.zeros(1, np.float32), 1))


def test_a_soundfont_gives_each_sample_once_and_of_a_pair_the_left(tmp_path: Path) -> None:
    pool = pcm(np.concatenate([tone(8000, 440), tone(8000, 880), tone(8000, 220)]))
    path = tmp_path / "a.sf2"
    path.write_bytes(
        sf(
            pool,
            (b"Horn C4(L)", 0, 8000, 0, 0, 4),
            (b"Horn C4(R)", 8000, 16000, 0, 0, 2),
            (b"Gong", 16000, 24000, 16000, 16000, 1),
        )
    )
    horn, gong = soundfont(path, "MIT")
    assert [(c.name, c.group) for c in (horn, gong)] == [("horn-c4", "horn"), ("gong", "gong")]
    sound, rate = gong.decode()
    assert rate == RATE_HZ
    np.testing.assert_allclose(sound, tone(8000, 220), atol=1e-3)
    assert gong.seconds == pytest.approx(len(sound) / rate)


@pytest.mark.parametrize("loop", [(3000, 6000), (10, 7000), (3000, 3100), (5000, 9000)])
def test_a_loop_is_played_two_seconds_where_it_is_one(
    tmp_path: Path, loop: tuple[int, int]
) -> None:
    path = tmp_path / "a.sf2"
    # from the sample's very beginning, of a single period, or past its end: no loop to repeat
    path.write_bytes(sf(pcm(tone(8000)), (b"Pad", 0, 8000, *loop, 1)))
    (pad,) = soundfont(path, "MIT")
    sound, rate = pad.decode()
    assert len(sound) / rate == pytest.approx(pad.seconds)
    if loop == (3000, 6000):
        assert len(sound) == 2 * rate
        np.testing.assert_array_equal(sound[6000:9000], sound[3000:6000])
    else:
        assert len(sound) == 8000


def test_a_compressed_soundfont_is_decoded(tmp_path: Path) -> None:
    stream = io.BytesIO()
    soundfile.write(stream, tone(), RATE_HZ, format="OGG", subtype="VORBIS")
    ogg = stream.getvalue()
    path = tmp_path / "a.sf3"
    path.write_bytes(sf(b"\0" * 100 + ogg, (b"Oboe", 100, 100 + len(ogg), 0, 0, 17)))
    (oboe,) = soundfont(path, "MIT")
    sound, _ = oboe.decode()
    assert len(sound) == RATE_HZ
    assert np.sqrt(np.mean((sound - tone()) ** 2)) < 0.05


def wad() -> bytes:
    lump = struct.pack("<HHI", 3, 11025, 4000 + 32)
    lump += bytes([128] * 16 + [128, 192, 64, 128] * 1000 + [128] * 16)
    entries = struct.pack("<ii8s", 12, len(lump), b"DSBOOM")
    entries += struct.pack("<ii8s", 12, len(lump), b"D_MUSIC")
    return struct.pack("<4sii", b"IWAD", 2, 12 + len(lump)) + lump + entries


def test_a_doom_archive_gives_its_sounds(tmp_path: Path) -> None:
    path = tmp_path / "a.wad"
    path.write_bytes(wad())
    (boom,) = archive(path, "BSD-3-clause")
    sound, rate = boom.decode()
    assert (boom.name, rate, len(sound)) == ("dsboom", 11025, 4000)
    np.testing.assert_array_equal(sound[:4], np.array([0, 0.5, -0.5, 0], np.float32))


@pytest.mark.parametrize("read", [soundfont, archive])
def test_another_file_is_refused_by_name(tmp_path: Path, read: type) -> None:
    (tmp_path / "a.txt").write_text("nothing of the kind, and long enough to be looked at")
    with pytest.raises(ValueError, match=r"a\.txt is no"):
        read(tmp_path / "a.txt", "MIT")


COPYRIGHT = """\
Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/

Files: *
Copyright: somebody
License: GPL-2+

Files: snd/*
Copyright: somebody
License: public-domain
 Given away.

Files: ./snd/b.wav snd/c.wav
License: CC-BY-SA-3.0

Files: snd/loud one.wav
License: CC-BY-NC-4.0

Files:
 snd/d.wav
 snd/e?f.wav
License: GPL-3 or CC-BY-3.0

License: GPL-2+
 The text.
"""


def test_only_free_files_are_taken_each_by_the_last_paragraph_that_matches(tmp_path: Path) -> None:
    (tmp_path / "copyright").write_text(COPYRIGHT)
    licence_of = licences(tmp_path / "copyright", "snd/{}".format)
    assert licence_of("a.wav") == "public-domain"
    assert [licence_of(name) for name in ("b.wav", "c.wav", "loud one.wav")] == [None] * 3
    assert [licence_of(name) for name in ("d.wav", "e f.wav")] == ["CC-BY-3.0"] * 2
    assert licences(tmp_path / "copyright", "src/{}".format)("a.wav") is None

    (tmp_path / "x").mkdir()
    for name in ("a", "b", "d"):
        soundfile.write(tmp_path / "x" / f"{name}.wav", tone(4000), RATE_HZ)
    taken = files(tmp_path, "x", licence_of, instrument)
    assert [(c.name, c.licence) for c in taken] == [("a", "public-domain"), ("d", "CC-BY-3.0")]


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.floats(0.2, 5.0)), max_size=40),
    st.floats(0.0, 60.0),
)
def test_what_is_chosen_fits_and_asks_no_order(made: list[tuple[str, float]], cap: float) -> None:
    clips = [clip(f"{g}{i:02}", g, s) for i, (g, s) in enumerate(made)]
    chosen = spread(clips, cap)
    assert sum(c.seconds for c in chosen) <= cap + 1e-9
    assert chosen == spread(clips[::-1], cap)
    if sum(c.seconds for c in clips) <= cap:
        assert len(chosen) == len(clips)


def test_a_small_choice_has_every_group_and_is_spread_over_it() -> None:
    clips = [clip(f"big{i:02}", "big", 1.0) for i in range(16)] + [clip("one", "one", 1.0)]
    chosen = [c.name for c in spread(clips, 5.0)]
    assert chosen == ["big00", "big04", "big08", "big12", "one"]


@pytest.mark.parametrize(
    ("title", "group"),
    [("Trombone Bb3(L)", "trombone"), ("Cellpzz-B3-v2-r2l", "cellpzz"), ("Temple Block 5-mp", "")],
)
def test_pitch_loudness_and_side_are_not_the_instrument(title: str, group: str) -> None:
    assert instrument(title) == (group or "temple-block")


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
    """Return a folder of programs that stand in for apt, with one package that holds a WAD."""
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


def test_what_is_there_is_kept_and_what_was_changed_comes_again(
    tmp_path: Path, programs: Path
) -> None:
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
    assert (tmp_path / "calls").read_text() == "\n"  # it was fetched once
    path.write_bytes(b"spoilt")
    assert run(out, programs).returncode == 0
    assert path.read_bytes() == before
    assert (out / "sounds.csv").read_bytes() == table


@pytest.mark.parametrize(
    ("name", "shell", "told"),
    [
        ("apt-get", "echo 'E: Temporary failure resolving' >&2; exit 100", "is there a network?"),
        ("apt-get", "echo other >freedoom_1.0-1_all.deb", "not what apt announced"),
        ("apt-cache", "echo 'E: No packages found' >&2; exit 100", "apt knows no package freedoom"),
        ("dpkg-deb", "echo 'broken archive' >&2; exit 2", "cannot be unpacked"),
    ],
)
def test_what_fails_is_told_in_one_line_and_leaves_nothing_half_done(
    tmp_path: Path, programs: Path, name: str, shell: str, told: str
) -> None:
    program(programs / name, shell)
    out = tmp_path / "out"
    done = run(out, programs)
    assert done.returncode == 1
    assert told in done.stderr
    assert done.stderr.count("\n") == 1
    assert not list(out.glob("**/*"))


def test_without_apt_the_mend_is_told_in_one_line(tmp_path: Path) -> None:
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
