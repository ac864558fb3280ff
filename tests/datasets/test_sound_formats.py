"""Readers of SoundFonts and Doom archives."""

import io
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile

from datasets.sound_formats import instrument_of, read_soundfont, read_wad
from tests.datasets.wad import wad

RATE_HZ = 22050


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


def test_a_soundfont_has_each_sample_once_and_of_a_stereo_pair_the_left(tmp_path: Path) -> None:
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
    horn, gong = read_soundfont(path, "MIT")
    assert [(c.name, c.group) for c in (horn, gong)] == [("horn-c4", "horn"), ("gong", "gong")]
    sound, rate = gong.decode()
    assert rate == RATE_HZ
    np.testing.assert_allclose(sound, tone(8000, 220), atol=1e-3)
    assert gong.seconds == pytest.approx(len(sound) / rate)


@pytest.mark.parametrize("loop", [(3000, 6000), (10, 7000), (3000, 3100), (5000, 9000)])
def test_a_usable_loop_is_played_for_two_seconds(tmp_path: Path, loop: tuple[int, int]) -> None:
    path = tmp_path / "a.sf2"
    # unusable: from the beginning of the sample, of a single period, or past its end
    path.write_bytes(sf(pcm(tone(8000)), (b"Pad", 0, 8000, *loop, 1)))
    (pad,) = read_soundfont(path, "MIT")
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
    (oboe,) = read_soundfont(path, "MIT")
    sound, _ = oboe.decode()
    assert len(sound) == RATE_HZ
    assert np.sqrt(np.mean((sound - tone()) ** 2)) < 0.05


def test_a_doom_archive_has_its_sounds(tmp_path: Path) -> None:
    path = tmp_path / "a.wad"
    path.write_bytes(wad())
    (boom,) = read_wad(path, "BSD-3-clause")
    sound, rate = boom.decode()
    assert (boom.name, rate, len(sound)) == ("dsboom", 11025, 4000)
    np.testing.assert_array_equal(sound[:4], np.array([0, 0.5, -0.5, 0], np.float32))


@pytest.mark.parametrize("read", [read_soundfont, read_wad])
def test_another_format_is_refused_with_the_file_name(tmp_path: Path, read: type) -> None:
    (tmp_path / "a.txt").write_text("plain text of sufficient length for a header")
    with pytest.raises(ValueError, match=r"a\.txt is no"):
        read(tmp_path / "a.txt", "MIT")


@pytest.mark.parametrize(
    ("title", "group"),
    [("Trombone Bb3(L)", "trombone"), ("Cellpzz-B3-v2-r2l", "cellpzz"), ("Temple Block 5-mp", "")],
)
def test_pitch_dynamics_and_channel_are_not_the_instrument(title: str, group: str) -> None:
    assert instrument_of(title) == (group or "temple-block")
