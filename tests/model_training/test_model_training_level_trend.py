"""A drift of the level within the training recordings: a trend, and no step."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from asd_monitor.audio.files.recorder import SCHEMA
from asd_monitor.model_training.findings import ChangedSound, DriftingLevel, assess_reference
from asd_monitor.model_training.level_trend import find_level_trend
from asd_monitor.model_training.reference import Reference, read_reference
from asd_monitor.synthesis.families import draw_machine
from asd_monitor.synthesis.rendering import render
from tests.doubles.synthetic_sounds import Sound, machine_sound, write

RATE_HZ = 16_000
BEGAN = datetime(2026, 5, 4, 8, 0, tzinfo=UTC)


def rendered(family: str, seconds: float = 90.0) -> Sound:
    rng = np.random.default_rng(3)
    sound = render(draw_machine(family, rng), seconds, rng)
    noise = 0.2 * np.sqrt(np.mean(sound**2)) * rng.standard_normal(len(sound))
    return np.asarray(sound + noise, np.float32)


def with_gain(sound: Sound, gain_db: np.ndarray) -> Sound:
    return (sound * 10 ** (gain_db / 20)).astype(np.float32)


def changes(folder: Path, sound: Sound) -> list[type]:
    reference = read_reference([write(folder / "a.wav", np.clip(sound, -1, 1))])
    kinds = [type(finding) for finding in assess_reference(reference)]
    return [kind for kind in kinds if kind in {ChangedSound, DriftingLevel}]


@pytest.mark.parametrize("family", ["fan", "gearbox", "valve"])
def test_a_drift_and_a_step_are_told_apart_and_fluctuation_is_neither(
    family: str, tmp_path: Path
) -> None:
    sound = rendered(family)
    share = np.linspace(0, 1, len(sound))
    assert changes(tmp_path, sound) == []
    assert changes(tmp_path, with_gain(sound, -5 * share)) == [DriftingLevel]
    assert changes(tmp_path, with_gain(sound, 3 * share - 3)) == [DriftingLevel]
    assert changes(tmp_path, with_gain(sound, -5.0 * (share > 0.5))) == [ChangedSound]
    assert changes(tmp_path, with_gain(sound, -4.0 * (share > 0.3))) == [ChangedSound]
    assert changes(tmp_path, with_gain(sound, np.sin(12 * np.pi * share))) == []


def test_a_run_in_is_one_finding(tmp_path: Path) -> None:
    sound = rendered("conveyor")
    gain_db = 6 * np.exp(-3 * np.linspace(0, 1, len(sound))) - 6
    assert changes(tmp_path, with_gain(sound, gain_db)) == [DriftingLevel]


def test_the_trend_has_its_change_and_its_place(tmp_path: Path) -> None:
    sound = machine_sound(80.0)
    drifting = with_gain(sound, np.linspace(0, -5, len(sound)))
    half = len(sound) // 2
    paths = [
        write(tmp_path / "a.wav", drifting[:half]),
        write(tmp_path / "b.wav", drifting[half:]),
    ]
    trend = find_level_trend(read_reference(paths))
    assert trend is not None
    assert trend.change_db == pytest.approx(-4.6, abs=0.3)  # of 70 s: seven blocks
    assert (trend.file.name, trend.from_s, trend.to_file.name) == ("a.wav", 0.0, "b.wav")
    assert 30 < trend.to_s <= 40


def test_the_level_between_two_sessions_is_no_trend(tmp_path: Path) -> None:
    def reference(pause_h: float) -> Reference:
        paths = []
        for number in range(4):
            sound = machine_sound(25.0, seed=number, gain=0.1 * 10 ** (-1.5 * number / 20))
            path = write(tmp_path / f"{number}.wav", sound)
            began = BEGAN + number * timedelta(hours=pause_h)
            sidecar = {"schema": SCHEMA, "sha256": None, "began": began.isoformat()}
            path.with_suffix(".json").write_text(json.dumps(sidecar))
            paths.append(path)
        return read_reference(paths)

    assert find_level_trend(reference(0.01)) is not None
    assert find_level_trend(reference(24.0)) is None
