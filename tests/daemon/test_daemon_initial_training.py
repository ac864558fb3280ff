"""Recording for learning, and the training in a process of its own."""

import asyncio
import os
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from tests.doubles import daemon_fakes
from hypothesis import given, settings
from hypothesis import strategies as st

from asd_monitor.daemon.training_child import LearningSound, shortest_piece_s, train
from asd_monitor.errors import OperationError
from asd_monitor.records import Block

RATE = 8000


def noise(start: int, seconds: float) -> Block:
    rng = np.random.default_rng(start)
    return Block(start, rng.uniform(-0.5, 0.5, round(seconds * RATE)).astype(np.float32))


def recorded(folder: Path) -> list[float]:
    return [soundfile.info(path).duration for path in sorted(folder.glob("*.flac"))]


def begun(folder: Path, wanted_s: float) -> LearningSound:
    sound = LearningSound(folder, wanted_s)
    sound.begin(RATE)
    return sound


def test_sound_is_kept_bit_for_bit_in_files_of_a_minute(tmp_path):
    sound = begun(tmp_path, 150)
    given = np.round(np.random.default_rng(0).uniform(-1, 1, 160 * RATE) * 32767) / 32768
    for first in range(0, len(given), RATE):
        sound.push(Block(first, given[first : first + RATE].astype(np.float32)))
    assert sound.complete
    assert recorded(tmp_path) == [60, 60, 30]
    kept = np.concatenate([soundfile.read(p)[0] for p in sorted(tmp_path.glob("*.flac"))])
    np.testing.assert_array_equal(kept, given[: len(kept)])


def test_it_is_bounded(tmp_path):
    sound = begun(tmp_path, 10)
    for second in range(100):
        sound.push(noise(second * RATE, 1))
    assert recorded(tmp_path) == [10]


def test_a_restart_goes_on_counting(tmp_path):
    first = begun(tmp_path, 100)
    for second in range(70):
        first.push(noise(second * RATE, 1))
    assert first.heard_s == 70
    again = begun(tmp_path, 100)
    assert again.heard_s == 60  # what was not yet on the disk is lost
    for second in range(45):
        again.push(noise(second * RATE, 1))
    assert again.complete
    assert recorded(tmp_path) == [60, 40]
    assert begun(tmp_path, 100).complete


def test_a_gap_begins_a_new_file_and_short_pieces_are_left_out(tmp_path):
    sound = begun(tmp_path, 100)
    sound.push(noise(0, 5))
    sound.push(noise(6 * RATE, 1))  # too short to hold a window
    sound.push(noise(9 * RATE, 4))
    sound.flush()
    assert recorded(tmp_path) == [5, 4]
    assert sound.heard_s == 9


def test_a_short_rest_after_whole_minutes_stays_with_them(tmp_path):
    sound = begun(tmp_path, 61)
    for second in range(61):
        sound.push(noise(second * RATE, 1))
    assert sound.complete
    assert recorded(tmp_path) == [61]


SLOW_RATE = 50  # so that hours of sound are small


