"""Recordings of every kind: read, with a notice if limited, or refused with the remedy."""

import itertools
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

from asd_monitor.audio.files.recording_search import (
    RecordingNotFoundError,
    find_recordings,
    natural_order,
)
from asd_monitor.audio.files.recordings import RecordingReader, read_recording
from asd_monitor.errors import OperationError, UsageError

RATE = 16000


def noise(seconds: float = 2.0, channels: int = 1, rate_hz: int = RATE):
    shape = (round(seconds * rate_hz), channels)
    return np.random.default_rng(1).normal(0, 0.1, shape).astype(np.float32)


@pytest.fixture
def good(tmp_path: Path) -> Path:
    soundfile.write(tmp_path / "good.wav", noise(), RATE)
    return tmp_path / "good.wav"


def test_recording_is_read_as_written(good: Path):
    recording = read_recording(good)
    assert recording.rate_hz == RATE
    assert recording.notices == ()
    np.testing.assert_allclose(recording.samples, noise()[:, 0], atol=1 / 32768)
    assert recording.samples.dtype == np.float32


def test_blocks_are_gapless(good: Path):
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
def test_rates_sample_formats_and_channel_counts(tmp_path, rate_hz, channels, subtype, notices):
    sound = noise(0.5, channels, rate_hz)
    soundfile.write(tmp_path / "a.wav", sound, rate_hz, subtype=subtype)
    recording = read_recording(tmp_path / "a.wav")
    assert recording.rate_hz == rate_hz
    assert len(recording.notices) == len(notices)
    assert all(want in text for want, text in zip(notices, recording.notices, strict=True))
    np.testing.assert_allclose(recording.samples, sound[:, 0], atol=0.01)


def test_selected_channel_is_read_without_a_notice(tmp_path):
    sound = noise(0.5, 3)
    soundfile.write(tmp_path / "a.flac", sound, RATE)
    recording = read_recording(tmp_path / "a.flac", channel=2)
    np.testing.assert_allclose(recording.samples, sound[:, 2], atol=1e-4)
    assert recording.notices == ()
    with pytest.raises(UsageError, match="no channel 3"):
        read_recording(tmp_path / "a.flac", channel=3)


def test_mp3_named_wav_is_read_with_a_notice(tmp_path):
    soundfile.write(tmp_path / "a.mp3", noise(), RATE)
    (tmp_path / "a.mp3").rename(tmp_path / "a.wav")
    recording = read_recording(tmp_path / "a.wav")
    assert len(recording.samples) >= 2 * RATE
    assert "MP3 data" in recording.notices[0]


def test_truncated_wav_is_read_up_to_its_end(good: Path):
    good.write_bytes(good.read_bytes()[: RATE * 2 + 44 + 1])
    recording = read_recording(good)
    assert len(recording.samples) == RATE
    assert "1.0 s of 2.0 s" in recording.notices[0]


def test_truncated_flac_is_read_up_to_the_damage(tmp_path):
    soundfile.write(tmp_path / "a.flac", noise(5.0), RATE)
    data = (tmp_path / "a.flac").read_bytes()
    (tmp_path / "a.flac").write_bytes(data[: len(data) * 4 // 5])
    recording = read_recording(tmp_path / "a.flac")
    assert 2 * RATE <= len(recording.samples) < 5 * RATE
    assert "used up to there" in recording.notices[0]


def test_header_without_a_length_is_refused_with_the_remedy(good: Path):
    data = bytearray(good.read_bytes())
    at = data.index(b"data")
    data[at + 4 : at + 8] = struct.pack("<I", 0)
    good.write_bytes(data)
    with pytest.raises(UsageError, match="interrupted, repair it"):
        read_recording(good)


def test_single_sample_that_is_not_finite_is_counted(tmp_path):
    sound = noise()
    sound[10] = np.nan
    soundfile.write(tmp_path / "a.wav", sound, RATE, subtype="FLOAT")
    with RecordingReader(tmp_path / "a.wav") as reader:
        list(reader.blocks())
        assert "a.wav: 1 sample is not finite" in reader.notices[0]


def test_samples_that_are_not_finite_are_a_gap_and_refused_in_memory(tmp_path):
    sound = noise()
    sound[0] = np.nan
    sound[1000:1100] = np.inf
    soundfile.write(tmp_path / "a.wav", sound, RATE, subtype="FLOAT")
    with RecordingReader(tmp_path / "a.wav") as reader:
        blocks = list(reader.blocks())
        assert [(block.start, block.end) for block in blocks[:2]] == [(1, 1000), (1100, RATE)]
        assert "101 samples are not finite" in reader.notices[0]
    with pytest.raises(UsageError, match="not finite"):
        read_recording(tmp_path / "a.wav")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "0 bytes"),
        (b"hello", "not a recording"),
        (b"RIFF\x00\x00", "not a recording"),
        (b"12345678", "not a recording"),
    ],
)
def test_file_that_is_no_recording_is_refused(tmp_path, content, message):
    (tmp_path / "a.wav").write_bytes(content)
    with pytest.raises(UsageError, match=message):
        RecordingReader(tmp_path / "a.wav")


def test_absent_file_is_reported(tmp_path):
    for read in (find_recordings, RecordingReader):
        with pytest.raises(RecordingNotFoundError, match="no such file"):
            read(tmp_path / "none.wav")


def test_recordings_of_a_folder_are_found_in_natural_order(tmp_path):
    for name in ("b/1.wav", "a10.WAV", "a2.flac", "a1.wav", ".hidden.wav", "notes.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = [str(path.relative_to(tmp_path)) for path in find_recordings(tmp_path)]
    assert found == ["a1.wav", "a2.flac", "a10.WAV", "b/1.wav"]


def test_folder_without_recordings_is_refused(tmp_path):
    with pytest.raises(UsageError, match="no recording in this folder"):
        find_recordings(tmp_path)


@given(st.lists(st.text(min_size=1, max_size=6)))
def test_any_names_can_be_sorted(names):
    assert len(sorted(map(Path, names), key=natural_order)) == len(names)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become nobody")
@pytest.mark.slow
def test_missing_permission_is_reported_with_the_remedy(good: Path):
    good.chmod(0)
    script = (
        "import os, sys; from pathlib import Path\n"
        "from asd_monitor.audio.files.recordings import RecordingReader\n"
        "path = Path(sys.argv[1]); os.chdir(path.parent); os.setuid(65534)\n"
        "RecordingReader(Path(path.name))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(good)], capture_output=True, text=True, check=False
    )
    assert OperationError.__name__ in done.stderr
    assert "chmod" in done.stderr


def test_blocks_at_another_rate_keep_their_gap(tmp_path):
    sound = noise()
    sound[16000:16100] = np.nan
    soundfile.write(tmp_path / "a.wav", sound, RATE, subtype="FLOAT")
    with RecordingReader(tmp_path / "a.wav") as reader:
        blocks = [block for block in reader.blocks_at(RATE // 2) if len(block.samples)]
    gaps = [(a.end, b.start) for a, b in itertools.pairwise(blocks) if a.end != b.start]
    assert gaps == [(8000, 8050)]
    assert blocks[-1].end == RATE
