"""Recordings of every kind: what works works with a notice, the rest is refused with the mend."""

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

from asd_monitor.audio.files.recordings import (
    AbsentRecordingError,
    RecordingReader,
    find_recordings,
    natural_order,
    read_recording,
)
from asd_monitor.errors import OperationError, UsageError

RATE = 16000


def noise(seconds: float = 2.0, channels: int = 1, rate_hz: int = RATE):
    shape = (round(seconds * rate_hz), channels)
    return np.random.default_rng(1).normal(0, 0.1, shape).astype(np.float32)


@pytest.fixture
def good(tmp_path: Path) -> Path:
    soundfile.write(tmp_path / "good.wav", noise(), RATE)
    return tmp_path / "good.wav"


def test_a_recording_is_what_was_written(good: Path):
    got = read_recording(good)
    assert got.rate_hz == RATE
    assert got.notices == ()
    np.testing.assert_allclose(got.samples, noise()[:, 0], atol=1 / 32768)
    assert got.samples.dtype == np.float32


def test_it_is_read_in_pieces_that_join(good: Path):
    with RecordingReader(good) as reader:
        blocks = list(reader.blocks(999))
    assert [block.start for block in blocks] == list(range(0, 2 * RATE, 999))
    np.testing.assert_array_equal(
        np.concatenate([block.samples for block in blocks]), read_recording(good).samples
    )


@pytest.mark.parametrize(
    ("rate_hz", "channels", "subtype", "notices"),
    [
        (192000, 8, "PCM_24", ["8 channels"]),
        (8000, 1, "PCM_16", ["nothing above 4000 Hz"]),
        (44100, 2, "FLOAT", ["2 channels"]),
        (16000, 1, "PCM_U8", []),
    ],
)
def test_any_rate_width_and_number_of_channels(tmp_path, rate_hz, channels, subtype, notices):
    sound = noise(0.5, channels, rate_hz)
    soundfile.write(tmp_path / "a.wav", sound, rate_hz, subtype=subtype)
    got = read_recording(tmp_path / "a.wav")
    assert got.rate_hz == rate_hz
    assert len(got.notices) == len(notices)
    assert all(want in text for want, text in zip(notices, got.notices, strict=True))
    np.testing.assert_allclose(got.samples, sound[:, 0], atol=0.01)


def test_a_channel_is_chosen_without_a_notice(tmp_path):
    sound = noise(0.5, 3)
    soundfile.write(tmp_path / "a.flac", sound, RATE)
    got = read_recording(tmp_path / "a.flac", channel=2)
    np.testing.assert_allclose(got.samples, sound[:, 2], atol=1e-4)
    assert got.notices == ()
    with pytest.raises(UsageError, match="no channel 3"):
        read_recording(tmp_path / "a.flac", channel=3)


def test_an_mp3_that_is_called_wav(tmp_path):
    soundfile.write(tmp_path / "a.mp3", noise(), RATE)
    (tmp_path / "a.mp3").rename(tmp_path / "a.wav")
    got = read_recording(tmp_path / "a.wav")
    assert len(got.samples) >= 2 * RATE
    assert "MP3 inside" in got.notices[0]


def test_a_truncated_wav_gives_what_is_there(good: Path):
    good.write_bytes(good.read_bytes()[: RATE * 2 + 44 + 1])
    got = read_recording(good)
    assert len(got.samples) == RATE
    assert "1.0 s of 2.0 s" in got.notices[0]


def test_a_truncated_flac_gives_what_is_there(tmp_path):
    soundfile.write(tmp_path / "a.flac", noise(5.0), RATE)
    data = (tmp_path / "a.flac").read_bytes()
    (tmp_path / "a.flac").write_bytes(data[: len(data) * 4 // 5])
    got = read_recording(tmp_path / "a.flac")
    assert 2 * RATE <= len(got.samples) < 5 * RATE
    assert "used up to there" in got.notices[0]


def test_an_unfinished_header_is_explained(good: Path):
    data = bytearray(good.read_bytes())
    at = data.index(b"data")
    data[at + 4 : at + 8] = struct.pack("<I", 0)
    good.write_bytes(data)
    with pytest.raises(UsageError, match="cut off"):
        read_recording(good)


def test_one_sample_that_is_no_number_is_told_as_one(tmp_path):
    sound = noise()
    sound[10] = np.nan
    soundfile.write(tmp_path / "a.wav", sound, RATE, subtype="FLOAT")
    with RecordingReader(tmp_path / "a.wav") as reader:
        list(reader.blocks())
        assert "a.wav: 1 sample is no number" in reader.notices[0]


def test_what_is_no_number_is_a_gap_in_the_stream_and_refused_in_one_piece(tmp_path):
    sound = noise()
    sound[0] = np.nan
    sound[1000:1100] = np.inf
    soundfile.write(tmp_path / "a.wav", sound, RATE, subtype="FLOAT")
    with RecordingReader(tmp_path / "a.wav") as reader:
        blocks = list(reader.blocks())
        assert [(block.start, block.end) for block in blocks[:2]] == [(1, 1000), (1100, RATE)]
        assert "101 samples are not numbers" in reader.notices[0]
    with pytest.raises(UsageError, match="not numbers"):
        read_recording(tmp_path / "a.wav")


@pytest.mark.parametrize(
    ("content", "says"),
    [(b"", "0 bytes"), (b"hello", "not a recording"), (b"RIFF\x00\x00", "not a recording")],
)
def test_what_is_no_recording_is_refused(tmp_path, content, says):
    (tmp_path / "a.wav").write_bytes(content)
    with pytest.raises(UsageError, match=says):
        RecordingReader(tmp_path / "a.wav")


def test_headerless_sound_is_refused(tmp_path):
    (tmp_path / "a.raw").write_bytes(b"12345678")
    with pytest.raises(UsageError, match="headerless"):
        RecordingReader(tmp_path / "a.raw")


def test_what_is_absent_is_said_to_be_so(tmp_path):
    for look in (find_recordings, RecordingReader):
        with pytest.raises(AbsentRecordingError, match="no such file"):
            look(tmp_path / "none.wav")


def test_a_folder_in_natural_order(tmp_path):
    for name in ("b/1.wav", "a10.WAV", "a2.flac", "a1.wav", ".hidden.wav", "notes.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = [str(path.relative_to(tmp_path)) for path in find_recordings(tmp_path)]
    assert found == ["a1.wav", "a2.flac", "a10.WAV", "b/1.wav"]


def test_a_folder_without_recordings_is_refused(tmp_path):
    with pytest.raises(UsageError, match="no recording in this folder"):
        find_recordings(tmp_path)


@given(st.lists(st.text(min_size=1, max_size=6)))
def test_any_names_can_be_put_in_order(names):
    assert len(sorted(map(Path, names), key=natural_order)) == len(names)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become nobody")
@pytest.mark.slow
def test_no_permission_is_said_with_the_mend(good: Path):
    good.chmod(0)
    look = (
        "import os, sys; from pathlib import Path\n"
        "from asd_monitor.audio.files.recordings import *\n"
        "path = Path(sys.argv[1]); os.chdir(path.parent); os.setuid(65534)\n"
        "RecordingReader(Path(path.name))"
    )
    done = subprocess.run(
        [sys.executable, "-c", look, str(good)], capture_output=True, text=True, check=False
    )
    assert OperationError.__name__ in done.stderr
    assert "chmod" in done.stderr
