"""Which recordings are held out, and how recordings are read."""

from pathlib import Path

import numpy as np
import pytest

from asd_monitor.encoder_training.recorded_sounds import is_held_out, read_sounds
from asd_monitor.records import Samples
from tests.doubles.synthetic_sounds import machine_sound, write

NAMES = ["dog", "rain", "saw", "engine", "door", "clock", "bell", "train", "pump", "wind", "saw2"]


def recordings(folder: Path) -> list[Path]:
    return [
        write(folder / f"{name}-{number}.wav", machine_sound(0.3, seed=k))
        for k, name in enumerate(NAMES)
        for number in (1, 23)
    ]


def test_each_recording_is_either_trained_on_or_held_out(tmp_path: Path) -> None:
    paths = recordings(tmp_path)
    trained, held_out = (read_sounds(paths, held_out=out)[1] for out in (False, True))
    assert trained
    assert held_out
    assert sorted(trained + held_out) == sorted(path.name for path in paths)
    assert not set(trained) & set(held_out)


def test_names_that_differ_in_a_number_only_are_not_divided() -> None:
    for name in NAMES:
        series = [Path(f"{name}.wav"), Path(f"{name}-1.flac"), Path(f"{name.upper()}_23.wav")]
        assert len({is_held_out(path) for path in series}) == 1


def test_about_a_third_is_held_out_whatever_the_folder() -> None:
    letters = "abcdefghij"
    names = [f"{one}{other}.wav" for one in letters for other in letters]
    held_out = {name for name in names if is_held_out(Path("a") / name)}
    assert 20 <= len(held_out) <= 47
    assert held_out == {name for name in names if is_held_out(Path("b") / name)}


def read_all(paths: list[Path]) -> tuple[list[Samples], list[str]]:
    sounds, names = read_sounds(paths, held_out=False)
    more, others = read_sounds(paths, held_out=True)
    return sounds + more, names + others


def test_unreadable_silent_and_short_recordings_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "broken.wav").write_bytes(b"RIFF of nothing")
    paths = [
        tmp_path / "broken.wav",
        tmp_path / "absent.wav",
        write(tmp_path / "silent.wav", np.zeros(16_000)),
        write(tmp_path / "empty.wav", np.zeros(0)),
        write(tmp_path / "short.wav", machine_sound(0.14)),
        write(tmp_path / "good.wav", machine_sound(0.16)),
    ]
    assert read_all(paths)[1] == ["good.wav"]


@pytest.mark.parametrize("rate_hz", [8000, 44_100])
def test_recordings_of_other_rates_are_resampled(tmp_path: Path, rate_hz: int) -> None:
    path = write(tmp_path / "other.wav", machine_sound(1.0, rate_hz=rate_hz), rate_hz)
    [sound], _ = read_all([path])
    assert sound.dtype == np.float32
    assert len(sound) == pytest.approx(16_000, abs=2)
    assert float(np.std(sound)) == pytest.approx(float(np.std(machine_sound(1.0))), rel=0.35)
