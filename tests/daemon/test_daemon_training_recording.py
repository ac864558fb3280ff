"""Recording of the sound for a machine's first model."""

import os
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from asd_monitor.daemon.training_recording import TrainingRecording, min_piece_s
from asd_monitor.errors import OperationError
from asd_monitor.records import Block
from tests.doubles.blocks import block_at

RATE_HZ = 8000


def noise(start: int, seconds: float) -> Block:
    rng = np.random.default_rng(start)
    return block_at(
        start, rng.uniform(-0.5, 0.5, round(seconds * RATE_HZ)).astype(np.float32), RATE_HZ
    )


def durations_s(folder: Path) -> list[float]:
    return [soundfile.info(path).duration for path in sorted(folder.glob("*.flac"))]


def begun(folder: Path, target_s: float) -> TrainingRecording:
    recording = TrainingRecording(folder, target_s)
    recording.begin(RATE_HZ)
    return recording


def test_sound_is_stored_bit_exact_in_files_of_a_minute(tmp_path):
    recording = begun(tmp_path, 150)
    sound = np.round(np.random.default_rng(0).uniform(-1, 1, 160 * RATE_HZ) * 32767) / 32768
    for first in range(0, len(sound), RATE_HZ):
        recording.push(block_at(first, sound[first : first + RATE_HZ].astype(np.float32), RATE_HZ))
    assert recording.complete
    assert durations_s(tmp_path) == [60, 60, 30]
    stored = np.concatenate([soundfile.read(p)[0] for p in sorted(tmp_path.glob("*.flac"))])
    np.testing.assert_array_equal(stored, sound[: len(stored)])


def test_recording_ends_at_its_target(tmp_path):
    recording = begun(tmp_path, 10)
    for second in range(100):
        recording.push(noise(second * RATE_HZ, 1))
    assert durations_s(tmp_path) == [10]


def test_recording_continues_after_a_restart(tmp_path):
    first = begun(tmp_path, 100)
    for second in range(70):
        first.push(noise(second * RATE_HZ, 1))
    assert first.recorded_s == 70
    again = begun(tmp_path, 100)
    assert again.recorded_s == 60  # the rest was not on the disk yet
    for second in range(45):
        again.push(noise(second * RATE_HZ, 1))
    assert again.complete
    assert durations_s(tmp_path) == [60, 40]
    assert begun(tmp_path, 100).complete


def test_gap_begins_a_new_file_and_short_pieces_do_not_count(tmp_path):
    recording = begun(tmp_path, 100)
    recording.push(noise(0, 5))
    recording.push(noise(6 * RATE_HZ, 1))  # too short to hold a window
    recording.push(noise(9 * RATE_HZ, 4))
    recording.flush()
    assert durations_s(tmp_path) == [5, 4]
    assert recording.recorded_s == 9


def test_short_rest_after_whole_minutes_is_stored_with_them(tmp_path):
    recording = begun(tmp_path, 61)
    for second in range(61):
        recording.push(noise(second * RATE_HZ, 1))
    assert recording.complete
    assert durations_s(tmp_path) == [61]


SLOW_RATE_HZ = 1000  # so that hours of sound are small


@settings(max_examples=40, deadline=None)
@given(
    target_s=st.floats(60, 200) | st.integers(60, 200),
    window_s=st.floats(0.1, 10),
    pieces=st.lists(
        st.tuples(st.floats(0.02, 130), st.sampled_from(["gap", "outage", "restart"])),
        max_size=12,
    ),
    block_s=st.floats(0.1, 9),
)
def test_recording_is_complete_as_soon_as_there_is_enough_usable_sound(
    tmp_path_factory, target_s, window_s, pieces, block_s
):
    """It holds for any target, gaps and restarts; what is complete remains so."""
    folder = tmp_path_factory.mktemp("learning")
    shortest_s = min_piece_s(window_s)

    def begin() -> TrainingRecording:
        recording = TrainingRecording(folder, target_s, min_piece_s=shortest_s)
        recording.begin(SLOW_RATE_HZ)
        return recording

    recording, position, count = begin(), 0, round(block_s * SLOW_RATE_HZ)

    def push(seconds: float) -> None:
        nonlocal position
        end = position + max(1, round(seconds * SLOW_RATE_HZ))
        while position < end and not recording.complete:
            size = min(count, end - position)
            recording.push(block_at(position, np.full(size, 0.1, np.float32), SLOW_RATE_HZ))
            position += size

    for seconds, then in pieces:
        push(seconds)
        stored_s = sum(durations_s(folder))
        if recording.complete:
            break
        position += 1
        if then == "outage":
            recording.flush()
        elif then == "restart":
            recording = begin()
            assert recording.recorded_s == pytest.approx(stored_s)
    missing_s = max(0.0, target_s - recording.recorded_s)
    push(missing_s + 2 * shortest_s + block_s)
    assert recording.complete
    recording.flush()
    assert recording.complete
    assert sum(durations_s(folder)) >= target_s - 1 / SLOW_RATE_HZ
    assert min(durations_s(folder)) >= shortest_s - 1 / SLOW_RATE_HZ
    assert begin().complete


def test_damaged_files_and_those_of_another_rate_are_deleted(tmp_path):
    soundfile.write(tmp_path / "000001.flac", np.zeros(3 * RATE_HZ), RATE_HZ)
    soundfile.write(tmp_path / "000002.flac", np.zeros(RATE_HZ), 2 * RATE_HZ)
    (tmp_path / "000003.flac").write_bytes(b"fLaC and then nothing")
    (tmp_path / "000004.part").write_bytes(b"half")
    recording = begun(tmp_path, 10)
    assert recording.recorded_s == 3
    assert [path.name for path in tmp_path.iterdir()] == ["000001.flac"]


def test_folder_that_cannot_be_written_is_an_error_with_its_remedy(tmp_path):
    recording = begun(tmp_path / "learning", 10)
    (tmp_path / "learning").rmdir()
    (tmp_path / "learning").write_text("a file in its place")
    with pytest.raises(OperationError, match=r"cannot be written.*free some space"):
        recording.push(noise(0, 10))


def test_folder_name_may_contain_any_bytes(tmp_path):
    folder = tmp_path / os.fsdecode(b"state-\xff")
    first = begun(folder, 100)
    for second in range(61):
        first.push(noise(second * RATE_HZ, 1))
    assert begun(folder, 100).recorded_s == 60