@settings(max_examples=40, deadline=None)
@given(
    wanted_s=st.floats(60, 200) | st.integers(60, 200),
    window_s=st.floats(0.1, 10),
    pieces=st.lists(
        st.tuples(st.floats(0.02, 130), st.sampled_from(["gap", "outage", "restart"])),
        max_size=12,
    ),
    block_s=st.floats(0.1, 9),
)
def test_learning_ends_as_soon_as_enough_usable_sound_came(
    tmp_path_factory, wanted_s, window_s, pieces, block_s
):
    """Whatever the amount, the gaps and the restarts; and what is complete stays so."""
    folder = tmp_path_factory.mktemp("learning")
    shortest_s = shortest_piece_s(window_s)

    def begin() -> LearningSound:
        sound = LearningSound(folder, wanted_s, shortest_s=shortest_s)
        sound.begin(SLOW_RATE)
        return sound

    sound, position, count = begin(), 0, round(block_s * SLOW_RATE)

    def hear(seconds: float) -> None:
        nonlocal position
        end = position + max(1, round(seconds * SLOW_RATE))
        while position < end and not sound.complete:
            size = min(count, end - position)
            sound.push(Block(position, np.full(size, 0.1, np.float32)))
            position += size

    for seconds, then in pieces:
        hear(seconds)
        stored_s = sum(recorded(folder))
        if sound.complete:
            break
        position += 1
        if then == "outage":
            sound.flush()
        elif then == "restart":
            sound = begin()
            assert sound.heard_s == pytest.approx(stored_s)
    missing_s = max(0.0, wanted_s - sound.heard_s)
    hear(missing_s + 2 * shortest_s + block_s)
    assert sound.complete
    sound.flush()
    assert sound.complete
    assert sum(recorded(folder)) >= wanted_s - 1 / SLOW_RATE
    assert min(recorded(folder)) >= shortest_s - 1 / SLOW_RATE
    assert begin().complete


def test_damaged_files_and_those_of_another_rate_are_thrown_away(tmp_path):
    soundfile.write(tmp_path / "000001.flac", np.zeros(3 * RATE), RATE)
    soundfile.write(tmp_path / "000002.flac", np.zeros(RATE), 2 * RATE)
    (tmp_path / "000003.flac").write_bytes(b"fLaC and then nothing")
    (tmp_path / "000004.part").write_bytes(b"half")
    sound = begun(tmp_path, 10)
    assert sound.heard_s == 3
    assert [path.name for path in tmp_path.iterdir()] == ["000001.flac"]


def test_a_folder_that_cannot_be_written_is_told(tmp_path):
    sound = begun(tmp_path / "learning", 10)
    (tmp_path / "learning").rmdir()
    (tmp_path / "learning").write_text("a file in its place")
    with pytest.raises(OperationError, match=r"cannot be written.*free some space"):
        sound.push(noise(0, 10))


def program(tmp_path: Path, text: str) -> tuple[str, ...]:
    script = tmp_path / "program.py"
    script.write_text(text)
    return (sys.executable, str(script))


async def test_training_gets_the_machine_its_sound_and_the_configuration(tmp_path):
    text = f"import sys; open({str(tmp_path / 'called')!r}, 'w').write(' '.join(sys.argv[1:]))"
    done = await train(
        "fan01", Path("S"), Path("M"), config=Path("C"), program=program(tmp_path, text)
    )
    assert done.failure is None
    called = (tmp_path / "called").read_text()
    assert called == "train --machine fan01 --normal S --models M --config C"


@pytest.mark.parametrize(
    ("text", "failure"),
    [
        (
            "print('listening …\\rmore', file=sys.stderr);"
            "print('asd-monitor: 31 s are too little', file=sys.stderr); sys.exit(2)",
            "31 s are too little",
        ),
        ("sys.exit(3)", "training ended with code 3"),
        ("import os; os.kill(os.getpid(), 9)", "training was killed by SIGKILL"),
    ],
)
async def test_why_a_training_failed(tmp_path, text, failure):
    done = await train("m", Path("S"), Path("M"), program=program(tmp_path, f"import sys\n{text}"))
    assert done.failure == failure


async def test_a_training_that_cannot_start(tmp_path):
    done = await train("m", Path("S"), Path("M"), program=(str(tmp_path / "nothing"),))
    assert "could not be started" in str(done.failure)


async def test_the_training_ends_with_the_daemon(tmp_path):
    ready = tmp_path / "pid"
    text = (
        f"import os, time; open({str(ready)!r} + '~', 'w').write(str(os.getpid()));"
        f"os.rename({str(ready)!r} + '~', {str(ready)!r}); time.sleep(600)"
    )
    task = asyncio.create_task(train("m", Path("S"), Path("M"), program=program(tmp_path, text)))
    await daemon_fakes.until(ready.exists)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    with pytest.raises(ProcessLookupError):
        os.kill(int(ready.read_text()), 0)
