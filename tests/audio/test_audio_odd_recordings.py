"""Recordings that are unfinished, longer than their header, hostile or oddly named."""

import io
import os
import struct
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from asd_monitor.audio.files.decoder import MAX_RATE_HZ
from asd_monitor.audio.files.recording_search import search_recordings
from asd_monitor.audio.files.recordings import RecordingReader
from asd_monitor.dsp.sample_faults import MAX_AMPLITUDE
from asd_monitor.errors import OperationError, UsageError
from tests.doubles.unfinished_flac import unfinished_flac

RATE = 16000


def noise(seconds: float, channels: int = 1):
    shape = (round(seconds * RATE), channels)
    return np.random.default_rng(1).normal(0, 0.1, shape).astype(np.float32)


def encoded(seconds: float, container: str = "WAV", subtype: str = "PCM_16") -> bytes:
    data = io.BytesIO()
    soundfile.write(data, noise(seconds), RATE, subtype, format=container)
    return data.getvalue()


def read(path: Path) -> tuple[float, list[str]]:
    """Return the seconds that are read, and the notices; they agree with the length."""
    with RecordingReader(path) as reader:
        seconds = sum(len(block.samples) for block in reader.blocks()) / reader.rate_hz
        assert reader.length_s() == pytest.approx(seconds, abs=0.01)
        return seconds, [notice.removeprefix(f"{path}: ") for notice in reader.notices]


def test_unfinished_flac_is_read_to_its_end(tmp_path: Path) -> None:
    path = unfinished_flac(tmp_path / "a.flac", noise(20.3)[:, 0], RATE)
    seconds, [notice] = read(path)
    assert seconds == pytest.approx(20.3, abs=4096 / RATE)
    assert "interrupted" in notice
    assert "20.3 s are present and used" in notice
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 2 // 3])
    seconds, [notice] = read(path)
    assert seconds == pytest.approx(20.3 * 2 / 3, rel=0.05)


def test_length_that_a_damaged_file_declares_is_not_believed(tmp_path: Path) -> None:
    data = bytearray(encoded(20.0, "FLAC"))
    number = int.from_bytes(data[18:26], "big")
    data[18:26] = (number | (1 << 36) - 1).to_bytes(8, "big")
    (tmp_path / "a.flac").write_bytes(data)
    with RecordingReader(tmp_path / "a.flac") as reader:
        assert reader.length_s() == pytest.approx(20.0)


