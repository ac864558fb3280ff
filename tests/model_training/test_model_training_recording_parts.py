"""Parts of recordings are the same samples as in a read of the whole file."""

import itertools
from pathlib import Path

import numpy as np
import pytest

from asd_monitor.audio.files.recordings import RecordingReader, read_recording
from asd_monitor.model_training.encoder_sound import read_gapless, read_parts
from asd_monitor.model_training.recording_parts import RecordingPart
from asd_monitor.model_training.sound_files import SoundFile, inspect_recording
from tests.doubles.synthetic_sounds import machine_sound, write

SECONDS = 7.5


def _recording(folder: Path, suffix: str, rate_hz: int = 16_000) -> SoundFile:
    path = write(folder / f"a.{suffix}", machine_sound(SECONDS, rate_hz=rate_hz), rate_hz)
    return inspect_recording(path)


def _samples(part: RecordingPart) -> np.ndarray:
    return np.concatenate([block.samples for block in part.blocks()])


@pytest.mark.parametrize("suffix", ["wav", "flac"])
@pytest.mark.parametrize(("from_s", "to_s"), [(0.0, 7.5), (0.25, 0.5), (2.0, 5.0), (3.3, 7.5)])
def test_a_part_is_a_slice_of_the_recording(
    tmp_path: Path, suffix: str, from_s: float, to_s: float
) -> None:
    file = _recording(tmp_path, suffix)
    part = RecordingPart(file, from_s, to_s)
    blocks = list(part.blocks())
    assert blocks[0].start == round(from_s * 16_000)
    assert all(a.end == b.start for a, b in itertools.pairwise(blocks))
    whole = read_recording(file.path).samples
    np.testing.assert_array_equal(_samples(part), whole[slice(*part.span)])


def test_sound_before_a_part_is_not_decoded(tmp_path: Path) -> None:
    file = _recording(tmp_path, "flac")
    with RecordingReader(file.path) as reader:
        assert next(iter(reader.blocks(from_sample=6 * 16_000 + 5))).start == 6 * 16_000


def test_a_lossy_recording_is_decoded_from_its_start(tmp_path: Path) -> None:
    path = write(tmp_path / "a.ogg", machine_sound(SECONDS), subtype="VORBIS")
    part = RecordingPart(inspect_recording(path), 3.0, 4.0)
    with RecordingReader(path) as reader:
        assert next(iter(reader.blocks(from_sample=part.span[0]))).start == 0
    whole = read_recording(path).samples
    np.testing.assert_array_equal(_samples(part), whole[slice(*part.span)])


def test_a_part_beyond_the_end_of_a_truncated_file_is_empty(tmp_path: Path) -> None:
    file = _recording(tmp_path, "flac")
    file.path.write_bytes(file.path.read_bytes()[: file.path.stat().st_size // 3])
    assert sum(len(block.samples) for block in RecordingPart(file, 6.0, 7.0).blocks()) == 0


def test_gaps_divide_a_part_into_pieces(tmp_path: Path) -> None:
    sound = machine_sound(SECONDS, rate_hz=32_000)
    sound[32_000 * 3 : 32_000 * 3 + 10] = np.nan
    file = inspect_recording(write(tmp_path / "a.wav", sound, 32_000, subtype="FLOAT"))
    [[first, second], [rest]] = read_parts(
        [RecordingPart(file, 1.0, 5.0), RecordingPart(file, 5.0, 7.0)], None
    )
    assert len(first) == pytest.approx(2 * 16_000, abs=800)  # less what the resampler holds
    assert len(second) == pytest.approx(2 * 16_000, abs=10)
    assert len(rest) == 2 * 16_000


def test_a_whole_recording_is_resampled_to_the_rate_of_the_encoders(tmp_path: Path) -> None:
    file = _recording(tmp_path, "wav", 48_000)
    [piece] = read_gapless(file.path)
    assert len(piece) == pytest.approx(SECONDS * 16_000, abs=1)
    [[same]] = read_parts([RecordingPart(file, 0.0, SECONDS)], None)
    np.testing.assert_array_equal(piece, same)