def wrapped(container: str, data: bytes) -> bytes:
    """Return a file whose header declares a quarter of its samples, as after an overflow."""
    changed = bytearray(data)
    if container in {"WAV", "WAVEX"}:
        at = data.index(b"data") + 4
        size = struct.unpack("<I", data[at : at + 4])[0]
        changed[at : at + 4] = struct.pack("<I", size // 4)
    elif container == "RF64":
        at = data.index(b"ds64") + 16
        size = struct.unpack("<Q", data[at : at + 8])[0]
        changed[at : at + 8] = struct.pack("<Q", size // 4)
        at = data.index(b"data") + 4
        changed[at : at + 4] = struct.pack("<I", 0xFFFFFFFF)
    elif container == "AIFF":
        at = data.index(b"SSND") + 4
        size = struct.unpack(">I", data[at : at + 4])[0]
        changed[at : at + 4] = struct.pack(">I", (size - 8) // 4 + 8)
        at = data.index(b"COMM") + 10
        frames = struct.unpack(">I", data[at : at + 4])[0]
        changed[at : at + 4] = struct.pack(">I", frames // 4)
    elif container == "AU":
        size = struct.unpack(">I", data[8:12])[0]
        changed[8:12] = struct.pack(">I", size // 4)
    elif container == "CAF":
        at = data.index(b"data") + 4
        size = struct.unpack(">q", data[at : at + 8])[0]
        changed[at : at + 8] = struct.pack(">q", (size - 4) // 4 + 4)
    elif container == "FLAC":
        number = int.from_bytes(data[18:26], "big")
        frames = number & (1 << 36) - 1
        changed[18:26] = (number - frames + frames // 4).to_bytes(8, "big")
    return bytes(changed)


@pytest.mark.parametrize("container", ["WAV", "WAVEX", "RF64", "AIFF", "AU", "CAF", "FLAC"])
def test_sound_behind_the_declared_end_is_reported(tmp_path: Path, container: str) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(encoded(20.0, container))
    assert read(path) == (20.0, [])
    path.write_bytes(wrapped(container, encoded(20.0, container)))
    seconds, [notice] = read(path)
    assert seconds == 5.0
    about = "19." if container == "FLAC" else "20.0 s"
    assert notice.startswith(f"5.0 s of about {about}")
    assert "read" in notice


@pytest.mark.parametrize(
    ("container", "subtype"),
    [("FLAC", "PCM_16"), ("OGG", "VORBIS"), ("OGG", "OPUS"), ("MP3", "MPEG_LAYER_III")],
)
def test_second_recording_in_a_file_is_reported(
    tmp_path: Path, container: str, subtype: str
) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(2 * encoded(20.0, container, subtype))
    seconds, notices = read(path)
    assert seconds == pytest.approx(20.0, abs=0.1)
    assert any(
        notice.startswith(("20.0 s of about 39", "20.0 s of about 40")) for notice in notices
    )
    assert "files of their own" in notices[-1]


@pytest.mark.parametrize(
    ("container", "subtype"),
    [
        *(("WAV", "PCM_16"), ("RF64", "PCM_16"), ("W64", "PCM_16"), ("AIFF", "PCM_16")),
        *(("AU", "PCM_16"), ("FLAC", "PCM_16"), ("OGG", "VORBIS"), ("OGG", "OPUS")),
    ],
)
def test_truncated_recording_is_read_with_a_notice(
    tmp_path: Path, container: str, subtype: str
) -> None:
    path = tmp_path / "a.wav"
    data = encoded(20.0, container, subtype)
    path.write_bytes(data[: len(data) // 2])
    seconds, notices = read(path)
    assert 8 < seconds < 12
    assert any("truncated" in notice or "damaged" in notice for notice in notices)


def test_metadata_behind_the_sound_is_no_sound(tmp_path: Path) -> None:
    text = b"LIST" + struct.pack("<I", 5001) + bytes(5002)
    (tmp_path / "a.wav").write_bytes(encoded(2.0) + text)
    assert read(tmp_path / "a.wav") == (2.0, [])


@pytest.mark.parametrize("rate_hz", [0, 1, MAX_RATE_HZ + 1, 2**31 - 1])
def test_absurd_rate_is_refused_before_memory_is_allocated(tmp_path: Path, rate_hz: int) -> None:
    data = bytearray(encoded(1.0))
    data[24:28] = struct.pack("<I", rate_hz)
    (tmp_path / "a.wav").write_bytes(data)
    with pytest.raises(UsageError, match=r"no sample rate|not a recording"):
        RecordingReader(tmp_path / "a.wav")


def test_blocks_of_many_channels_are_bounded_in_memory(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.full((RATE, 1000), 0.25, np.float32), RATE)
    with RecordingReader(tmp_path / "a.wav", channel=999) as reader:
        blocks = list(reader.blocks())
    assert sum(len(block.samples) for block in blocks) == RATE
    assert max(len(block.samples) for block in blocks) * 1000 * 4 <= 4 << 20


@pytest.mark.parametrize("value", [np.nan, np.inf, 3e38, -1e30, 10 * MAX_AMPLITUDE])
def test_unusable_sample_is_a_gap(tmp_path: Path, value: float) -> None:
    sound = noise(2.0)
    sound[RATE] = value
    soundfile.write(tmp_path / "a.wav", sound, RATE, "FLOAT")
    with RecordingReader(tmp_path / "a.wav") as reader:
        spans = [(block.start, block.end) for block in reader.blocks()]
        assert spans == [(0, RATE), (RATE + 1, 2 * RATE)]
        [notice] = reader.notices
    assert "1 sample is not finite" in notice


def test_pipe_or_device_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.wav")
    began = time.monotonic()
    for path in (tmp_path / "pipe.wav", Path("/dev/zero"), tmp_path):
        with pytest.raises(UsageError, match="not a file"):
            RecordingReader(path)
    assert time.monotonic() - began < 5


@pytest.mark.skipif(sys.platform != "linux", reason="names are bytes on Linux only")
def test_any_name_is_read_and_printed_in_one_line(tmp_path: Path) -> None:
    for name in (b"latin \xe4.wav", b"line\nbreak.wav", b"\x1b[31m.wav", b"fan [normal].wav"):
        path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name))
        path.write_bytes(encoded(2.0, "MP3", "MPEG_LAYER_III"))
        with RecordingReader(path) as reader:
            [notice] = reader.notices
        assert notice.isprintable()
        assert notice.encode()
        path.write_bytes(b"x" * 100)
        with pytest.raises(UsageError) as refused:
            RecordingReader(path)
        assert str(refused.value).isprintable()
    assert len(search_recordings(tmp_path).paths) == 4


def test_links_to_folders_are_followed_once(tmp_path: Path) -> None:
    for name in ("a/1.wav", "elsewhere/2.wav"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).touch()
    (tmp_path / "a/link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "a/loop").symlink_to(tmp_path / "a")
    (tmp_path / "a/itself").symlink_to("itself")
    found = search_recordings(tmp_path / "a")
    assert [path.name for path in found.paths] == ["1.wav", "2.wav"]


def test_files_that_are_left_out_are_counted(tmp_path: Path) -> None:
    for name in ("1.wav", "1.json", "2.bin", "3.BIN", "notes", ".hidden"):
        (tmp_path / name).touch()
    [notice] = search_recordings(tmp_path).notices
    assert "3 files left out" in notice
    assert "(.bin, no suffix)" in notice
    (tmp_path / "1.wav").unlink()
    with pytest.raises(UsageError, match=r"no recording in this folder.*3 files left out"):
        search_recordings(tmp_path)


def test_folder_that_cannot_be_listed_stops_no_other(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "closed").mkdir()
    (tmp_path / "1.wav").touch()
    scandir = os.scandir

    def refusing(path: Path):
        if Path(path).name == "closed":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    found = search_recordings(tmp_path)
    assert [path.name for path in found.paths] == ["1.wav"]
    assert "closed: folder left out (Permission denied)" in found.notices[0]
    with pytest.raises(OperationError, match="no permission"):
        search_recordings(tmp_path / "closed")


def test_very_deep_folders_are_searched(tmp_path: Path) -> None:
    folder = tmp_path
    for _ in range(1200):
        folder = folder / "d"
        folder.mkdir()
    (folder / "1.wav").touch()
    found = search_recordings(tmp_path).paths
    (folder / "1.wav").unlink()
    while folder != tmp_path:  # what removes temporary folders is recursive
        folder.rmdir()
        folder = folder.parent
    assert len(found) == 1
